"""The proof that a list paged by offset is whole: pages overlap by one issue, and no total is larger than what came.

A Data Center has several nodes, each with an index of its own; two pages of one list may come from two of them. And
what is deleted while we page moves all that follows up by one.
"""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from connectors.base import Unreachable
from connectors.jira.moments import Moments
from connectors.jira.rows import id_of, time_of
from connectors.pacing import Priority

#: So far into a list an offset goes; a search fails beyond 10,000 issues, or fewer where the administrator says so.
REACH = 8_000
#: So far a query without epochs reaches back over what is listed: longer than a page takes.
_SLACK = timedelta(minutes=2)


class Inconsistent(Exception):
    """Two pages do not follow each other, or fewer issues came than one of them told."""


class Beyond(Exception):
    """The site's search does not reach so far."""


class Search(Protocol):
    """A site that is searched by offset."""

    moments: Moments

    async def page(
        self, query: str, fields: list[str], start: int, size: int, priority: Priority
    ) -> dict[str, Any]: ...


class Run:
    """One reading of the issues created in [start, end). ``before`` are those known of already, older than start."""

    def __init__(self, search: Search, project: str, start: datetime | None, end: datetime | None, before: int) -> None:
        self._search = search
        self._project = project
        self._start = start
        self._end = end
        self._before = before
        self._created: dict[str, datetime | None] = {}  #: of all that came, in their order
        self._nameless = 0  #: rows without an id, which are counted and quarantined
        self._latest: datetime | None = None

    def reached(self) -> tuple[datetime | None, int, int]:
        """The second up to which all came, and how many came from before it and in all, what was known included."""
        if self._latest is None:
            return None, 0, self._came
        return self._latest, self._before + self._older(self._latest), self._came

    @property
    def _came(self) -> int:
        return self._before + self._nameless + len(self._created)

    async def pages(
        self, fields: list[str], size: int, priority: Priority
    ) -> AsyncGenerator[tuple[Sequence[Any], bool], None]:
        """What each page brought, and whether it was the last. Raises Inconsistent where the whole cannot be proven."""
        anchor, offset, last, told, reach = self._start, 0, "", 0, REACH
        fields = [*dict.fromkeys([*fields, "created"])]
        query, floor = await self._search.moments.window(self._project, anchor, self._end, slack=_SLACK)
        while True:
            start = max(0, offset - 1)
            try:
                if start + size > max(reach, size):
                    raise Beyond("no offset goes so far")
                page = await self._search.page(query, fields, start, size, priority)
            except Beyond as error:
                if self._latest is None or self._latest == anchor:
                    raise Unreachable(
                        f"more issues than the search reaches were created in one second: {error}"
                    ) from error
                reach = min(reach, offset)
                anchor, offset = self._latest, 0
                query, floor = await self._search.moments.window(self._project, anchor, self._end, slack=_SLACK)
                continue
            rows: list[Any] = page["issues"]
            if last and not rows:
                raise Inconsistent(f"an empty page at {start} of {page['total']}")
            if last and (id_of(rows[0]) != last if offset else id_of(rows[0]) not in self._created):
                raise Inconsistent(f"the page at {start} does not follow the one before")
            fresh = [row for row in rows if not id_of(row) or id_of(row) not in self._created]
            self._nameless += sum(1 for row in fresh if not id_of(row))
            told = max(told, self._before + self._older(floor) + page["total"])
            self._created |= {id_of(row): time_of(row, "created") for row in fresh if id_of(row)}
            times = [at for row in rows if (at := time_of(row, "created")) is not None]
            if times:
                self._latest = max(times).replace(microsecond=0)
            ends = start + len(rows) >= page["total"]
            if ends and self._came < told:
                raise Inconsistent(f"{self._came} issues of {told} came")
            if not rows and not ends:
                raise Inconsistent(f"an empty page at {start} of {page['total']}")
            yield fresh, ends
            if ends:
                return
            offset, last = start + len(rows), id_of(rows[-1])

    def _older(self, than: datetime | None) -> int:
        if than is None or than == self._start:
            return 0
        return sum(1 for at in self._created.values() if at is not None and at < than)
