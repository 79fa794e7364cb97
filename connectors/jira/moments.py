"""How a site is told of a moment: exactly where it proves that it reads epoch milliseconds, else by minutes ago.

A date without a zone is read in the zone of the account, where one hour of the year is ambiguous: none is ever sent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors.jira import jql
from connectors.jira.account import Account
from connectors.jira.client import Refused
from connectors.jira.rows import id_of, time_of

#: Asks for one issue: the query, and the fields that are wanted of it.
First = Callable[[str, list[str]], Awaitable[Sequence[Any]]]


class Moments:
    """The bounds of one site's queries. Whether it reads epochs is asked once, of one issue, in two requests."""

    def __init__(self, first: First, account: Account) -> None:
        self._first = first
        self._account = account
        self._exact: bool | None = None
        self._asking = asyncio.Lock()

    async def exact(self, project: str) -> bool:
        """Whether epoch milliseconds mean what they should. A project without issues proves nothing and loses none."""
        async with self._asking:
            if self._exact is None:
                self._exact = await self._probe(project)
            return self._exact is not False

    async def _probe(self, project: str) -> bool | None:
        # The one that changed longest ago: it hardly changes between the two questions.
        rows = await self._first(f"project = {project} ORDER BY updated ASC, key ASC", ["updated"])
        at = time_of(rows[0], "updated") if rows else None
        if at is None or not id_of(rows[0]).isdigit():
            return None
        try:
            found = await self._first(jql.changed_at(id_of(rows[0]), at), ["updated"])
        except Refused as error:
            if error.status != 400:
                raise
            return False
        return [id_of(row) for row in found] == [id_of(rows[0])]

    async def window(
        self, project: str, start: datetime | None, end: datetime | None, *, slack: timedelta
    ) -> tuple[str, datetime | None]:
        """A query that lists all created in [start, end), and a moment before which it lists none.

        Without epochs it lists more: from up to ``slack`` before the start, as the site's clock goes on while we
        page, and without an end.
        """
        if (start is None and end is None) or await self.exact(project):
            return jql.window(project, start, end), start
        if start is None:
            return jql.window(project, None, None), None
        query = jql.created_since(project, start - slack, await self._account.now())
        return query, start - slack - timedelta(minutes=2)

    async def changed_from(self, project: str, since: datetime) -> tuple[str, timedelta]:
        """A query for what changed since the time that an issue told, and how much more than that it may list."""
        if await self.exact(project):
            return jql.changed_from(project, since), timedelta()
        return jql.changed(project, since, await self._account.now()), timedelta(minutes=2)
