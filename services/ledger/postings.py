"""Pure bookkeeping: from an item's days to dated postings, exact to the last share."""

from collections.abc import Mapping, Sequence
from datetime import date
from operator import add, sub
from typing import Literal, NamedTuple

from schemas.amounts import POINT

Kind = Literal["added", "removed", "reestimated", "moved_in", "moved_out", "done", "effort"]
#: The reserved node of work that serves nothing; `run` is an ordinary node here.
UNALIGNED = "none"
UNTYPED = ""

AMOUNTS = (
    "scope",
    "done",
    "scope_points",
    "done_points",
    "scope_pointed",
    "done_pointed",
    "scope_seconds",
    "done_seconds",
    "scope_timed",
    "done_timed",
    "effort",
)
#: One integer a column of `AMOUNTS`.
Amounts = tuple[int, ...]
NOTHING: Amounts = (0,) * len(AMOUNTS)

#: (day, node, item type, kind)
PostingKey = tuple[date, str, str, Kind]
Postings = dict[PostingKey, Amounts]


class Day(NamedTuple):
    """How an item counts at the end of a day.

    ``alignment`` are (node, share) pairs that sum to `SHARE`; ``points`` are thousandths, ``seconds`` the time
    estimate; ``broken_down`` means that children count in its place.
    """

    in_scope: bool
    broken_down: bool
    done: bool
    type: str
    points: int | None
    seconds: int | None
    alignment: tuple[tuple[str, int], ...]

    @property
    def counts(self) -> bool:
        return self.in_scope and not self.broken_down


def thousandths(points: float | None) -> int | None:
    """An estimate in points as an exact integer; None where there is none."""
    return None if points is None else round(points * POINT)


def _amounts(share: int, day: Day) -> Amounts:
    points, seconds = day.points, day.seconds
    pointed = share if points is not None else 0
    timed = share if seconds is not None else 0
    in_points = share * (points or 0)
    in_seconds = share * (seconds or 0)
    if day.done:
        return (share, share, in_points, in_points, pointed, pointed, in_seconds, in_seconds, timed, timed, 0)
    return (share, 0, in_points, 0, pointed, 0, in_seconds, 0, timed, 0, 0)


def plus(a: Amounts, b: Amounts) -> Amounts:
    """The sum, column by column."""
    return tuple(map(add, a, b))


def minus(a: Amounts, b: Amounts) -> Amounts:
    """The difference, column by column."""
    return tuple(map(sub, a, b))


def _book(postings: Postings, key: PostingKey, amounts: Amounts) -> None:
    if any(amounts):
        total = plus(postings[key], amounts) if key in postings else amounts
        if any(total):
            postings[key] = total
        else:
            postings.pop(key, None)


def _kind(before: Day, after: Day, old_share: int, new_share: int) -> Kind:
    if not before.in_scope:
        return "added"
    if not after.in_scope:
        return "removed"
    if before.broken_down != after.broken_down:
        return "reestimated"
    if new_share > old_share:
        return "moved_in"
    return "moved_out" if new_share < old_share else "reestimated"


def _book_change(postings: Postings, on: date, before: Day | None, after: Day) -> None:
    if before is None:
        for node, share in after.alignment if after.counts else ():
            _book(postings, (on, node, after.type, "added"), _amounts(share, after))
        return
    if after[:2] == before[:2] and after[3:] == before[3:]:  # only `done` differs
        for node, share in after.alignment if after.counts else ():
            _book(postings, (on, node, after.type, "done"), minus(_amounts(share, after), _amounts(share, before)))
        return
    old = dict(before.alignment) if before.counts else {}
    new = dict(after.alignment) if after.counts else {}
    for node in sorted(old.keys() | new.keys()):
        old_share, new_share = old.get(node, 0), new.get(node, 0)
        was = _amounts(old_share, before) if old_share else NOTHING
        now = _amounts(new_share, after) if new_share else NOTHING
        if was == now and before.type == after.type:
            continue
        kind = _kind(before, after, old_share, new_share)
        if kind in ("moved_in", "moved_out") and old_share and new_share:
            # Part of it moved at the old weight; what is left of the change is a new estimate.
            moved = minus(_amounts(new_share, before), was)
            _book(postings, (on, node, before.type, kind), moved)
            was, kind = plus(was, moved), "reestimated"
        if before.type != after.type and was != NOTHING:
            _book(postings, (on, node, before.type, kind), minus(NOTHING, was))
            _book(postings, (on, node, after.type, kind), now)
            continue
        change = now if was is NOTHING else minus(now, was)
        _book(postings, (on, node, after.type, kind if any(change[:10:2]) else "done"), change)


def postings(days: Sequence[tuple[date, Day]]) -> Postings:
    """What an item books, day by day: the differences between its days' ends.

    The sum of all amounts up to a day is how the item counts at that day's end.
    """
    booked: Postings = {}
    before: Day | None = None
    for on, day in days:
        if day != before:
            _book_change(booked, on, before, day)
        before = day
    return booked


def effort(
    spent: Sequence[tuple[date, int]], alignment: Sequence[tuple[date, tuple[tuple[str, int], ...]]]
) -> Postings:
    """Seconds spent, booked on the day they became known, by that day's alignment.

    ``spent`` is the running total at each day's end. Effort follows the item whether or not it counts as scope.
    """
    booked: Postings = {}
    total = 0
    for on, seconds in spent:
        if seconds == total:
            continue
        shares: tuple[tuple[str, int], ...] = ()
        for since, aligned in alignment:
            if since > on:
                break
            shares = aligned
        for node, share in shares:
            _book(booked, (on, node, UNTYPED, "effort"), (*NOTHING[:10], share * (seconds - total)))
        total = seconds
    return booked


def difference(new: Mapping[PostingKey, Amounts], old: Mapping[PostingKey, Amounts]) -> dict[PostingKey, Amounts]:
    """What has to be added to `old` to make it `new`; equal postings are left out."""
    changed = {key: minus(NOTHING, amounts) for key, amounts in old.items() if key not in new}
    for key, amounts in new.items():
        before = old.get(key)
        if before is None:
            changed[key] = amounts
        elif before != amounts:
            changed[key] = minus(amounts, before)
    return changed
