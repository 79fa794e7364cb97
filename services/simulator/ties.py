"""Links among the items of the simulated trackers: one blocks another, a pull request closes an issue."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

TieKind = Literal["Blocks", "Duplicate", "Relates", "closes"]


@dataclass(frozen=True, slots=True)
class Tie:
    """``subject`` does it to ``object``: it blocks it. Both are ids of items, of which either may be gone."""

    id: int
    kind: TieKind
    subject: int
    object: int


@dataclass
class Ties:
    """Every link there is, found from either end."""

    _ids: Iterator[int] = field(default_factory=lambda: count(20_001))
    _by_end: dict[int, dict[int, Tie]] = field(default_factory=dict)

    def add(self, kind: TieKind, subject: int, object_: int) -> Tie:
        tie = Tie(next(self._ids), kind, subject, object_)
        for end in (subject, object_):
            self._by_end.setdefault(end, {})[tie.id] = tie
        return tie

    def remove(self, tie: Tie) -> None:
        for end in (tie.subject, tie.object):
            self._by_end.get(end, {}).pop(tie.id, None)

    def drop(self, item: int) -> None:
        """An item is gone, and its links with it."""
        for tie in self.of(item):
            self.remove(tie)

    def of(self, item: int) -> tuple[Tie, ...]:
        """The links of an item, in the order they were made."""
        return tuple(self._by_end.get(item, {}).values())
