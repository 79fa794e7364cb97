"""Who may read: loopback without more ado, everybody else with a token."""

import hashlib
import hmac
import ipaddress
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass, field

SHORTEST = 16
"""Characters of a token: fewer could be guessed."""


class InvalidTokens(ValueError):
    """A file of tokens that cannot be used; the message names the line, never what stands there."""


def is_loopback(host: str) -> bool:
    """Whether an address or a name means this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def parse_tokens(text: str) -> tuple[str, ...]:
    """A token a line; empty lines and those that begin with ``#`` are skipped. Raises InvalidTokens."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        token = line.strip()
        if not token or token.startswith("#"):
            continue
        if len(token) < SHORTEST or not token.isascii() or " " in token:
            raise InvalidTokens(f"line {number} is no token: {SHORTEST} or more ASCII characters without spaces")
        found.append(token)
    if not found:
        raise InvalidTokens("holds no token; put one on each line, such as `openssl rand -hex 32` gives")
    return tuple(found)


@dataclass(frozen=True)
class Tokens:
    """The tokens that open the feed; of each only its digest is kept."""

    digests: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def of(cls, tokens: Iterable[str]) -> "Tokens":
        return cls(tuple(_digest(token.encode()) for token in tokens))

    def admits(self, authorization: str | None) -> bool:
        """Whether an ``Authorization`` header holds a token: as a bearer (RFC 6750), or as the password of Basic.

        A browser can only send the latter, and sends it with its event streams as well. Every token is compared, each
        in constant time, so that the time of an answer tells nothing.
        """
        given = _digest(_token(authorization or ""))
        equal = [hmac.compare_digest(given, known) for known in self.digests]
        return any(equal)


def _token(authorization: str) -> bytes:
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return value.encode()
    if scheme.lower() == "basic":
        try:
            return b64decode(value, validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return b""


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
