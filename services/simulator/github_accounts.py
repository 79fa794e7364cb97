"""Who may ask a simulated GitHub host: tokens, and an app's installation; each has a budget and sees its repositories.

Source: GitHub REST API, "Authenticating as a GitHub App", "Create an installation access token for an app".
"""

import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import jwt

from services.simulator.world import World

#: GitHub lets nobody sign for longer.
_LONGEST = timedelta(minutes=10)


class NotLetIn(Exception):
    """A credential that the host answers with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(eq=False)
class Account:
    """Whoever a token stands for. ``sees`` are names of repositories, None for all; ``hourly`` None for the host's."""

    sees: frozenset[str] | None = None
    hourly: int | None = None
    scopes: str | None = None  #: of a classic token, as the header has them
    revoked: bool = False
    used: int = 0
    window: datetime | None = None  #: when the hour of its budget began

    def may_see(self, repository: str) -> bool:
        return self.sees is None or repository in self.sees


@dataclass(eq=False)
class App:
    """A GitHub App with one installation. Tests shorten ``life``, revoke what was given out, suspend it."""

    id: int
    installation: int
    public_key: str
    account: Account = field(default_factory=Account)
    life: timedelta = timedelta(hours=1)
    suspended: bool = False
    tokens: dict[str, datetime] = field(default_factory=dict)  #: given out, with their ends
    signed: list[dict[str, Any]] = field(default_factory=list)  #: the claims of each signature that was accepted
    _serial: "count[int]" = field(default_factory=lambda: count(1))

    def revoke(self) -> None:
        """Every token that was given out is void."""
        self.tokens.clear()

    def verify(self, signature: str, now: datetime) -> None:
        """Raises NotLetIn as GitHub refuses a signature. The times are judged by the world's clock."""
        try:
            claims = jwt.decode(
                signature, self.public_key, algorithms=["RS256"],
                options={"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False},
            )  # fmt: skip
        except jwt.InvalidTokenError:
            raise NotLetIn(401, "A JSON web token could not be decoded") from None
        if str(claims.get("iss")) != str(self.id):
            raise NotLetIn(404, "Integration not found")
        if claims["iat"] > now.timestamp():
            raise NotLetIn(401, "'Issued at' claim ('iat') must be an Integer representing a time in the past")
        if claims["exp"] <= now.timestamp():
            raise NotLetIn(401, "'Expiration time' claim ('exp') must be a numeric value representing the future time")
        if claims["exp"] > (now + _LONGEST).timestamp():
            raise NotLetIn(401, "'Expiration time' claim ('exp') is too far in the future")
        self.signed.append(claims)

    def give(self, installation: int, now: datetime) -> dict[str, Any]:
        """A token of the installation, for an app whose signature is verified."""
        if installation != self.installation:
            raise NotLetIn(404, "Not Found")
        if self.suspended:
            raise NotLetIn(403, "This installation has been suspended")
        token, ends = f"ghs_simulated{next(self._serial):06d}", now.replace(microsecond=0) + self.life
        self.tokens[token] = ends
        return {
            "token": token,
            "expires_at": f"{ends:%Y-%m-%dT%H:%M:%SZ}",
            "permissions": {"issues": "read", "metadata": "read", "pull_requests": "read"},
            "repository_selection": "selected" if self.account.sees is not None else "all",
        }


class Accounts:
    """All who may ask. ``tokens`` are those beside the host's own, which sees everything."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.own = Account()
        self.tokens: dict[str, Account] = {}
        self.app: App | None = None

    def add(self, token: str, *sees: str, hourly: int | None = None) -> Account:
        """Another token, which sees these repositories only (none: all)."""
        self.tokens[token] = Account(frozenset(sees) or None, hourly)
        return self.tokens[token]

    def of(self, authorization: str, own: str) -> Account:
        """Whose credential this is; ``own`` is the host's own token. Raises NotLetIn."""
        scheme, _, token = authorization.partition(" ")
        if not token:
            raise NotLetIn(401, "Requires authentication")
        if scheme.lower() in ("bearer", "token"):
            if hmac.compare_digest(token.encode(), own.encode()):
                return self.own
            found = self.tokens.get(token)
            if found is not None and not found.revoked:
                return found
            if self.app is not None and self._world.now < self.app.tokens.get(token, self._world.now):
                if self.app.suspended:
                    raise NotLetIn(403, "This installation has been suspended")
                return self.app.account
        raise NotLetIn(401, "Bad credentials")

    def installed(self, account: Account) -> bool:
        """Whether it is an app that asks."""
        return self.app is not None and account is self.app.account
