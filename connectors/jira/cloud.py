"""Jira Cloud's own reading: searches in chains of page tokens, counts that are estimates, changelogs in bulk."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors.ahead import together
from connectors.base import Container, Unreachable
from connectors.jira import jql
from connectors.jira.account import Account
from connectors.jira.chain import Chain
from connectors.jira.client import JiraClient, Refused
from connectors.jira.flavour import PAGE, Step, container, issues_in, listed, number_in
from connectors.jira.moments import Moments
from connectors.jira.progress import Window
from connectors.jira.rows import Row, id_of, rows_of, time_of
from connectors.jira.sizes import PageSize
from connectors.pacing import Priority

#: So many issues a page when nothing but ids is asked for.
_IDS = 5000
#: So many issues at once where they are asked for by their ids, and so many changes of their histories.
_BULK, _CHANGES = 100, 1000
#: The search learns of changes late, by minutes as a rule; a day and a bit is beyond all that was reported.
_RECENT = timedelta(hours=26)


class Cloud:
    """See `connectors.jira.flavour.Flavour`."""

    name = "jira-cloud"
    api = "api/3"
    largest_window = 20_000

    def __init__(self, client: JiraClient, account: Account) -> None:
        self._client = client
        self._account = account
        self._source = client.config.name
        self._bulk_history = True
        self._sizes = {"issues": PageSize(PAGE), "ids": PageSize(_IDS), "history": PageSize(_CHANGES)}
        self._sizes |= {"bulk": PageSize(_BULK)}
        self.moments = Moments(self._first, account)

    async def projects(self) -> list[Container]:
        found: dict[str, Container] = {}
        states = ("live", "live"), ("archived", "archived"), ("trashed", "deleted")
        lists = await together(
            [listed(self._client, "api/3/project/search", {"status": status}, size=50) for _, status in states]
        )
        for (state, _), rows in zip(states, lists, strict=True):
            for row in rows:
                found.setdefault(id_of(row), container(row, state))
        return list(found.values())

    async def versions(self, container: Container) -> list[Row]:
        return await listed(self._client, f"api/3/project/{container.id}/version", scope="versions")

    async def count(self, query: str, priority: Priority = Priority.BACKFILL) -> int:
        body = {"jql": jql.unordered(query)}
        answer = await self._client.post("api/3/search/approximate-count", body, priority=priority)
        return number_in(answer, "count", self._source)

    async def edge(self, container: Container, order: str) -> datetime | None:
        query = f"project = {container.id} ORDER BY created {order}"
        rows = await self._first(query, ["created"])
        return time_of(rows[0], "created") if rows else None

    async def _first(self, query: str, fields: list[str]) -> list[Row]:
        return rows_of((await self.search(query, fields, size=1, token=None))["issues"])

    # -- searching ---------------------------------------------------------------------------------------------

    async def window(self, container: Container, window: Window, fields: list[str]) -> AsyncGenerator[Step, None]:
        """To the proven end of its token chain."""
        start = window.anchor or window.start
        chain = Chain(self._source)
        known: set[str] = set()
        # An older checkpoint does not tell what came before its anchor: those of its moment are counted twice then.
        seen = (window.before or window.seen) if window.anchor is not None else 0
        latest = 0  #: how many of them are of the last moment
        begin, query = start, await self._window(container, start, window.end)
        while True:
            page = await self._page_of(chain, query, fields, Priority.BACKFILL)
            if page is None:  # the rest of the window, less what is known of its first moment
                query = await self._window(container, start, window.end)
                continue
            rows = [row for row in page["issues"] if not id_of(row) or id_of(row) not in known]
            rows = [row for row in rows if _within(row, begin, window.end)]
            known.update(id_of(row) for row in rows)
            seen += len(rows)
            times = [at for row in rows if (at := time_of(row, "created")) is not None]
            if times:
                latest = times.count(max(times)) + (latest if max(times) == start else 0)
                start = max(times)
            more = chain.follow(page, fruitful=bool(rows))
            yield Step(rows, not more, start if times else None, seen - latest, seen)
            if not more:
                return

    async def _window(self, container: Container, start: datetime | None, end: datetime | None) -> str:
        query, _ = await self.moments.window(container.id, start, end, slack=_RECENT)
        return query

    async def changed(
        self, container: Container, cursor: datetime, fields: list[str]
    ) -> AsyncGenerator[list[Any], None]:
        """The query is anchored anew after each page.

        While we page, changed issues only move behind the anchor, so none is passed over.
        """
        now = await self._account.now()
        anchor = latest = jql.polled_from(cursor, now, jql.OVERLAP_MIN)
        known: dict[str, Any] = {}
        chain = Chain(self._source)
        query = jql.changed(container.id, anchor, now)
        while True:
            page = await self._page_of(chain, query, fields, Priority.POLL)
            if page is not None:
                rows = [
                    row
                    for row in page["issues"]
                    if id_of(row) not in known or known[id_of(row)] != time_of(row, "updated")
                ]
                known |= {id_of(row): time_of(row, "updated") for row in rows if id_of(row)}
                if rows:
                    yield rows
                if not chain.follow(page, fruitful=bool(rows)):
                    return
                times = [at for row in page["issues"] if (at := time_of(row, "updated")) is not None]
                latest = max(times, default=latest)
            if page is None or latest - anchor >= timedelta(minutes=2):
                anchor = latest
                chain.begin_again()
                query = jql.changed(container.id, anchor, await self._account.now())

    async def _page_of(self, chain: Chain, query: str, fields: list[str], priority: Priority) -> dict[str, Any] | None:
        """The next page of a chain of whole issues; None where its token has expired, and the chain begins again."""
        try:
            return await self.search(query, fields, size=PAGE, token=chain.token, priority=priority)
        except Refused as error:
            if error.status != 400 or not chain.renew():
                raise
            return None

    async def ids_of(self, keys: Iterable[str]) -> dict[str, str]:
        """None: Cloud gives every parent with its id."""
        return {}

    async def search(
        self, query: str, fields: list[str], *, size: int, token: str | None, priority: Priority = Priority.POLL
    ) -> dict[str, Any]:
        """One page of a search, its shape proven."""
        body: dict[str, Any] = {"jql": query, "fields": fields} | ({"nextPageToken": token} if token else {})
        page, _ = await self._client.post_sized(
            "api/3/search/jql",
            self._sizes["ids" if size > PAGE else "issues"],
            size,
            lambda most: body | {"maxResults": most},
            scope="search",
            priority=priority,
        )
        return issues_in(page, self._source)

    async def present(self, container: Container) -> dict[str, datetime | None]:
        """By ids alone, 5,000 a page."""
        found: dict[str, datetime | None] = {}
        chain, query = Chain(self._source), jql.window(container.id, None, None)
        while True:
            page = await self.search(query, ["id"], size=_IDS, token=chain.token, priority=Priority.CENSUS)
            known = len(found)
            found |= dict.fromkeys(id_of(row) for row in rows_of(page["issues"]))
            if not chain.follow(page, fruitful=len(found) > known):
                return found

    async def recent(self, container: Container) -> dict[str, datetime]:
        now = await self._account.now()
        chain, query = Chain(self._source), jql.changed(container.id, now - _RECENT, now)
        found: dict[str, datetime] = {}
        while True:
            page = await self.search(query, ["updated"], size=PAGE, token=chain.token, priority=Priority.CENSUS)
            known = len(found)
            found |= {id_of(row): at for row in page["issues"] if (at := time_of(row, "updated")) is not None}
            if not chain.follow(page, fruitful=len(found) > known):
                return found

    # -- single issues -----------------------------------------------------------------------------------------

    async def histories(self, ids: Sequence[str], priority: Priority) -> Mapping[str, list[Row] | None]:
        """In bulk where the site can, one by one elsewhere."""
        if not ids:
            return {}
        if self._bulk_history:
            try:
                return await self._bulk_histories(ids, priority)
            except Refused as error:
                if error.status not in (404, 405):
                    raise
                self._bulk_history = False
        alone = await together(self._history(id_, priority) for id_ in ids)
        return dict(zip(ids, alone, strict=True))

    async def _history(self, id_: str, priority: Priority) -> list[Row] | None:
        try:
            return await listed(self._client, f"api/3/issue/{id_}/changelog", scope="history", priority=priority)
        except Refused as error:
            if error.status == 404:
                return None  # deleted since it was listed, or hidden: a census will tell
            raise

    async def _bulk_histories(self, ids: Sequence[str], priority: Priority) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        known: set[tuple[str, str]] = set()
        chain = Chain(self._source)
        while True:
            body = {"issueIdsOrKeys": list(ids)} | ({"nextPageToken": chain.token} if chain.token else {})
            page, _ = await self._client.post_sized(
                "api/3/changelog/bulkfetch",
                self._sizes["history"],
                _CHANGES,
                lambda most, body=body: body | {"maxResults": most},  # type: ignore[misc]
                scope="history",
                priority=priority,
            )
            if not isinstance(page.get("issueChangeLogs"), list):
                raise Unreachable("a page of changelogs has no list of them", source=self._source)
            before = len(known)
            for log in rows_of(page["issueChangeLogs"]):
                rows = rows_of(log.get("changeHistories"))
                found.setdefault(str(log.get("issueId")), []).extend(rows)
                known.update((str(log.get("issueId")), id_of(row)) for row in rows)
            if not chain.follow(page, fruitful=len(known) > before):
                return found

    async def bulk(
        self, ids: Sequence[str], fields: list[str], priority: Priority = Priority.HINT
    ) -> tuple[dict[str, Row], set[str]]:
        """Answers are told by the ids that they name: a moved issue comes under its own id and another key."""
        found: dict[str, Row] = {}
        unsure: set[str] = set()
        rest = list(ids)
        while rest:
            body = {"fields": fields, "fieldsByKeys": False}
            try:
                page, size = await self._client.post_sized(
                    "api/3/issue/bulkfetch",
                    self._sizes["bulk"],
                    len(rest),
                    lambda most: body | {"issueIdsOrKeys": rest[:most]},  # noqa: B023 - asked in this turn
                    scope="bulkfetch",
                    priority=priority,
                )
            except Refused as error:
                if error.status in (400, 404, 405, 410):
                    return found, unsure  # not of this site: every other issue is asked for alone
                raise
            if not isinstance(page.get("issues"), list):
                raise Unreachable("an answer about single issues has no list of them", source=self._source)
            asked, rest = rest[:size], rest[size:]
            errors = page.get("issueErrors")
            failed = {str(one.get("id")) for one in errors or () if isinstance(one, Mapping)}
            rows = {str(row.get("id")): row for row in page["issues"] if isinstance(row, Mapping)}
            found |= {id_: rows[id_] for id_ in asked if id_ in rows}
            unsure |= {id_ for id_ in asked if id_ in failed and id_ not in rows}
        return found, unsure


def _within(row: Any, start: datetime | None, end: datetime | None) -> bool:
    """Whether an issue belongs to a window; one that tells no time of creation is never left out."""
    at = time_of(row, "created")
    return at is None or ((start is None or at >= start) and (end is None or at < end))
