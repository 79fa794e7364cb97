"""Requests to one GitHub host: PyGithub for authentication, bounded answers and typed errors of our own beside it.

The library's paging is never used: it ends silently on an empty body, drops the query of a redirected list and
shares one connection between threads. API facts: GitHub REST API, "Rate limits", "Best practices", "Pagination".
"""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
import github
import msgspec
import requests
from anyio import CapacityLimiter

from connectors.answers import Answer, ask, parsed, redirected
from connectors.base import AuthenticationFailed, ConnectorError, RateLimited, Retriable, Unreachable
from connectors.pacing import DEFAULT_WAIT_S, Clock, Pacer, Priority, persistently, retry_after

_VERSION = "2022-11-28"
_NEXT = re.compile(r'<([^>]+)>\s*;[^,]*rel="next"')


class GitHubConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach one GitHub host. ``url`` is its API's root."""

    name: str
    url: str = "https://api.github.com"
    token: str
    repositories: tuple[str, ...] = ()  #: ``owner/name``; none, and no organizations: all of the token
    organizations: tuple[str, ...] = ()
    fields: dict[str, str] = {}
    team_field: str | None = None
    concurrency: int = 4
    rate: float | None = None

    def __repr__(self) -> str:
        return f"GitHubConfig(name={self.name!r}, url={self.url!r})"


class Refused(ConnectorError):
    """The host understood the request and says no: 400, 403, 404, 410, 422 or 451."""

    def __init__(self, answer: Answer, source: str) -> None:
        self.status = answer.status
        self.said = answer.message()
        self.sso = answer.headers.get("x-github-sso", "")
        self.needs = answer.headers.get("x-accepted-github-permissions", "")
        super().__init__(f"answered {answer.status}: {self.said}", source=source)


@dataclass(frozen=True)
class Listing:
    """One page of a list, and the address of the next; ``partial`` where some of it is withheld from the token."""

    rows: list[Any]
    next: str | None
    partial: str = ""


class GitHubClient:
    """Lanes of one credential, each with a session of its own."""

    def __init__(self, config: GitHubConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.root = config.url.rstrip("/")
        self.pacer = Pacer(concurrency=config.concurrency, rate=config.rate, clock=clock)
        self.server_time: datetime | None = None
        self.limits: dict[str, str] = {}
        self._auth = github.Auth.Token(config.token)
        self._threads = CapacityLimiter(config.concurrency)
        self._own = threading.local()
        self._opened: list[requests.Session] = []
        self._slow_down = 0

    def _session(self) -> requests.Session:
        found: requests.Session | None = getattr(self._own, "session", None)
        if found is None:
            found = requests.Session()
            found.trust_env = False  # a .netrc must not replace the credential
            headers: dict[str, str] = {}
            self._auth.authentication(headers)
            found.headers.update(
                headers
                | {
                    "Accept": "application/vnd.github+json",
                    "X-GitHub-Api-Version": _VERSION,
                    "User-Agent": "courseline",
                }
            )
            self._own.session = found
            self._opened.append(found)
        return found

    async def get(self, path: str, params: Mapping[str, Any] | None = None, **how: Any) -> dict[str, Any]:
        """What GET answers, as a JSON object."""
        answer = await self._ask(f"{self.root}/{path}", params, **how)
        found: dict[str, Any] = parsed(answer, dict)
        return found

    async def page(self, path: str, params: Mapping[str, Any] | None = None, **how: Any) -> Listing:
        """One page of a list; ``path`` may be the address that an earlier page gave as its next."""
        url = path if path.startswith(("http://", "https://")) else f"{self.root}/{path}"

        async def whole() -> tuple[Answer, list[Any]]:
            answer = await self._once(url, params)
            rows = parsed(answer, list)
            if not all(isinstance(row, dict) and "id" in row for row in rows):
                raise Retriable("a page of the list holds something else than its objects", source=self.config.name)
            return answer, rows

        answer, rows = await persistently(self.pacer, whole, **how)
        return Listing(rows, self._next(answer, url), answer.headers.get("x-github-sso", ""))

    def _next(self, answer: Answer, url: str) -> str | None:
        found = _NEXT.search(answer.headers.get("link", ""))
        if found is None:
            return None
        there, here = urlsplit(found[1]), urlsplit(url)
        if (there.scheme, there.netloc) != (here.scheme, here.netloc):
            raise Unreachable(
                f"the next page is said to be at {there.netloc}; the credential is only sent to {here.netloc}",
                source=self.config.name,
            )
        return found[1]

    async def _ask(self, url: str, params: Mapping[str, Any] | None, **how: Any) -> Answer:
        return await persistently(self.pacer, lambda: self._once(url, params), **how)

    async def _once(self, url: str, params: Mapping[str, Any] | None) -> Answer:
        answer = await anyio.to_thread.run_sync(
            self._send, url, dict(params or {}), limiter=self._threads, abandon_on_cancel=True
        )
        return self._accepted(answer)

    def _send(self, url: str, params: dict[str, Any]) -> Answer:
        for _ in range(5):
            answer = ask(self._session(), "GET", url, params=params)
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            url = redirected(answer, url)
            if urlsplit(url).query:
                params = {}
        raise AuthenticationFailed("the host redirects in a circle", source=self.config.name)

    def _accepted(self, answer: Answer) -> Answer:
        source = self.config.name
        self.server_time = answer.date or self.server_time
        self.limits |= {key: value for key, value in answer.headers.items() if key.startswith("x-ratelimit")}
        if answer.status == 401:
            raise AuthenticationFailed("the token is refused (401). Make a new one", source=source)
        if answer.status in (403, 429):
            limited = self._limited(answer)
            if limited is not None:
                raise limited
            if "suspended" in answer.message():
                raise AuthenticationFailed(answer.message(), source=source)
        if answer.status >= 500 or answer.status in (202, 408, 429):
            raise Retriable(f"answered {answer.status}", source=source)
        if answer.status >= 400:
            if answer.is_html:
                raise AuthenticationFailed("a page of HTML stands where the API should be", source=source)
            raise Refused(answer, source)
        self._slow_down = 0
        return answer

    def _limited(self, answer: Answer) -> RateLimited | None:
        """The wait that a 403 or 429 asks for; None where it is no limit."""
        now = self.pacer.clock.now()
        said = answer.message().lower()
        if answer.headers.get("x-ratelimit-remaining") == "0" and "retry-after" not in answer.headers:
            reset = answer.headers.get("x-ratelimit-reset", "")
            left = int(reset) + 1 - now.timestamp() if reset.isdigit() else DEFAULT_WAIT_S
            reason, seconds = "primary limit", min(max(left, 1.0), 3600.0)
        elif "secondary rate limit" in said or "abuse" in said or "retry-after" in answer.headers:
            told = answer.headers.get("retry-after")
            self._slow_down += 1
            grown = DEFAULT_WAIT_S * 2 ** (self._slow_down - 1)
            reason, seconds = "secondary limit", retry_after(told, now) if told else min(grown, 3600.0)
        elif answer.status == 429 or "rate limit" in said:
            reason, seconds = "rate limit", DEFAULT_WAIT_S
        else:
            return None
        self.pacer.park(seconds, reason)
        return RateLimited(now + timedelta(seconds=seconds), reason, source=self.config.name)

    async def close(self) -> None:
        for session in self._opened:
            session.close()
        self._opened.clear()


__all__ = ["GitHubClient", "GitHubConfig", "Listing", "Priority", "Refused"]
