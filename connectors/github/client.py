"""Requests to one GitHub host: PyGithub for authentication, bounded answers and typed errors of our own beside it.

The library's paging is never used: it ends silently on an empty body, drops the query of a redirected list and
shares one connection between threads. API facts: GitHub REST API, "Rate limits", "Best practices", "Pagination".
"""

import threading
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import anyio.to_thread
import requests
from anyio import CapacityLimiter

from connectors.answers import Answer, ask, keep_in_time, parsed, redirected
from connectors.base import AuthenticationFailed, RateLimited, Retriable, Unreachable, naming
from connectors.github.budgets import Budgets
from connectors.github.conditional import Remembered, Unchanged
from connectors.github.config import GitHubConfig, credentials_of
from connectors.github.credentials import (
    Credential,
    HostClock,
    Suspended,
    TokenRefused,
    shown,
)
from connectors.github.limits import keep_for_live_work, limited
from connectors.github.listing import Listing, Refused, best, is_partial, listing_of, rows_of
from connectors.pacing import Clock, SystemClock, persistently, retry_after

T = TypeVar("T")
_VERSION = "2022-11-28"
#: A list of more pages than this is no list: a million entries.
_MOST_PAGES = 10_000


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
                return await self._read(url, params, decoded, remember, only=only, lacks=is_partial)

        pacer = only.pacer if only else self.pacer
        answer, rows = await persistently(pacer, whole, **{"scope": self._scope(url), **how})
        return listing_of(answer, rows, partial(self._same_origin, url), unchanged=isinstance(answer, Unchanged))

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

    def _same_origin(self, url: str, found: str) -> str:
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
                return best(met.values())
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
            keep_for_live_work(answer, credential)
        if (scopes := answer.headers.get("x-oauth-scopes")) is not None:
            credential.scopes = frozenset(filter(None, (one.strip() for one in scopes.split(","))))
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
