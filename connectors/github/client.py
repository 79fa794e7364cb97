"""Requests to one GitHub host: PyGithub for authentication, bounded answers and typed errors of our own beside it.

The library's paging is never used: it ends silently on an empty body, drops the query of a redirected list and
shares one connection between threads. API facts: GitHub REST API, "Rate limits", "Best practices", "Pagination".
"""

import re
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import anyio.to_thread
import msgspec
import requests
from anyio import CapacityLimiter

from connectors.answers import Answer, ask, keep_in_time, parsed, redirected
from connectors.base import AuthenticationFailed, ConnectorError, RateLimited, Retriable, Unreachable, naming
from connectors.github.budgets import Budgets
from connectors.github.conditional import Remembered, Unchanged
from connectors.github.credentials import (
    AppKey,
    Credential,
    Exchange,
    HostClock,
    Installation,
    Suspended,
    TokenRefused,
    shown,
)
from connectors.github.limits import limited
from connectors.pacing import Clock, Pacer, Priority, SystemClock, persistently, retry_after

T = TypeVar("T")
_VERSION = "2022-11-28"
_LINK = re.compile(r"<([^>]*)>([^<]*)")
_REL = re.compile(r"""\brel\s*=\s*["']?([^"';,]+)""", re.IGNORECASE)
_PAGE_NUMBER = re.compile(r"[?&]page=([0-9]{1,9})(?:&|$)")
#: A list of more pages than this is no list: a million entries.
_MOST_PAGES = 10_000


class GitHubConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach one GitHub host. ``url`` is its API's root. Let in by one of ``token``, ``tokens`` or ``app``."""

    name: str
    url: str = "https://api.github.com"
    token: str = ""
    tokens: tuple[str, ...] = ()
    app: AppKey | None = None
    repositories: tuple[str, ...] = ()  #: ``owner/name``; none, and no organizations: all of the credentials
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

    def __init__(self, answer: Answer, source: str) -> None:
        self.status = answer.status
        self.said = answer.message()
        self.sso = answer.headers.get("x-github-sso", "")
        self.needs = answer.headers.get("x-accepted-github-permissions", "")
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


def credentials_of(config: GitHubConfig, clock: HostClock, own: Clock | None, exchange: Exchange) -> list[Credential]:
    """What the configuration lets us in with: one app, or one or several tokens."""

    def pacer() -> Pacer:
        return Pacer(concurrency=config.concurrency, rate=config.rate, clock=own)

    if config.app is not None:
        return [Installation(config.app, pacer(), clock, exchange)]
    if not config.tokens:
        return [Credential("the token", pacer(), config.token)]
    count = len(config.tokens)
    return [Credential(f"token {at} of {count}", pacer(), one) for at, one in enumerate(config.tokens, 1)]


class GitHubClient:
    """Lanes of one source. Each credential has a budget of its own, and a session in each thread."""

    def __init__(self, config: GitHubConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.root = config.url.rstrip("/")
        self.requests = 0
        self._clock = HostClock(clock or SystemClock())
        self.credentials = credentials_of(config, self._clock, clock, self._exchange)
        self.pacer = Budgets(self.credentials, concurrency=config.concurrency, clock=clock)
        self._threads = CapacityLimiter(config.concurrency)
        self._own = threading.local()
        self._opened: list[requests.Session] = []
        self._remembered = Remembered(self.pacer.clock)

    @property
    def server_time(self) -> datetime | None:
        """The host's time by its last answer."""
        return self._clock.told

    def hidden(self, text: str) -> str:
        """A text of the host's without any secret of ours."""
        for secret in (secret for one in self.credentials for secret in one.secrets() if secret):
            text = text.replace(secret, "[redacted]")
        return text

    def _session(self, credential: Credential) -> requests.Session:
        sessions: dict[Credential, requests.Session] = self._own.__dict__.setdefault("sessions", {})
        found = sessions.get(credential)
        if found is None:
            found = sessions[credential] = requests.Session()
            keep_in_time(found)
            found.headers.update(
                {
                    "Accept": "application/vnd.github+json",
                    "X-GitHub-Api-Version": _VERSION,
                    "User-Agent": "courseline",
                }
            )
            self._opened.append(found)
        return found

    # -- what callers ask for ----------------------------------------------------------------------------------

    async def get(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        only: Credential | None = None,
        remember: bool = False,
        **how: Any,
    ) -> dict[str, Any]:
        """What GET answers, as a JSON object; ``only`` to this one credential, where it is given.

        With ``remember`` by its ETag, as in `page`.
        """
        url = f"{self.root}/{path}"

        async def whole() -> dict[str, Any]:
            with naming(self.config.name):
                _, found = await self._read(url, params, lambda one: parsed(one, dict), remember, only=only)
                return dict(found)

        return await persistently(only.pacer if only else self.pacer, whole, **{"scope": self._scope(url), **how})

    async def write(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What POST or PATCH answers, as a JSON object. Only ever used to register hooks."""

        url = f"{self.root}/{path}"

        async def whole() -> dict[str, Any]:
            with naming(self.config.name):
                found: dict[str, Any] = parsed(await self._once(url, None, method, body), dict)
                return found

        return await persistently(self.pacer, whole, scope=self._scope(url))

    async def page(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        decoded: Callable[[Answer], list[Any]] = rows_of,
        only: Credential | None = None,
        remember: bool = False,
        **how: Any,
    ) -> Listing:
        """One page of a list; ``path`` may be the address that an earlier page gave as its next.

        With ``remember`` the host is asked whether an earlier answer still holds, and that one is given where it does.
        """
        url = path if path.startswith(("http://", "https://")) else f"{self.root}/{path}"

        async def whole() -> tuple[Answer, list[Any]]:
            with naming(self.config.name):
                return await self._read(url, params, decoded, remember, only=only, lacks=_is_partial)

        pacer = only.pacer if only else self.pacer
        answer, rows = await persistently(pacer, whole, **{"scope": self._scope(url), **how})
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
        self,
        url: str,
        params: Mapping[str, Any] | None,
        decoded: Callable[[Answer], T],
        remember: bool,
        **how: Any,
    ) -> tuple[Answer, T]:
        answer = await self._once(url, params, remember=remember, **how)
        try:
            return answer, decoded(answer)
        except Exception:
            self._remembered.forget(url, params)
            raise

    def _scope(self, url: str) -> str:
        """The repository that an address is about; "*" where it is about none."""
        parts = urlsplit(url).path.removeprefix(urlsplit(self.root).path).strip("/").split("/")
        kept = {"repositories": 2, "repos": 3}.get(parts[0], 0)
        return "/".join(parts[:kept]) or "*"

    async def _once(
        self,
        url: str,
        params: Mapping[str, Any] | None,
        method: str = "GET",
        body: Mapping[str, Any] | None = None,
        *,
        only: Credential | None = None,
        lacks: Callable[[Answer], bool] = lambda _: False,
        remember: bool = False,
    ) -> Answer:
        """The good answer to one request, with the credential of this task's lane; where that one is refused, or its
        answer ``lacks`` something, with the next one. Raises Refused once all have been."""
        credential = only or self.pacer.held
        scope = self._scope(url)
        met: dict[Credential, Answer | Refused] = {}
        while True:
            try:
                answer = await self._as(credential, method, url, params, body, remember)
                if only or not lacks(answer):
                    self.pacer.saw(scope, credential, met)
                    return answer
                met[credential] = answer
            except RateLimited:
                # that one is parked; whoever is not asks in its place
                if only or self.pacer.wait_for(scope)[0] > 0:
                    raise
                credential = await self.pacer.next(scope, met)
                continue
            except TokenRefused as error:
                self.pacer.set_aside(credential, error)
                if only:
                    raise
            except Refused as error:
                if only or error.status not in (403, 404):
                    raise
                met[credential] = error
            if all(one in met for one in self.pacer.usable):
                return _best(met.values())
            credential = await self.pacer.next(scope, met)

    async def _as(
        self, credential: Credential, method: str, url: str, params: Mapping[str, Any] | None, body: Any, remember: bool
    ) -> Answer:
        bearer = await credential.bearer()
        try:
            return await self._ask(credential, bearer, method, url, params, body, remember)
        except Suspended:
            raise
        except TokenRefused:
            if not await credential.renew(bearer):
                raise
        return await self._ask(credential, await credential.bearer(), method, url, params, body, remember)

    async def _exchange(self, credential: Credential, path: str, bearer: str) -> Answer:
        """What a POST answers to a credential that asks for a token."""
        try:
            return await self._ask(credential, bearer, "POST", f"{self.root}/{path}", None, None)
        except Refused as error:
            said = f"the host gives {credential.name} no token ({error.status}): {error.said}"
            raise AuthenticationFailed(said, fix=credential.fix, source=self.config.name) from error

    async def _ask(
        self,
        credential: Credential,
        bearer: str,
        method: str,
        url: str,
        params: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None,
        remember: bool = False,
    ) -> Answer:
        sent = self.pacer.clock.monotonic()
        asking = self._remembered.ask if remember else ask
        answer = await anyio.to_thread.run_sync(
            self._send, asking, credential, bearer, method, url, dict(params or {}), body,
            limiter=self._threads, abandon_on_cancel=True,
        )  # fmt: skip
        return self._accepted(answer, sent, credential)

    def _send(
        self,
        asking: Callable[..., Answer],
        credential: Credential,
        bearer: str,
        method: str,
        url: str,
        params: dict[str, Any],
        body: Mapping[str, Any] | None,
    ) -> Answer:
        for _ in range(5):
            self.requests += 1
            answer = asking(self._session(credential), method, url, params=params, json=body, headers=shown(bearer))
            if answer.status not in (301, 302, 303, 307, 308) or method != "GET":
                return answer
            url = redirected(answer, url)
            if urlsplit(url).query:
                params = {}
        raise AuthenticationFailed("the host redirects in a circle", source=self.config.name)

    def _accepted(self, answer: Answer, sent: float, credential: Credential) -> Answer:
        source, pacer = self.config.name, credential.pacer
        self._clock.hear(answer)
        if answer.headers.get("x-ratelimit-resource") != "graphql":
            told = {key: value for key, value in answer.headers.items() if key.startswith("x-ratelimit")}
            credential.limits |= told
        if answer.status >= 400:
            answer = credential.hidden(answer)
        if answer.status == 401:
            raise TokenRefused(credential.refusal, fix=credential.fix, source=source)
        if answer.status in (403, 429):
            asked_to_wait = limited(answer, sent, credential, source)
            if asked_to_wait is not None:
                raise asked_to_wait
            if "suspended" in answer.message():
                raise Suspended("the app's installation is suspended", fix=credential.fix, source=source)
        if answer.status >= 500 and "retry-after" in answer.headers:
            pacer.park(retry_after(answer.headers["retry-after"], pacer.clock.now()), "asked to wait")
        if 400 <= answer.status < 500 and answer.status not in (408, 429):
            if answer.is_html:
                raise AuthenticationFailed("a page of HTML stands where the API should be", source=source)
            raise Refused(answer, source)
        if answer.status not in (200, 201):
            raise Retriable(f"answered {answer.status}", source=source)
        credential.strikes.over(sent)
        return answer


def _is_partial(answer: Answer) -> bool:
    return "partial-results" in answer.headers.get("x-github-sso", "")


def _best(met: Iterable[Answer | Refused]) -> Answer:
    """Of what all credentials were told, what tells most: a part, or the refusal that says what is missing."""
    errors = []
    for one in met:
        if isinstance(one, Answer):
            return one
        errors.append(one)
    raise max(errors, key=lambda error: (bool(error.sso), bool(error.needs), error.status == 403))


def _links(answer: Answer) -> dict[str, str]:
    found: dict[str, str] = {}
    for target, further in _LINK.findall(answer.headers.get("link", "")):
        rel = _REL.search(further)
        if rel is not None:
            found.setdefault(rel[1].strip().lower(), target)
    return found


__all__ = ["GitHubClient", "GitHubConfig", "Listing", "Priority", "Refused", "rows_of"]
