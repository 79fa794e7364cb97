"""How the simulated GitHub pages its lists: by page with a limit, or by a cursor that never drifts."""

import base64
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from services.simulator.answers import number, page_size
from services.simulator.github_shapes import Event, events
from services.simulator.model import Container, Item
from services.simulator.world import World

MOST = 100
_DEEPEST_PAGE = 100
_MOST_EVENTS = 40_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Unprocessable(Exception):
    """A request that GitHub answers with 422."""


class Lists:
    """The sorted lists of a host, kept until the world changes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._revision = -1
        self._issues: dict[tuple[int, str], tuple[list[Item], list[tuple[int, int]]]] = {}
        self._events: dict[int, list[Event]] = {}

    def issues(self, where: Container, request: Request, here: str) -> tuple[list[Item], dict[str, str]]:
        """One page of a repository's issues, and the headers that lead to the next. Raises Unprocessable."""
        asked = request.query_params
        page, size = max(1, number(asked.get("page"), 1)), page_size(request, number(asked.get("per_page"), 30), MOST)
        after = asked.get("after")
        if page >= _DEEPEST_PAGE and after is None:
            raise Unprocessable(
                "Pagination with the page parameter is not supported for large datasets, please use cursor based "
                "pagination (after/before)"
            )
        found = self._matching(where, request, _opened(after) if after else None)
        if after is None:
            found = islice(found, (page - 1) * size, None)
        rows = list(islice(found, size + 1))
        if len(rows) <= size:
            return rows, {}
        by = "updated" if asked.get("sort") == "updated" else "created"
        cursor = _sealed(_rank(rows[size - 1], by))
        return rows[:size], _link(request, here, {"after": cursor, "page": str(page + 1)})

    def events(self, where: Container) -> list[Event]:
        """All events of a repository, newest first."""
        self._forget()
        if where.id not in self._events:
            found = [one for item in where.items for one in events(self._world, item)]
            self._events[where.id] = sorted(found, key=lambda one: one[:2], reverse=True)
        return self._events[where.id]

    def _matching(self, where: Container, request: Request, after: tuple[int, int] | None) -> Iterator[Item]:
        asked = request.query_params
        by = "updated" if asked.get("sort") == "updated" else "created"
        descending = asked.get("direction", "desc") == "desc"
        items, ranks = self._in_order(where, by)
        since = _since(asked.get("since"))
        if since is not None and since <= _EPOCH:
            return  # what the real host does, too
        begin, end = 0, len(items)
        if since is not None and by == "updated":
            begin = bisect_left(ranks, (_seconds(since),))
        if after is not None:
            begin, end = (begin, bisect_left(ranks, after)) if descending else (bisect_right(ranks, after), end)
        places = range(end - 1, begin - 1, -1) if descending else range(begin, end)
        state, labels = asked.get("state", "open"), {one.lower() for one in asked.get("labels", "").split(",") if one}
        milestone = asked.get("milestone")
        for place in places:
            item = items[place]
            if (
                (state == "all" or item.status == state)
                and (since is None or item.updated >= since)
                and labels <= {one.lower() for one in item.labels}
                and (milestone is None or self._has_milestone(item, milestone))
            ):
                yield item

    def _has_milestone(self, item: Item, wanted: str) -> bool:
        numbers = [self._world.milestones[one].number for one in item.milestones if one in self._world.milestones]
        if wanted in ("*", "none"):
            return bool(numbers) is (wanted == "*")
        return wanted.isdigit() and int(wanted) in numbers

    def _in_order(self, where: Container, by: str) -> tuple[list[Item], list[tuple[int, int]]]:
        self._forget()
        if (where.id, by) not in self._issues:
            items = sorted(where.items, key=lambda item: _rank(item, by))
            self._issues[where.id, by] = items, [_rank(item, by) for item in items]
        return self._issues[where.id, by]

    def _forget(self) -> None:
        if self._revision != self._world.revision:
            self._issues.clear()
            self._events.clear()
            self._revision = self._world.revision


def paged(rows: Sequence[Any], request: Request, here: str) -> tuple[list[Any], dict[str, str]]:
    """One page of a list that GitHub pages by number, and its Link header. Raises Unprocessable."""
    asked = request.query_params
    page, size = max(1, number(asked.get("page"), 1)), page_size(request, number(asked.get("per_page"), 30), MOST)
    if (page - 1) * size >= _MOST_EVENTS:
        raise Unprocessable("In order to keep the API fast for everyone, pagination is limited for this resource.")
    begin = (page - 1) * size
    if begin + size >= len(rows):
        return list(rows[begin : begin + size]), {}
    further = {"next": str(page + 1), "last": str(-(-len(rows) // size))}
    links = [_link(request, here, {"page": at}, rel)["link"] for rel, at in further.items()]
    return list(rows[begin : begin + size]), {"link": ", ".join(links)}


def _link(request: Request, here: str, further: dict[str, str], rel: str = "next") -> dict[str, str]:
    asked = {name: value for name, value in request.query_params.items() if name not in ("page", "after")}
    return {"link": f'<{here}?{urlencode({**asked, **further})}>; rel="{rel}"'}


def _since(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Unprocessable(f"Validation Failed: since is no time: {text[:40]}") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _seconds(moment: datetime) -> int:
    return int((moment - _EPOCH).total_seconds())


def _rank(item: Item, by: str) -> tuple[int, int]:
    return _seconds(item.updated if by == "updated" else item.created), item.id


def _sealed(rank: tuple[int, int]) -> str:
    return base64.urlsafe_b64encode(f"cursor:v2:{rank[0]}:{rank[1]}".encode()).decode()


def _opened(cursor: str) -> tuple[int, int]:
    try:
        head, version, seconds, id_ = base64.urlsafe_b64decode(cursor).decode().split(":")
        if (head, version) != ("cursor", "v2"):
            raise ValueError(cursor)
        return int(seconds), int(id_)
    except ValueError:
        raise Unprocessable("The cursor in after is invalid.") from None
