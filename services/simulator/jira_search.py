"""How the simulated Jira site searches: sorted once for each state of the world, paged by a token."""

import base64
import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from services.simulator.jql import Epoch, InvalidJql, Order, Query, milliseconds, parse
from services.simulator.model import Item
from services.simulator.world import World

_TOKEN_LIFE = timedelta(days=7)
_INVALID_TOKEN = "The provided next page token is invalid or expired."  # noqa: S105 - a message, no secret
Rank = tuple[int, ...]


class _Token(msgspec.Struct):
    query: str
    after: list[int]
    issued: datetime


class Search:
    """The search of a site.

    A page begins after the last item of the page before, wherever that stands by then: what was updated in the
    meantime moves in an order by ``updated`` and is met again. ``lag`` is how late the index learns of a change.
    """

    def __init__(self, world: World, zone: ZoneInfo, lag: timedelta = timedelta()) -> None:
        self._world = world
        self._zone = zone
        self.lag = lag
        self.epoch: Epoch = lambda number: number  #: see `services.simulator.jql.parse`
        self._sorted: dict[object, tuple[list[Item], list[Rank]]] = {}
        self._revision = -1

    def page(self, text: str, size: int, token: str | None) -> tuple[list[Item], str | None]:
        """The items of one page, and the token of the next where there is one. Raises InvalidJql."""
        query = self._parse(text)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        after = self._open(token, digest) if token else None
        found: list[tuple[Item, Rank]] = []
        for item, rank in self._matching(query, after):
            if len(found) == size:
                last = found[-1][1]
                return [one for one, _ in found], self._seal(digest, last)
            found.append((item, rank))
        return [one for one, _ in found], None

    def count(self, text: str) -> int:
        """How many items match. Raises InvalidJql."""
        return sum(1 for _ in self._matching(self._parse(text), None))

    def updated(self, item: Item) -> datetime:
        """When the index believes that an item was updated."""
        seen = self._world.now - self.lag
        if not self.lag or item.updated <= seen:
            return item.updated
        return max((change.at for change in item.history if change.at <= seen), default=item.created)

    def _parse(self, text: str) -> Query:
        query = parse(text, world=self._world, zone=self._zone, updated=self.updated, epoch=self.epoch)
        if not query.bounded:
            raise InvalidJql(
                "Unbounded JQL queries are not allowed here. Please add a search restriction to your query."
            )
        return query

    def _matching(self, query: Query, after: Rank | None) -> Iterator[tuple[Item, Rank]]:
        items, ranks = self._in_order(query)
        first, descending = query.order[0]
        low, high = query.since, query.before
        if first not in ("created", "updated"):
            low = high = None
        if descending:
            low, high = (None if high is None else -high), (None if low is None else -low + 1)
        begin = 0 if low is None else bisect_left(ranks, (low,))
        end = len(ranks) if high is None else bisect_left(ranks, (high,))
        if after is not None:
            begin = max(begin, bisect_right(ranks, after))
        indexed = self._world.now - self.lag
        for position in range(begin, end):
            item = items[position]
            if item.created <= indexed and query.holds(item):
                yield item, ranks[position]

    def _in_order(self, query: Query) -> tuple[list[Item], list[Rank]]:
        if self._revision != self._world.revision or self.lag:
            self._sorted.clear()
            self._revision = self._world.revision
        known = (query.order, query.projects)
        if known not in self._sorted:
            ranked = sorted(
                (self._rank(item, query.order), item.id)
                for container in self._world.containers.values()
                if container.tracker == "jira"
                and container.state == "live"
                and (query.projects is None or container.id in query.projects)
                for item in container.items
            )
            self._sorted[known] = [self._world.items[id_] for _, id_ in ranked], [(*rank, id_) for rank, id_ in ranked]
        return self._sorted[known]

    def _rank(self, item: Item, order: tuple[Order, ...]) -> Rank:
        parts: list[int] = []
        for field, descending in order:
            match field:
                case "created":
                    values = [milliseconds(item.created)]
                case "updated":
                    values = [milliseconds(self.updated(item))]
                case "key":
                    values = [item.container, item.number]
                case _:
                    values = [item.id]
            parts += [-value for value in values] if descending else values
        return tuple(parts)

    def _seal(self, digest: str, after: Rank) -> str:
        token = msgspec.json.encode(_Token(digest, list(after), self._world.now))
        return base64.urlsafe_b64encode(token).decode()

    def _open(self, token: str, digest: str) -> Rank:
        try:
            found = msgspec.json.decode(base64.urlsafe_b64decode(token), type=_Token)
        except ValueError:
            raise InvalidJql(_INVALID_TOKEN) from None
        if found.query != digest or self._world.now - found.issued > _TOKEN_LIFE:
            raise InvalidJql(_INVALID_TOKEN)
        return tuple(found.after)
