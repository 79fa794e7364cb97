"""Requests to one Jira site: the `jira` library for authentication, session and URLs; paging, proof and retry are ours.

The library's own paging and retry are never used: they end early on a short page, an empty body or a wait of more
than a minute, and say nothing.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import anyio.to_thread
import jira
import msgspec
from anyio import CapacityLimiter
from requests.cookies import RequestsCookieJar

from connectors.answers import Answer, ask, keep_in_time, parsed, redirected
from connectors.base import AuthenticationFailed, ConnectorError, RateLimited, Retriable, naming
from connectors.jira.quota import keep_for_live_work
from connectors.jira.sizes import PageSize
from connectors.pacing import TRIES, Clock, Pacer, Priority, Strikes, persistently, retry_after

#: Reasons that hold for the whole site, not for one endpoint.
_WHOLE_SITE = ("jira-quota", "global", "tenant")


class JiraConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach one Jira site. ``token`` is an API token (with ``email``) or a personal access token."""

    name: str
    url: str
    token: str
    email: str | None = None
    projects: tuple[str, ...] = ()  #: keys; none: all that can be seen
    fields: dict[str, str] = {}  #: our name -> the site's field, by id or name
    team_field: str | None = None
    concurrency: int = 4
    rate: float | None = None  #: requests a second; None: as the answers ask

    def __repr__(self) -> str:
        return f"JiraConfig(name={self.name!r}, url={self.url!r})"


class Refused(ConnectorError):
    """The site understood the request and says no: 400, 403, 404 or 410; 500 beyond what a search may reach."""

    def __init__(self, status: int, message: str, source: str) -> None:
        self.status = status
        self.said = message
        super().__init__(f"answered {status}: {message}", source=source)


class JiraClient:
    """Lanes of one credential, each with a client of its own; they share their cookies, so that one node answers."""

    def __init__(self, config: JiraConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.pacer = Pacer(concurrency=config.concurrency, rate=config.rate, clock=clock)
        self.server_time: datetime | None = None
        self.limits: dict[str, str] = {}
        self._strikes = Strikes(self.pacer.clock)
        self._threads = CapacityLimiter(config.concurrency)
        self._own = threading.local()
        self._cookies = RequestsCookieJar()
        self._opened: list[jira.JIRA] = []

    def _client(self) -> jira.JIRA:
        found: jira.JIRA | None = getattr(self._own, "client", None)
        if found is None:
            config = self.config
            found = jira.JIRA(
                server=config.url.rstrip("/"),
                basic_auth=(config.email, config.token) if config.email else None,
                token_auth=None if config.email else config.token,
                get_server_info=False,
                max_retries=0,
                timeout=60,
                options={"rest_api_version": "2", "check_update": False},
            )
            keep_in_time(found._session)
            found._session.cookies = self._cookies
            self._own.client = found
            self._opened.append(found)
        return found

    async def get(
        self, path: str, params: Mapping[str, Any] | None = None, *, shape: type[Any] = dict, **how: Any
    ) -> Any:
        """What GET answers, as JSON of the wanted outer shape."""
        return await self._ask("GET", path, shape, lambda: {"params": dict(params or {})}, **how)

    async def post(self, path: str, body: Mapping[str, Any], **how: Any) -> Any:
        """What POST answers, as a JSON object. Used for searches, and to register hooks."""
        return await self._ask("POST", path, dict, lambda: {"json": dict(body)}, **how)

    async def post_sized(
        self, path: str, sizes: PageSize, asked: int, body: Callable[[int], Mapping[str, Any]], **how: Any
    ) -> tuple[Any, int]:
        """What POST answers to the body for a size of at most ``asked``, and that size: smaller where it fails."""
        page = sizes.trying(asked)
        found = await self._ask(
            "POST", path, dict, lambda: {"json": dict(body(page.size))}, failed=page.failed, tries=page.tries, **how
        )
        page.gave()
        return found, page.size

    async def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """What PUT answers, as a JSON object. Only ever used to register hooks."""
        return await self._ask("PUT", path, dict, lambda: {"json": dict(body)})

    async def _ask(
        self,
        method: str,
        path: str,
        shape: type[Any],
        what: Callable[[], dict[str, Any]],
        *,
        scope: str = "*",
        priority: Priority = Priority.POLL,
        tries: int = TRIES,
        failed: Callable[[], None] = lambda: None,
    ) -> Any:
        scope = path.split("?")[0] if scope == "*" else scope

        async def attempt() -> Any:
            with naming(self.config.name):
                sent = self.pacer.clock.monotonic()
                try:
                    answer = await anyio.to_thread.run_sync(
                        self._send, method, path, what(), limiter=self._threads, abandon_on_cancel=True
                    )
                    return self._accepted(answer, shape, scope, sent)
                except Retriable as error:
                    if not isinstance(error, RateLimited):
                        failed()
                    raise

        return await persistently(self.pacer, attempt, scope=scope, priority=priority, tries=tries)

    def _send(self, method: str, path: str, what: dict[str, Any]) -> Answer:
        client = self._client()
        url = f"{client.server_url}/rest/{path}"
        for _ in range(5):
            answer = ask(client._session, method, url, **what)
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            url = redirected(answer, url)
        raise AuthenticationFailed("the tracker redirects in a circle", source=self.config.name)

    def _accepted(self, answer: Answer, shape: type[Any], scope: str, sent: float) -> Any:
        source = self.config.name
        self.server_time = answer.date or self.server_time
        self.limits |= {key: value for key, value in answer.headers.items() if "ratelimit" in key}
        keep_for_live_work(answer, self.pacer)
        reason = answer.headers.get("x-seraph-loginreason", "")
        if "AUTHENTICATION_DENIED" in reason or "AUTHENTICATED_FAILED" in reason:
            raise AuthenticationFailed(
                "the credential is refused (log in once with a browser: a CAPTCHA may be due)", source=source
            )
        if answer.headers.get("x-ausername") == "anonymous":
            raise AuthenticationFailed(
                "the site takes us for anonymous: the token is invalid or expired", source=source
            )
        if answer.status == 429 or (answer.status == 503 and "retry-after" in answer.headers):
            raise self._limited(answer, scope, sent)
        if answer.status == 401:
            raise AuthenticationFailed(
                "the credential is refused (401). Make a new API token, and check `email`", source=source
            )
        if 400 <= answer.status < 500 and answer.status not in (408, 413, 425):
            if answer.is_html and answer.status == 403:
                raise AuthenticationFailed("the credential is refused (403, a page of HTML)", source=source)
            raise Refused(answer.status, answer.message().replace(self.config.token, "[redacted]"), source)
        if answer.status == 500 and "limit exceeded" in answer.message().casefold():  # and so it will be next time
            raise Refused(500, answer.message(), source)
        if answer.status not in (200, 201):
            raise Retriable(f"answered {answer.status}", source=source)
        self._strikes.over(sent)
        return parsed(answer, shape)

    def _limited(self, answer: Answer, scope: str, sent: float) -> RateLimited:
        reason = answer.headers.get("ratelimit-reason", "") or "rate limit"
        seconds = self._strikes.wait(retry_after(answer.headers.get("retry-after"), self.pacer.clock.now()), sent)
        whole = any(part in reason for part in _WHOLE_SITE)
        self.pacer.park(seconds, reason, "*" if whole else scope)
        return RateLimited(self.pacer.clock.now() + timedelta(seconds=seconds), reason, source=self.config.name)

    async def close(self) -> None:
        for client in self._opened:
            client._session.close()
        self._opened.clear()
