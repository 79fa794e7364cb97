"""A Jira site, read completely: windows of creation in parallel for the past, keyset polls for the present."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors.base import (
    AuthenticationFailed,
    Census,
    Check,
    ConnectorError,
    Container,
    Discovery,
    Fatal,
    Looked,
    Page,
    RateLimited,
    Ref,
    Retriable,
    Skippable,
    Unreachable,
)
from connectors.jira import census, jql, registration
from connectors.jira.chain import TOLERANCE, Chain
from connectors.jira.client import JiraClient, JiraConfig, Refused
from connectors.jira.translate import Site, milestone, moment, site, work_item
from connectors.pacing import Clock, Priority
from schemas.work import Gap, Milestone, Quarantined, WorkItem

#: Jira gives at most so many issues a page when fields are asked for.
PAGE = 100
#: A window larger than this is split, so that a lane never runs alone for long.
LARGEST_WINDOW = 20_000


class Window(msgspec.Struct):
    """Issues created in [start, end); ``anchor`` is the creation time of the last one that is stored."""

    start: datetime | None
    end: datetime | None
    anchor: datetime | None = None
    seen: int = 0
    done: bool = False


class Checkpoint(msgspec.Struct):
    """Where the reading of a project is: windows of a backfill in progress, or the start of the last whole pass."""

    began: datetime | None = None  #: server time at the start of the backfill
    windows: list[Window] = []
    cursor: datetime | None = None  #: server time at the start of the last complete pass
    total: int | None = None


_CHECKPOINT: msgspec.json.Decoder[Checkpoint] = msgspec.json.Decoder(Checkpoint)


def _encoded(checkpoint: Checkpoint) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(checkpoint))


class JiraConnector:
    """Reads one site. See `connectors.base.Connector` for what every method promises."""

    def __init__(self, config: JiraConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.source = config.name
        self.client = JiraClient(config, clock)
        self._account: str | None = None
        self._cloud = True
        self._site: Site | None = None
        self._bulk_history = True
        self.states: dict[str, str] = {}  #: of the projects by id, as last seen

    @property
    def requests(self) -> int:
        return self.client.pacer.requests

    async def close(self) -> None:
        await self.client.close()

    # -- what there is -----------------------------------------------------------------------------------------

    async def discover(self) -> Discovery:
        """The projects the configuration names, or all that can be seen; those that cannot be are gaps."""
        info = await self._server_info()
        await self._load_site()
        found = {container.key: container for container in await self._projects()}
        self.states = {container.id: container.state for container in found.values()}
        wanted = self.config.projects or tuple(found)
        gaps = [
            Gap(
                source=self.source,
                container=key,
                reason="not_found",
                detail="the project does not exist or the account may not browse it",
                fix=f"check the key, and give the account the Browse Projects permission in {key}",
            )
            for key in wanted
            if key not in found
        ]
        return Discovery(
            containers=tuple(found[key] for key in wanted if key in found),
            gaps=tuple(gaps),
            flavour="jira-cloud" if self._cloud else "jira-dc",
            version=str(info.get("version", "")),
            server_time=self.client.server_time,
        )

    async def _server_info(self) -> Mapping[str, Any]:
        info: Mapping[str, Any] = await self._seeing(self.client.get("api/2/serverInfo"))
        kind = info.get("deploymentType")
        if kind not in ("Cloud", "Server", "Data Center"):
            raise Unreachable("no Jira answers at this address: serverInfo names no deploymentType", source=self.source)
        self._cloud = kind == "Cloud"
        await self._same_account(first=True)
        return info

    async def _seeing(self, asked: Any) -> Any:
        try:
            return await asked
        except Refused as error:
            if error.status == 403:
                raise AuthenticationFailed(f"the credential is refused: {error.said}", source=self.source) from error
            raise Unreachable(f"no Jira answers at this address ({error.status})", source=self.source) from error

    async def _same_account(self, *, first: bool = False) -> None:
        """Who we are must not change during a pass: a lost session is answered with empty lists, not with errors."""
        me = await self._seeing(self.client.get("api/2/myself"))
        account = me.get("accountId") or me.get("key")
        if not account:
            raise AuthenticationFailed("the site does not say who we are", source=self.source)
        if first:
            self._account = account
        elif account != self._account:
            raise AuthenticationFailed("the account changed in the middle of a pass", source=self.source)

    async def _load_site(self) -> Site:
        fields = await self._seeing(self.client.get("api/2/field", shape=list))
        statuses = await self._seeing(self.client.get("api/2/status", shape=list))
        self._site, missing = site(
            self.source,
            self.config.url,
            fields=_rows(fields),
            statuses=_rows(statuses),
            named=self.config.fields,
            team=self.config.team_field,
        )
        if missing:
            raise Fatal(
                f"the site has no field {', '.join(repr(name) for name in missing)}; correct `fields` or `team_field`",
                source=self.source,
            )
        return self._site

    async def _projects(self) -> list[Container]:
        if not self._cloud:
            rows = await self._seeing(self.client.get("api/2/project", {"includeArchived": "true"}, shape=list))
            return [_container(row, "archived" if row.get("archived") else "live") for row in _rows(rows)]
        found: dict[str, Container] = {}
        for state, status in (("live", "live"), ("archived", "archived"), ("trashed", "deleted")):
            for row in await self._seeing(self._list("api/3/project/search", {"status": status}, size=50)):
                found.setdefault(_id(row), _container(row, state))
        return list(found.values())

    # -- reading -----------------------------------------------------------------------------------------------

    async def read(self, container: Container, checkpoint: bytes | None) -> AsyncIterator[Page]:
        """A backfill, its continuation, or a poll of one project, page by page."""
        state = _CHECKPOINT.decode(checkpoint) if checkpoint else Checkpoint()
        try:
            if self._site is None:
                await self._server_info()
                await self._load_site()
            started = await self._now()
            milestones = await self._milestones(container)
            yield Page(container=container.key, milestones=tuple(milestones), checkpoint=_encoded(state))
            reading = self._backfill(container, state) if state.cursor is None else self._poll(container, state)
            async with aclosing(reading) as pages:
                async for page in pages:
                    yield page
            await self._same_account()
        except Refused as error:
            raise Skippable(census.refusal(self.source, container, error)) from error
        cursor = state.began if state.cursor is None and state.began else started
        yield Page(
            container=container.key, checkpoint=_encoded(Checkpoint(cursor=cursor)), complete=True, total=state.total
        )

    async def _now(self) -> datetime:
        await self._same_account()
        return self.client.server_time or self.client.pacer.clock.now()

    async def _milestones(self, container: Container) -> list[Milestone]:
        if self._cloud:
            rows = await self._list(f"api/3/project/{container.id}/version", scope="versions")
        else:
            rows = _rows(await self.client.get(f"api/2/project/{container.id}/versions", shape=list))
        url = self.config.url.rstrip("/")
        return [one for row in rows if (one := milestone(row, self.source, container.key, url)) is not None]

    async def _backfill(self, container: Container, state: Checkpoint) -> AsyncGenerator[Page, None]:
        if not state.windows:
            state.began = await self._now()
            state.total = await self._count(jql.window(container.id, None, None))
            state.windows = await self._windows(container, state.total)
            yield self._page(container, state, [])
        for attempt in (1, 2):
            async with aclosing(self._lanes(container, state)) as pages:
                async for page in pages:
                    yield page
            seen, count = (
                sum(window.seen for window in state.windows),
                await self._count(jql.window(container.id, None, state.began)),
            )
            if seen >= count * (1 - TOLERANCE) - 3:
                return
            if attempt == 1:  # the search ended early somewhere: read the windows again, whole
                state.windows = [Window(window.start, window.end) for window in state.windows]
        raise Retriable(
            f"the search ended normally after {seen} of about {count} issues, twice", source=self.source,
            container=container.key,
        )  # fmt: skip

    async def _windows(self, container: Container, total: int) -> list[Window]:
        """Windows of creation, of about equal length in time, at least as many as there are lanes."""
        if total <= PAGE:
            return [Window(None, None)]
        first = await self._edge(container, "ASC")
        last = await self._edge(container, "DESC")
        if first is None or last is None or last - first < timedelta(hours=1):
            return [Window(None, None)]
        lanes = self.config.concurrency
        parts = max(min(lanes * 2, total // PAGE), -(-total // LARGEST_WINDOW), 1)
        step = (last - first) / parts
        bounds = [(first + step * part).replace(microsecond=0) for part in range(1, parts)]
        return [Window(start, end) for start, end in zip([None, *bounds], [*bounds, None], strict=True)]

    async def _edge(self, container: Container, order: str) -> datetime | None:
        query = f"project = {container.id} ORDER BY created {order}"
        page = await self._search(query, ["created"], size=1, token=None)
        rows = _rows(page.get("issues"))
        return moment((rows[0].get("fields") or {}).get("created")) if rows else None

    async def _lanes(self, container: Container, state: Checkpoint) -> AsyncGenerator[Page, None]:
        """All open windows at once, as many as the credential's lanes let through; pages in order of arrival."""
        waiting = [window for window in state.windows if not window.done]
        queue: asyncio.Queue[tuple[Window, list[Any], bool] | None] = asyncio.Queue(maxsize=self.config.concurrency)

        async def fill(window: Window) -> None:
            async with aclosing(self._window(container, window)) as found:
                async for rows, last in found:
                    await queue.put((window, rows, last))

        async def fill_all() -> None:
            try:
                async with asyncio.TaskGroup() as group:
                    for window in waiting:
                        group.create_task(fill(window))
            finally:
                await queue.put(None)

        lanes = asyncio.create_task(fill_all())
        try:
            while (arrived := await queue.get()) is not None:
                window, entries, last = arrived
                if entries:
                    window.anchor = entries[-1].created_at if isinstance(entries[-1], WorkItem) else window.anchor
                window.seen += len(entries)
                window.done = last
                yield self._page(container, state, entries)
            await lanes
        except BaseExceptionGroup as group:
            raise _first(group) from group
        finally:
            lanes.cancel()
            await asyncio.gather(lanes, return_exceptions=True)

    async def _window(
        self, container: Container, window: Window
    ) -> AsyncGenerator[tuple[list[WorkItem | Quarantined], bool], None]:
        """One window's issues page by page to the proven end of its token chain."""
        start = window.anchor or window.start
        chain = Chain(self.source)
        known: set[str] = set()
        query = jql.window(container.id, start, window.end)
        while True:
            page = await self._page_of(chain, query, Priority.BACKFILL)
            if page is None:  # the rest of the window, less what is known of its first moment
                query = jql.window(container.id, start, window.end)
                continue
            rows = [row for row in page["issues"] if not _id(row) or _id(row) not in known]
            known.update(_id(row) for row in rows)
            start = max((at for row in rows if (at := _time(row, "created")) is not None), default=start)
            more = chain.follow(page, fruitful=bool(rows))
            yield await self._translated(container, rows, Priority.BACKFILL), not more
            if not more:
                return

    async def _poll(self, container: Container, state: Checkpoint) -> AsyncGenerator[Page, None]:
        """What changed since the last complete pass, with an overlap; the query is anchored anew after each page.

        While we page, changed issues only move behind the anchor, so none is passed over.
        """
        assert state.cursor is not None
        anchor = latest = state.cursor - timedelta(minutes=jql.OVERLAP_MIN)
        known: dict[str, Any] = {}
        chain = Chain(self.source)
        query = jql.changed(container.id, anchor, await self._now())
        while True:
            page = await self._page_of(chain, query, Priority.POLL)
            if page is not None:
                rows = [row for row in page["issues"] if _id(row) not in known or known[_id(row)] != _updated(row)]
                known |= {_id(row): _updated(row) for row in rows if _id(row)}
                if rows:
                    yield self._page(container, state, await self._translated(container, rows, Priority.HISTORY))
                if not chain.follow(page, fruitful=bool(rows)):
                    return
                latest = max((at for row in page["issues"] if (at := _updated(row)) is not None), default=latest)
            if page is None or latest - anchor >= timedelta(minutes=2):
                anchor = latest
                chain.begin_again()
                query = jql.changed(container.id, anchor, await self._now())

    async def _page_of(self, chain: Chain, query: str, priority: Priority) -> dict[str, Any] | None:
        """The next page of a chain of whole issues; None where its token has expired, and the chain begins again."""
        try:
            return await self._search(query, self._wanted(), size=PAGE, token=chain.token, priority=priority)
        except Refused as error:
            if error.status != 400 or not chain.renew():
                raise
            return None

    def _page(self, container: Container, state: Checkpoint, entries: Sequence[WorkItem | Quarantined]) -> Page:
        return Page(
            container=container.key,
            items=tuple(entry for entry in entries if isinstance(entry, WorkItem)),
            quarantined=tuple(entry for entry in entries if isinstance(entry, Quarantined)),
            checkpoint=_encoded(state),
            total=state.total,
        )

    def _wanted(self) -> list[str]:
        assert self._site is not None
        return self._site.wanted()

    # -- single questions --------------------------------------------------------------------------------------

    async def _list(
        self, path: str, asked: Mapping[str, Any] | None = None, *, size: int = 100, **how: Any
    ) -> list[Mapping[str, Any]]:
        """A list that is paged by offset, to its proven end: it says that a page is the last, or how many there are.

        Raises Unreachable where it ends before, goes in a circle, or is no list.
        """
        found: dict[str, Mapping[str, Any]] = {}
        seen = 0
        while True:
            page = await self.client.get(path, {**(asked or {}), "startAt": seen, "maxResults": size}, **how)
            if not isinstance(page.get("values"), list):
                raise Unreachable(f"a page of {path} has no list of values", source=self.source)
            rows, known = _rows(page["values"]), len(found)
            found |= {_id(row): row for row in rows}
            seen += len(page["values"])
            last, total = page.get("isLast"), page.get("total")
            if last is True or (last is None and isinstance(total, int) and seen >= total):
                return list(found.values())
            if len(found) == known:
                raise Unreachable(f"the pages of {path} end before their end", source=self.source)

    async def _search(
        self, query: str, fields: list[str], *, size: int, token: str | None, priority: Priority = Priority.POLL
    ) -> dict[str, Any]:
        """One page of a search, its shape proven."""
        body: dict[str, Any] = {"jql": query, "fields": fields, "maxResults": size}
        if self._cloud:
            path, body = "api/3/search/jql", body | ({"nextPageToken": token} if token else {})
        else:
            path, body = "api/2/search", body | {"startAt": int(token or 0)}
        page: dict[str, Any] = await self.client.post(path, body, scope="search", priority=priority)
        if not isinstance(page.get("issues"), list):
            raise Unreachable("a page of the search has no list of issues", source=self.source)
        if not self._cloud:
            end = int(token or 0) + len(page["issues"])
            page["nextPageToken"] = str(end) if page["issues"] and end < int(page.get("total", 0)) else None
        return page

    async def _count(self, query: str) -> int:
        if self._cloud:
            answer = await self.client.post("api/3/search/approximate-count", {"jql": jql.unordered(query)})
            return self._number(answer, "count")
        answer = await self.client.post("api/2/search", {"jql": query, "fields": ["key"], "maxResults": 0})
        return self._number(answer, "total")

    def _number(self, answer: Mapping[str, Any], name: str) -> int:
        number = answer.get(name)
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise Unreachable(f"a count of issues says no {name}", source=self.source)
        return number

    async def _translated(
        self, container: Container, rows: Sequence[Any], priority: Priority
    ) -> list[WorkItem | Quarantined]:
        assert self._site is not None
        histories = await self._histories([_id(row) for row in rows if _id(row).isdigit()], priority)
        return [work_item(row, histories.get(_id(row), []), self._site, container.key) for row in rows]

    async def _histories(self, ids: Sequence[str], priority: Priority) -> dict[str, list[Mapping[str, Any]]]:
        """Every issue's whole changelog; in bulk where the site can, one by one elsewhere."""
        if not ids:
            return {}
        if self._cloud and self._bulk_history:
            try:
                return await self._bulk_histories(ids, priority)
            except Refused as error:
                if error.status not in (404, 405):
                    raise
                self._bulk_history = False
        alone = await asyncio.gather(*(self._history(id_, priority) for id_ in ids))
        return dict(zip(ids, alone, strict=True))

    async def _bulk_histories(self, ids: Sequence[str], priority: Priority) -> dict[str, list[Mapping[str, Any]]]:
        found: dict[str, list[Mapping[str, Any]]] = {}
        known: set[tuple[str, str]] = set()
        chain = Chain(self.source)
        while True:
            body: dict[str, Any] = {"issueIdsOrKeys": list(ids), "maxResults": 1000}
            page = await self.client.post(
                "api/3/changelog/bulkfetch", body | ({"nextPageToken": chain.token} if chain.token else {}),
                scope="history", priority=priority,
            )  # fmt: skip
            if not isinstance(page.get("issueChangeLogs"), list):
                raise Unreachable("a page of changelogs has no list of them", source=self.source)
            before = len(known)
            for log in _rows(page["issueChangeLogs"]):
                rows = _rows(log.get("changeHistories"))
                found.setdefault(str(log.get("issueId")), []).extend(rows)
                known.update((str(log.get("issueId")), _id(row)) for row in rows)
            if not chain.follow(page, fruitful=len(known) > before):
                return found

    async def _history(self, id_: str, priority: Priority) -> list[Mapping[str, Any]]:
        if not self._cloud:
            answer = await self.client.get(
                f"api/2/issue/{id_}", {"fields": "status", "expand": "changelog"}, scope="history", priority=priority
            )
            return _rows((answer.get("changelog") or {}).get("histories"))
        return await self._list(f"api/3/issue/{id_}/changelog", scope="history", priority=priority)

    async def census(self, container: Container) -> Census:
        """The ids of all issues of a project, with the time of the change where it was lately."""
        return await census.count(self, container)

    async def look(self, refs: Sequence[Ref]) -> Looked:
        """Single issues by their ids, in bulk; why those that are not found are gone."""
        return await census.look(self, refs)

    async def hooks(self, url: str, secret: str, *, install: bool) -> list[Check]:
        """One hook of the whole site, for the projects that are read."""
        return await registration.registered(self, url, secret, install=install)

    # -- check -------------------------------------------------------------------------------------------------

    async def check(self) -> list[Check]:
        """Address and credential, projects, clock, rate limit."""
        name = self.source
        try:
            found = await self.discover()
        except AuthenticationFailed as error:
            fix = "make a new API token (Data Center: personal access token) and put it in the token file"
            return [Check(name=f"{name}: credential", ok=False, detail=str(error), fix=fix, exit_code=4)]
        except (Retriable, RateLimited) as error:
            fix = "check `url` and the network; `curl URL/rest/api/2/serverInfo` should answer"
            return [Check(name=f"{name}: reachable", ok=False, detail=str(error), fix=fix, exit_code=5)]
        except ConnectorError as error:
            return [Check(name=f"{name}: configuration", ok=False, detail=str(error), fix="", exit_code=1)]
        checks = [
            Check(name=f"{name}: credential", ok=True, detail=f"{found.flavour} {found.version}"),
            Check(name=f"{name}: projects", ok=True, detail=", ".join(one.key for one in found.containers)),
        ]
        checks += [
            Check(name=f"{name}: project {gap.container}", ok=False, detail=gap.detail, fix=gap.fix, exit_code=1)
            for gap in found.gaps
        ]
        return [*checks, *_clock_and_limit(name, found, self.client)]


def _clock_and_limit(name: str, found: Discovery, client: JiraClient) -> Iterable[Check]:
    if found.server_time is not None:
        skew = abs((found.server_time - client.pacer.clock.now()).total_seconds())
        yield Check(
            name=f"{name}: clock", ok=skew < 120, detail=f"{skew:.0f} s apart", exit_code=0 if skew < 120 else 1,
            fix="" if skew < 120 else "set this machine's clock by NTP",
        )  # fmt: skip
    left = client.limits.get("x-ratelimit-remaining")
    if left is not None:
        yield Check(name=f"{name}: rate limit", ok=True, detail=f"{left} requests left")


def _rows(value: Any) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _id(row: Any) -> str:
    return str(row.get("id", "")) if isinstance(row, dict) else ""


def _updated(row: Any) -> datetime | None:
    return _time(row, "updated")


def _time(row: Any, field: str) -> datetime | None:
    fields = row.get("fields") if isinstance(row, dict) else None
    return moment(fields.get(field)) if isinstance(fields, dict) else None


def _container(row: Mapping[str, Any], state: Any) -> Container:
    return Container(id=str(row.get("id")), key=str(row.get("key")), title=str(row.get("name", "")), state=state)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to report of several lanes that failed: the most lasting one."""
    leaves = [_first(error) if isinstance(error, BaseExceptionGroup) else error for error in group.exceptions]
    for kind in (AuthenticationFailed, Fatal, Skippable, Refused, RateLimited, ConnectorError):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0]
