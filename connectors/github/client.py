"""Requests to one GitHub host: PyGithub for authentication, bounded answers and typed errors of our own beside it.

The library's paging is never used: it ends silently on an empty body, drops the query of a redirected list and
shares one connection between threads. API facts: GitHub REST API, "Rate limits", "Best practices", "Pagination".
"""

import re
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import anyio.to_thread
import github
import msgspec
import requests
from anyio import CapacityLimiter

from connectors.answers import Answer, ask, keep_in_time, parsed, redirected
from connectors.base import AuthenticationFailed, ConnectorError, RateLimited, Retriable, Unreachable, naming
from connectors.github.conditional import Remembered, Unchanged
from connectors.pacing import DEFAULT_WAIT_S, Clock, Pacer, Priority, Strikes, persistently, retry_after

T = TypeVar("T")
_VERSION = "2022-11-28"
_LINK = re.compile(r"<([^>]*)>([^<]*)")
_REL = re.compile(r"""\brel\s*=\s*["']?([^"';,]+)""", re.IGNORECASE)
_PAGE_NUMBER = re.compile(r"[?&]page=([0-9]{1,9})(?:&|$)")
#: A list of more pages than this is no list: a million entries.
_MOST_PAGES = 10_000


class GitHubConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach one GitHub host. ``url`` is its API's root."""

    name: str
    url: str = "https://api.github.com"
    token: str
    repositories: tuple[str, ...] = ()  #: ``owner/name``; none, and no organizations: all of the token
    organizations: tuple[str, ...] = ()
    project_boards: tuple[str, ...] = ()  #: ``owner/number``; of an item on several, the first one counts
    fields: dict[str, str] = {}
    team_field: str | None = None
    concurrency: int = 4
    rate: float | None = None

    def __repr__(self) -> str:
        return f"GitHubConfig(name={self.name!r}, url={self.url!r})"


class Refused(ConnectorError):
    """The host understood the request and says no: 400, 403, 404, 410, 422 or 451."""

    def __init__(self, answer: Answer, source: str, secret: str) -> None:
        self.status = answer.status
        self.said = answer.message().replace(secret, "[redacted]")
        self.sso = answer.headers.get("x-github-sso", "").replace(secret, "[redacted]")
        self.needs = answer.headers.get("x-accepted-github-permissions", "").replace(secret, "[redacted]")
        super().__init__(f"answered {answer.status}: {self.said}", source=source)


@dataclass(frozen=True)
class Listing:
    """One page of a list, the address of the next and the number of the last, where the host tells it.

    ``partial`` is set where some of the list is withheld from the token.
    """

    rows: list[Any]
    next: str | None
    last: int | None = None
    partial: str = ""
    unchanged: bool = False  #: the host said that an earlier answer still holds


def rows_of(answer: Answer) -> list[Any]:
    """The rows of a list. Raises Retriable where not one of them is an object with an id."""
    rows: list[Any] = parsed(answer, list)
    if rows and not any(isinstance(row, dict) and "id" in row for row in rows):
        raise Retriable("a page of the list holds something else than its objects")
    return rows


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
        self._strikes = Strikes(self.pacer.clock)
        self._remembered = Remembered(self.pacer.clock)

    def _session(self) -> requests.Session:
        found: requests.Session | None = getattr(self._own, "session", None)
        if found is None:
            found = requests.Session()
            keep_in_time(found)
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

    # -- what callers ask for ----------------------------------------------------------------------------------

    async def get(
        self, path: str, params: Mapping[str, Any] | None = None, *, remember: bool = False, **how: Any
    ) -> dict[str, Any]:
        """What GET answers, as a JSON object; with ``remember`` by its ETag, as in `page`."""

        async def whole() -> dict[str, Any]:
            with naming(self.config.name):
                _, found = await self._read(f"{self.root}/{path}", params, lambda one: parsed(one, dict), remember)
                return dict(found)

        return await persistently(self.pacer, whole, **how)

    async def write(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What POST or PATCH answers, as a JSON object. Only ever used to register hooks."""

        async def whole() -> dict[str, Any]:
            with naming(self.config.name):
                found: dict[str, Any] = parsed(await self._once(f"{self.root}/{path}", None, method, body), dict)
                return found

        return await persistently(self.pacer, whole)

    async def page(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        decoded: Callable[[Answer], list[Any]] = rows_of,
        remember: bool = False,
        **how: Any,
    ) -> Listing:
        """One page of a list; ``path`` may be the address that an earlier page gave as its next.

        With ``remember`` the host is asked whether an earlier answer still holds, and that one is given where it does.
        """
        url = path if path.startswith(("http://", "https://")) else f"{self.root}/{path}"

        async def whole() -> tuple[Answer, list[Any]]:
            with naming(self.config.name):
                return await self._read(url, params, decoded, remember)

        answer, rows = await persistently(self.pacer, whole, **how)
        links = _links(answer)
        number = _PAGE_NUMBER.search(links.get("last", ""))
        return Listing(
            rows,
            self._same_origin(links["next"], url) if "next" in links else None,
            int(number[1]) if number else None,
            answer.headers.get("x-github-sso", ""),
            isinstance(answer, Unchanged),
        )

    async def pages(self, path: str, params: Mapping[str, Any] | None = None, **how: Any) -> AsyncIterator[Listing]:
        """A list page by page. Raises Unreachable where its links lead in a circle, or never end."""
        met: set[str] = set()
        page = await self.page(path, params, **how)
        while True:
            yield page
            if page.next is None:
                return
            if page.next in met or len(met) >= _MOST_PAGES:
                raise Unreachable("the pages of a list lead in a circle", source=self.config.name)
            met.add(page.next)
            page = await self.page(page.next, **how)

    async def close(self) -> None:
        for session in self._opened:
            session.close()
        self._opened.clear()

    # -- within ------------------------------------------------------------------------------------------------

    def _same_origin(self, found: str, url: str) -> str:
        target = urljoin(url, found)
        there, here = urlsplit(target), urlsplit(url)
        if (there.scheme, there.netloc) != (here.scheme, here.netloc):
            raise Unreachable(
                f"the next page is said to be at {there.scheme}://{there.netloc.rpartition('@')[2]}; "
                f"the credential is only sent to {here.scheme}://{here.netloc}",
                source=self.config.name,
            )
        return target

    async def _read(
        self, url: str, params: Mapping[str, Any] | None, decoded: Callable[[Answer], T], remember: bool
    ) -> tuple[Answer, T]:
        answer = await self._once(url, params, remember=remember)
        try:
            return answer, decoded(answer)
        except Exception:
            self._remembered.forget(url, params)
            raise

    async def _once(
        self,
        url: str,
        params: Mapping[str, Any] | None,
        method: str = "GET",
        body: Mapping[str, Any] | None = None,
        *,
        remember: bool = False,
    ) -> Answer:
        sent = self.pacer.clock.monotonic()
        asking = self._remembered.ask if remember else ask
        answer = await anyio.to_thread.run_sync(
            self._send, asking, method, url, dict(params or {}), body, limiter=self._threads, abandon_on_cancel=True
        )
        return self._accepted(answer, sent)

    def _send(
        self,
        asking: Callable[..., Answer],
        method: str,
        url: str,
        params: dict[str, Any],
        body: Mapping[str, Any] | None,
    ) -> Answer:
        for _ in range(5):
            answer = asking(self._session(), method, url, params=params, json=body)
            if answer.status not in (301, 302, 303, 307, 308) or method != "GET":
                return answer
            url = redirected(answer, url)
            if urlsplit(url).query:
                params = {}
        raise AuthenticationFailed("the host redirects in a circle", source=self.config.name)

    def _accepted(self, answer: Answer, sent: float) -> Answer:
        source = self.config.name
        self.server_time = answer.date or self.server_time
        if answer.headers.get("x-ratelimit-resource") != "graphql":
            self.limits |= {key: value for key, value in answer.headers.items() if key.startswith("x-ratelimit")}
        if answer.status == 401:
            raise AuthenticationFailed("the token is refused (401). Make a new one", source=source)
        if answer.status in (403, 429):
            limited = self._limited(answer, sent)
            if limited is not None:
                raise limited
            if "suspended" in answer.message():
                raise AuthenticationFailed("the app's installation is suspended", source=source)
        if answer.status >= 500 and "retry-after" in answer.headers:
            self.pacer.park(retry_after(answer.headers["retry-after"], self.pacer.clock.now()), "asked to wait")
        if 400 <= answer.status < 500 and answer.status not in (408, 429):
            if answer.is_html:
                raise AuthenticationFailed("a page of HTML stands where the API should be", source=source)
            raise Refused(answer, source, self.config.token)
        if answer.status not in (200, 201):
            raise Retriable(f"answered {answer.status}", source=source)
        self._strikes.over(sent)
        return answer

    def _limited(self, answer: Answer, sent: float) -> RateLimited | None:
        """The wait that a 403 or 429 asks for; None where it is no limit."""
        now = self.pacer.clock.now()
        said = answer.message().lower()
        told = answer.headers.get("retry-after")
        if answer.headers.get("x-ratelimit-remaining") == "0" and told is None:
            # both are the host's own clock; ours may be off by minutes
            reset = answer.headers.get("x-ratelimit-reset", "")
            left = float(reset) + 1 - (answer.date or now).timestamp() if _is_number(reset) else DEFAULT_WAIT_S
            reason, seconds, least = "primary limit", max(left, 1.0), 1.0
        elif "secondary rate limit" in said or "abuse" in said or told is not None:
            reason, seconds, least = "secondary limit", retry_after(told, now), 1.0 if told else DEFAULT_WAIT_S
        elif answer.status == 429 or "rate limit" in said:
            reason, seconds, least = "rate limit", DEFAULT_WAIT_S, DEFAULT_WAIT_S
        else:
            return None
        seconds = self._strikes.wait(seconds, sent, least=least)
        self.pacer.park(seconds, reason)
        return RateLimited(now + timedelta(seconds=seconds), reason, source=self.config.name)


def _links(answer: Answer) -> dict[str, str]:
    found: dict[str, str] = {}
    for target, further in _LINK.findall(answer.headers.get("link", "")):
        rel = _REL.search(further)
        if rel is not None:
            found.setdefault(rel[1].strip().lower(), target)
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 13


__all__ = ["GitHubClient", "GitHubConfig", "Listing", "Priority", "Refused", "rows_of"]
