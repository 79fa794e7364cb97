"""Jira Data Center's own reading: searches by offset with exact totals, and every changelog alone."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors.ahead import together
from connectors.base import Container
from connectors.jira import jql
from connectors.jira.account import Account
from connectors.jira.chain import Chain
from connectors.jira.client import JiraClient
from connectors.jira.flavour import PAGE, Step, container, issues_in, number_in
from connectors.jira.progress import Window
from connectors.jira.rows import Row, id_of, rows_of, time_of
from connectors.pacing import Priority


class DataCenter:
    """See `connectors.jira.flavour.Flavour`."""

    name = "jira-dc"
    api = "api/2"
    largest_window = 20_000

    def __init__(self, client: JiraClient, account: Account) -> None:
        self._client = client
        self._account = account
        self._source = client.config.name

    async def projects(self) -> list[Container]:
        rows = await self._client.get("api/2/project", {"includeArchived": "true"}, shape=list)
        return [container(row, "archived" if row.get("archived") else "live") for row in rows_of(rows)]

    async def versions(self, container: Container) -> list[Row]:
        return rows_of(await self._client.get(f"api/2/project/{container.id}/versions", shape=list))

    async def count(self, query: str) -> int:
        answer = await self._client.post("api/2/search", {"jql": query, "fields": ["key"], "maxResults": 0})
        return number_in(answer, "total", self._source)

    async def edge(self, container: Container, order: str) -> datetime | None:
        query = f"project = {container.id} ORDER BY created {order}"
        page = await self.search(query, ["created"], size=1, token=None)
        rows = rows_of(page["issues"])
        return time_of(rows[0], "created") if rows else None

    # -- searching ---------------------------------------------------------------------------------------------

    async def window(self, container: Container, window: Window, fields: list[str]) -> AsyncGenerator[Step, None]:
        chain = Chain(self._source)
        known: set[str] = set()
        query = jql.window(container.id, window.anchor or window.start, window.end)
        while True:
            page = await self.search(query, fields, size=PAGE, token=chain.token, priority=Priority.BACKFILL)
            rows = [row for row in page["issues"] if not id_of(row) or id_of(row) not in known]
            known.update(id_of(row) for row in rows)
            more = chain.follow(page, fruitful=bool(rows))
            yield Step(rows, not more)
            if not more:
                return

    async def changed(
        self, container: Container, cursor: datetime, fields: list[str]
    ) -> AsyncGenerator[list[Any], None]:
        anchor = latest = cursor - timedelta(minutes=jql.OVERLAP_MIN)
        known: dict[str, Any] = {}
        chain = Chain(self._source)
        query = jql.changed(container.id, anchor, await self._account.now())
        while True:
            page = await self.search(query, fields, size=PAGE, token=chain.token)
            rows = [
                row for row in page["issues"] if id_of(row) not in known or known[id_of(row)] != time_of(row, "updated")
            ]
            known |= {id_of(row): time_of(row, "updated") for row in rows if id_of(row)}
            if rows:
                yield rows
            if not chain.follow(page, fruitful=bool(rows)):
                return
            times = [at for row in page["issues"] if (at := time_of(row, "updated")) is not None]
            latest = max(times, default=latest)
            if latest - anchor >= timedelta(minutes=2):
                anchor = latest
                chain.begin_again()
                query = jql.changed(container.id, anchor, await self._account.now())

    async def search(
        self, query: str, fields: list[str], *, size: int, token: str | None, priority: Priority = Priority.POLL
    ) -> dict[str, Any]:
        start = int(token or 0)
        body = {"jql": query, "fields": fields, "maxResults": size, "startAt": start}
        answer = await self._client.post("api/2/search", body, scope="search", priority=priority)
        page = issues_in(answer, self._source)
        end = start + len(page["issues"])
        page["nextPageToken"] = str(end) if page["issues"] and end < int(page.get("total", 0)) else None
        return page

    # -- single issues -----------------------------------------------------------------------------------------

    async def histories(self, ids: Sequence[str], priority: Priority) -> dict[str, list[Row]]:
        """One by one: there is nothing in bulk."""
        found = await together(self._history(id_, priority) for id_ in ids)
        return dict(zip(ids, found, strict=True))

    async def _history(self, id_: str, priority: Priority) -> list[Row]:
        answer = await self._client.get(
            f"api/2/issue/{id_}", {"fields": "status", "expand": "changelog"}, scope="history", priority=priority
        )
        return rows_of((answer.get("changelog") or {}).get("histories"))

    async def bulk(self, ids: Sequence[str], fields: list[str]) -> tuple[dict[str, Row], set[str]]:
        return {}, set()
