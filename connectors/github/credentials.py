"""What a GitHub host lets us in with: tokens, or an app's installation, each with a budget of its own.

API facts: GitHub REST API, "Authenticating as a GitHub App installation" and "Generating a JSON Web Token".
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import github
import msgspec

from connectors.answers import Answer, parsed
from connectors.base import AuthenticationFailed, ConnectorError, Retriable
from connectors.pacing import Clock, Pacer, Strikes

#: An installation's token is renewed so long before it ends; one that lives only a little longer, in half its life.
RENEWED_BEFORE_S = 300.0
#: However short a token is said to live, it is used so long.
SHORTEST_LIFE_S = 30.0
#: A token that was refused is tried again after so long, while others do its work.
AGAIN_S = 3600.0
#: A difference of the clocks that may be why a signature was refused.
_CLOCKS_DIFFER = timedelta(seconds=30)
#: What may stand in a header.
_TOKEN = re.compile(r"[!-~]{1,2000}")
_BACK, _AHEAD = timedelta(seconds=60), timedelta(seconds=540)

#: Sends a POST to a path with a bearer, and gives the good answer to it.
Exchange = Callable[["Credential", str, str], Awaitable[Answer]]


class AppKey(msgspec.Struct, frozen=True, kw_only=True):
    """An app by its number, one of its installations, and the app's RSA private key in PEM."""

    id: int
    installation: int
    private_key: str

    def __repr__(self) -> str:
        return f"AppKey(id={self.id}, installation={self.installation})"


class TokenRefused(AuthenticationFailed):
    """The host does not let this one credential in: 401."""


class Suspended(TokenRefused):
    """It is known, and suspended: 403."""


class HostClock:
    """The host's time, told by its answers and ours in between."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.told: datetime | None = None  #: what the last answer said
        self.off = timedelta()  #: how far the host's clock is ahead of ours

    def hear(self, answer: Answer) -> None:
        if answer.date is not None:
            self.told = answer.date
            self.off = answer.date - self._clock.now()

    def now(self) -> datetime:
        return self._clock.now() + self.off


class Credential:
    """One token. ``limits`` are the host's headers about its budget, ``refused`` why it is set aside."""

    fix = "make a new token with read access to issues, pull requests and metadata, into the token file"
    refusal = "the token is refused (401). Make a new one"

    def __init__(self, name: str, pacer: Pacer, secret: str = "") -> None:
        self.name = name
        self.pacer = pacer
        self.strikes = Strikes(pacer.clock)
        self.limits: dict[str, str] = {}
        self.scopes: frozenset[str] | None = None  #: of a classic token, once an answer has named them
        self.refused: TokenRefused | None = None
        self.refused_at = 0.0
        self._secret = secret

    @property
    def usable(self) -> bool:
        """Whether it is not set aside; after an hour it is tried again."""
        return self.refused is None or self.pacer.clock.monotonic() - self.refused_at >= AGAIN_S

    async def bearer(self) -> str:
        """What to show to the host."""
        return self._secret

    async def renew(self, spent: str) -> bool:
        """Whether there is another bearer now than the one that was refused."""
        return False

    def secrets(self) -> list[str]:
        return [self._secret]

    def hidden(self, answer: Answer) -> Answer:
        """The answer without any secret of ours that the host may have put into it."""
        body, headers = answer.body, dict(answer.headers)
        for secret in filter(None, self.secrets()):
            body = body.replace(secret.encode(), b"[redacted]")
            headers = {name: value.replace(secret, "[redacted]") for name, value in headers.items()}
        return replace(answer, body=body, headers=headers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


def shown(bearer: str) -> dict[str, str]:
    """The header that shows a bearer."""
    headers: dict[str, str] = {}
    github.Auth.Token(bearer).authentication(headers)
    return headers


class Installation(Credential):
    """An app's installation: tokens of an hour, each asked for with a signature of the app's own key."""

    fix = (
        "check `app`: its id, the installation (the number in the address of its settings page) and the private key "
        "(a new one is made on the app's page); and that the installation is neither suspended nor removed"
    )
    refusal = "the token of the app's installation is refused (401), and so was the one before"

    def __init__(self, app: AppKey, pacer: Pacer, clock: HostClock, exchange: Exchange) -> None:
        super().__init__(f"installation {app.installation} of app {app.id}", pacer)
        self._app = app
        self._clock = clock
        self._exchange = exchange
        self._sign = github.Auth.AppAuth.create_jwt_sign(app.private_key, "RS256")
        self._until = 0.0  # monotonic
        self._before = ""
        self._signed = ""
        self._one_at_a_time = asyncio.Lock()
        self._failures = 0
        self._failure: ConnectorError = AuthenticationFailed("")

    async def bearer(self) -> str:
        if not self._secret or self.pacer.clock.monotonic() >= self._until:
            await self.renew(self._secret)
        return self._secret

    async def renew(self, spent: str) -> bool:
        """Of several lanes that want another token at once one asks, and all share what comes of it."""
        failures = self._failures
        async with self._one_at_a_time:
            if self._secret == spent:
                if self._failures != failures:
                    raise self._failure
                try:
                    await self._ask()
                except ConnectorError as error:
                    self._failures, self._failure = self._failures + 1, error
                    raise
        return True

    def secrets(self) -> list[str]:
        return [self._secret, self._before, self._signed]

    async def _ask(self) -> None:
        path = f"app/installations/{self._app.installation}/access_tokens"
        off, sent = self._clock.off, self.pacer.clock.monotonic()
        try:
            answer = await self._exchange(self, path, self._signature())
        except TokenRefused:
            if abs(self._clock.off - off) < _CLOCKS_DIFFER:
                raise
            answer = await self._exchange(self, path, self._signature())  # our clock was wrong, now the host told it
        data: dict[str, Any] = parsed(answer, dict)
        token, ends = data.get("token"), _moment(data.get("expires_at"))
        if not isinstance(token, str) or _TOKEN.fullmatch(token) is None or ends is None:
            raise Retriable("the answer holds no token of an installation")
        life = (ends - (answer.date or self._clock.now())).total_seconds()
        self._before, self._secret = self._secret, token
        self._until = sent + max(life - min(RENEWED_BEFORE_S, life / 2), SHORTEST_LIFE_S)

    def _signature(self) -> str:
        now = self._clock.now()
        claims = {
            "iat": int((now - _BACK).timestamp()),
            "exp": int((now + _AHEAD).timestamp()),
            "iss": str(self._app.id),
        }
        signed = self._sign(claims)
        self._signed = signed.decode() if isinstance(signed, bytes) else signed
        return self._signed


def _moment(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
