"""Jira Data Center's own reading: searches by offset with exact totals, and every changelog alone."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors.ahead import together
from connectors.base import Container, Retriable, Unreachable
from connectors.jira import jql
from connectors.jira.account import Account
from connectors.jira.client import JiraClient, Refused
from connectors.jira.flavour import PAGE, Step, container, issues_in, number_in
from connectors.jira.moments import Moments
from connectors.jira.offsets import REACH, Beyond, Inconsistent, Run
from connectors.jira.progress import Window
from connectors.jira.rows import Row, id_of, rows_of, time_of
from connectors.jira.sizes import LEAST, PageSize
from connectors.pacing import Priority

#: The page that is asked for where nothing but times is wanted; the site may give less and says so.
_MOST = 1000
#: So often a list is read that does not hang together, and so often one second's issues may move.
_RUNS, _MOVES = 4, 20


class DataCenter:
    """See `connectors.jira.flavour.Flavour`."""

    name = "jira-dc"
    api = "api/2"
    largest_window = REACH

    def __init__(self, client: JiraClient, account: Account) -> None:
        self._client = client
        self._account = account
        self._source = client.config.name
        self._whole, self._bare = PageSize(PAGE), PageSize(_MOST)  #: of issues, and of little but their times
        self._ids: dict[str, str] = {}  #: of parents, by key
        self.moments = Moments(self._first, account)

    async def projects(self) -> list[Container]:
        rows = await self._client.get("api/2/project", {"includeArchived": "true"}, shape=list)
        return [container(row, "archived" if row.get("archived") else "live") for row in rows_of(rows)]

    async def versions(self, container: Container) -> list[Row]:
        return rows_of(await self._client.get(f"api/2/project/{container.id}/versions", shape=list))

    async def count(self, query: str, priority: Priority = Priority.BACKFILL) -> int:
        answer = await self._client.post("api/2/search", {"jql": query, "fields": ["key"], "maxResults": 0})
        return number_in(answer, "total", self._source)

    async def edge(self, container: Container, order: str) -> datetime | None:
        query = f"project = {container.id} ORDER BY created {order}"
        rows = await self._first(query, ["created"])
        return time_of(rows[0], "created") if rows else None

    async def _first(self, query: str, fields: list[str]) -> list[Row]:
        return rows_of((await self.page(query, fields, 0, 1, Priority.POLL))["issues"])

    # -- searching ---------------------------------------------------------------------------------------------

    async def window(self, container: Container, window: Window, fields: list[str]) -> AsyncGenerator[Step, None]:
        """To the end that its totals prove; from its start anew where two pages do not follow each other.

        What a stopped pass had listed before its anchor is proven by a count first.
        """
        start, before = window.anchor or window.start, window.before
        if window.anchor is not None and not await self._known_before(container, window):
            start, before = window.start, 0
        given: dict[str, Any] = {}
        for _ in range(_RUNS):
            run = Run(self, container.id, start, window.end, before)
            try:
                async for rows, last in run.pages(fields, PAGE, Priority.BACKFILL):
                    fresh = [row for row in rows if given.get(id_of(row), "") != time_of(row, "updated")]
                    given |= {id_of(row): time_of(row, "updated") for row in fresh if id_of(row)}
                    yield Step(fresh, last, *run.reached())
                return
            except Inconsistent as error:
                start, before, said = window.start, 0, str(error)
        raise self._never_whole(container, said)

    async def _known_before(self, container: Container, window: Window) -> bool:
        """Whether all before a window's anchor were listed; not to be told where a bound is no exact one."""
        if not await self.moments.exact(container.id):
            return False
        return await self.count(jql.window(container.id, window.start, window.anchor)) <= window.before

    async def present(self, container: Container) -> dict[str, datetime | None]:
        for _ in range(_RUNS):
            run = Run(self, container.id, None, None, 0)
            found: dict[str, datetime | None] = {}
            try:
                async for rows, _last in run.pages(["created", "updated"], _MOST, Priority.CENSUS):
                    found |= {id_of(row): time_of(row, "updated") for row in rows}
                return found
            except Inconsistent as error:
                said = str(error)
        raise self._never_whole(container, said)

    async def recent(self, container: Container) -> dict[str, datetime]:
        return {}

    def _never_whole(self, container: Container, said: str) -> Retriable:
        return Retriable(
            f"no list of its issues was whole in {_RUNS} readings ({said}); are the search indexes of all nodes equal?",
            source=self._source, container=container.key,
        )  # fmt: skip

    async def changed(
        self, container: Container, cursor: datetime, fields: list[str]
    ) -> AsyncGenerator[list[Any], None]:
        """Each page begins at the last second of the page before; by offset only within one second.

        While we page, changed issues only move behind the anchor, so none is passed over.
        """
        now = await self._account.now()
        since = jql.polled_from(cursor, now, jql.NODES_OVERLAP_MIN)
        query, anchor, latest = jql.changed(container.id, since, now), since, since
        known: dict[str, Any] = {}
        offset, last, moved, coarse = 0, "", 0, timedelta()
        while True:
            start = max(0, offset - 1)
            try:
                page = await self.page(query, fields, start, PAGE, Priority.POLL)
            except Beyond as error:
                raise Unreachable(f"more issues changed in one second than a search may reach: {error}") from error
            rows = page["issues"]
            if offset and (not rows or id_of(rows[0]) != last):  # changed meanwhile, and gone behind: the rest moved up
                moved += 1
                if moved > _MOVES:
                    raise Retriable("the issues of one second change faster than they are listed", source=self._source)
                (query, coarse), offset = await self.moments.changed_from(container.id, latest), 0
                continue
            fresh = [row for row in rows if known.get(id_of(row), "") != time_of(row, "updated")]
            known |= {id_of(row): time_of(row, "updated") for row in fresh if id_of(row)}
            if fresh:
                yield fresh
            if start + len(rows) >= page["total"]:
                return
            if not rows:
                raise Unreachable(f"the search ends at {start} of {page['total']}", source=self._source)
            latest = max((at for row in rows if (at := time_of(row, "updated")) is not None), default=latest)
            if latest.replace(microsecond=0) > anchor + coarse:
                anchor, offset, moved = latest.replace(microsecond=0), 0, 0
                query, coarse = await self.moments.changed_from(container.id, anchor)
            else:
                offset, last = start + len(rows), id_of(rows[-1])

    async def page(self, query: str, fields: list[str], start: int, size: int, priority: Priority) -> dict[str, Any]:
        """One page of a search, its shape proven, smaller where the site gives none of this size.

        Raises Beyond where the site's search does not reach so far.
        """
        sizes = self._bare if size > PAGE else self._whole
        try:
            answer, _ = await self._client.post_sized(
                "api/2/search",
                sizes,
                size,
                lambda most: {"jql": query, "fields": fields, "maxResults": most, "startAt": start},
                scope="search",
                priority=priority,
            )
        except Refused as error:
            if error.status != 500:
                raise
            if start > 0 or min(size, sizes.now) <= LEAST:
                raise Beyond(error.said) from error
            sizes.shrink(max(LEAST, min(size, sizes.now) // 2))  # the search does not reach as far as one page
            return await self.page(query, fields, start, size, priority)
        page = issues_in(answer, self._source)
        number_in(page, "total", self._source)
        return page

    # -- single issues -----------------------------------------------------------------------------------------

    async def histories(self, ids: Sequence[str], priority: Priority) -> dict[str, list[Row] | None]:
        """One by one: there is nothing in bulk."""
        found = await together(self._history(id_, priority) for id_ in ids)
        return dict(zip(ids, found, strict=True))

    async def _history(self, id_: str, priority: Priority) -> list[Row] | None:
        asked = {"fields": "status", "expand": "changelog"}
        try:
            answer = await self._client.get(f"api/2/issue/{id_}", asked, scope="history", priority=priority)
        except Refused as error:
            if error.status == 404:
                return None  # deleted since it was listed
            raise
        log = answer.get("changelog")
        rows = rows_of(log.get("histories")) if isinstance(log, Mapping) else []
        if not isinstance(log, Mapping) or len(rows) < number_in(log, "total", self._source):
            raise Unreachable(f"the history of issue {id_} is not whole: {len(rows)} changes", source=self._source)
        return rows

    async def bulk(
        self, ids: Sequence[str], fields: list[str], priority: Priority = Priority.HINT
    ) -> tuple[dict[str, Row], set[str]]:
        return {}, set()

    async def ids_of(self, keys: Iterable[str]) -> dict[str, str]:
        """A key leads to the same issue for ever, also after a move, so each is asked for once."""
        unknown = [key for key in keys if key not in self._ids]
        for key, id_ in zip(unknown, await together(self._id_of(key) for key in unknown), strict=True):
            if id_ is not None:
                self._ids[key] = id_
        return {key: self._ids[key] for key in keys if key in self._ids}

    async def _id_of(self, key: str) -> str | None:
        try:
            row = await self._client.get(f"api/2/issue/{key}", {"fields": "status"}, scope="issue")
        except Refused as error:
            if error.status in (403, 404):
                return None  # deleted, or hidden from us
            raise
        return id_of(row) if id_of(row).isdigit() else None
