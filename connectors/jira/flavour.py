"""What a Jira of either kind, Cloud or Data Center, is asked for; each has a reading of its own."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from connectors.base import Container, Unreachable
from connectors.jira.client import JiraClient
from connectors.jira.moments import Moments
from connectors.jira.progress import Window
from connectors.jira.rows import Row, id_of, rows_of
from connectors.pacing import Priority

#: Jira gives at most so many issues a page when fields are asked for.
PAGE = 100


class Step(NamedTuple):
    """A page of a window: its issues that were not given yet, and whether the window is proven whole with it.

    The rest is where to go on from after this page; see `connectors.jira.progress.Window`.
    """

    rows: Sequence[Any]
    last: bool
    anchor: datetime | None  #: None: as before
    before: int
    seen: int


class Flavour(Protocol):
    """One site's way to be read. Every call may raise what the client raises, and Unreachable for what is no answer."""

    name: str  #: as `connectors.base.Discovery` tells it
    api: str  #: the version of the REST API that single issues are asked of
    largest_window: int  #: a window of creation with more issues is split
    moments: Moments  #: how its queries are bounded

    async def projects(self) -> list[Container]:
        """All that can be seen, archived and trashed ones where the site tells of them."""
        ...

    async def versions(self, container: Container) -> list[Row]: ...

    async def count(self, query: str, priority: Priority = Priority.BACKFILL) -> int: ...

    async def edge(self, container: Container, order: str) -> datetime | None:
        """When the first (ASC) or last (DESC) issue was created; None where there is none."""
        ...

    def window(self, container: Container, window: Window, fields: list[str]) -> AsyncGenerator[Step, None]:
        """One window's issues page by page, each once, to a proven end."""
        ...

    def changed(self, container: Container, cursor: datetime, fields: list[str]) -> AsyncGenerator[list[Any], None]:
        """The issues that changed since the start of the last complete pass, with an overlap, to a proven end."""
        ...

    async def present(self, container: Container) -> dict[str, datetime | None]:
        """The ids of all issues, to a proven end; with the time of the last change where the list tells it."""
        ...

    async def recent(self, container: Container) -> dict[str, datetime]:
        """When the issues that changed in the last day did, where `present` does not tell it: the search may learn of
        a change long after a poll has looked for it."""
        ...

    async def ids_of(self, keys: Iterable[str]) -> dict[str, str]:
        """The ids of the issues of these keys, of those that can be seen."""
        ...

    async def histories(self, ids: Sequence[str], priority: Priority) -> Mapping[str, list[Row] | None]:
        """Every issue's whole changelog; None for one that is gone since it was listed."""
        ...

    async def bulk(
        self, ids: Sequence[str], fields: list[str], priority: Priority = Priority.HINT
    ) -> tuple[dict[str, Row], set[str]]:
        """The issues that are there, and the ids that Jira could not tell of now; others are asked for alone."""
        ...


async def listed(
    client: JiraClient, path: str, asked: Mapping[str, Any] | None = None, *, size: int = 100, **how: Any
) -> list[Row]:
    """A list that is paged by offset, to its proven end: it says that a page is the last, or how many there are.

    Raises Unreachable where it ends before, goes in a circle, or is no list.
    """
    source = client.config.name
    found: dict[str, Row] = {}
    seen = 0
    while True:
        page = await client.get(path, {**(asked or {}), "startAt": seen, "maxResults": size}, **how)
        if not isinstance(page.get("values"), list):
            raise Unreachable(f"a page of {path} has no list of values", source=source)
        rows, known = rows_of(page["values"]), len(found)
        found |= {id_of(row): row for row in rows}
        seen += len(page["values"])
        last, total = page.get("isLast"), page.get("total")
        if last is True or (last is None and isinstance(total, int) and seen >= total):
            return list(found.values())
        if len(found) == known:
            raise Unreachable(f"the pages of {path} end before their end", source=source)


def issues_in(page: dict[str, Any], source: str) -> dict[str, Any]:
    """A page of a search that is one. Raises Unreachable otherwise."""
    if not isinstance(page.get("issues"), list):
        raise Unreachable("a page of the search has no list of issues", source=source)
    return page


def number_in(answer: Mapping[str, Any], name: str, source: str) -> int:
    """A count. Raises Unreachable where there is none."""
    number = answer.get(name)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise Unreachable(f"a count of issues says no {name}", source=source)
    return number


def container(row: Row, state: Any) -> Container:
    """A project's row."""
    return Container(id=str(row.get("id")), key=str(row.get("key")), title=str(row.get("name", "")), state=state)
