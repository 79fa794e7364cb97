"""Pure: the course of an item's alignment through time, and what it books.

Two steps, because alignment flows down from parents and weight flows up from children: `course` needs what the
parents bequeath, `book` needs how many children count.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import attrgetter
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from schemas.amounts import SHARE
from schemas.work import WorkItem
from services.align.answers import Answers
from services.align.described import renamings
from services.align.rules import AncestorNames, Decided, Inherited, Row, Rules
from services.ledger.history import Snapshot, Timeline, day_ends, day_of, merged, micros, value_at
from services.ledger.postings import (
    UNALIGNED,
    UNTYPED,
    Day,
    Postings,
    effort,
    postings,
    thousandths,
)

#: No tracker nests deeper; a longer chain is cut.
_DEEPEST = 50
#: Types whose items are meant to have children; one without counts as one, and is flagged.
_MEANT_TO_BREAK_DOWN = frozenset({"epic", "initiative", "theme", "capability"})


class Bequest(msgspec.Struct, frozen=True, array_like=True):
    """What children inherit: own results on the way up, nearest first, and the names of all above them."""

    chain: tuple[Inherited, ...]
    lineage: tuple[AncestorNames, ...]


@dataclass(frozen=True)
class Version:
    """A strategy in force from a moment on, compiled."""

    number: int
    since: int  # microseconds; `BEGINNING` for the first
    rules: Rules


class Moment(NamedTuple):
    """How an item stood from some moment on."""

    state: Snapshot
    decided: Decided
    upward: str | None  #: the parent it weighs on; none on a cycle
    cycle: tuple[str, ...]  #: the other members of the cycle that it is on


class Course(msgspec.Struct, frozen=True):
    """An item's life as rules and parents see it."""

    moments: Timeline[Moment]
    bequests: Timeline[Bequest]
    companions: tuple[str, ...] = ()  #: all it ever was on a cycle with: what weighs on one member weighs on all

    @property
    def decided(self) -> Timeline[Decided]:
        """How it was aligned, and since when."""
        return merged([(at, moment.decided) for at, moment in self.moments])


def parents_of(life: Timeline[Snapshot], uid: str) -> set[str]:
    """Every parent the item has or had."""
    parents = {state.parent for _, state in life} - {None, uid}
    return {parent for parent in parents if parent is not None}


def _names(item: WorkItem) -> AncestorNames:
    keys = (item.key, *item.previous_keys)
    return (item.uid, *keys, *[f"{item.source}:{key}" for key in keys])


def _turning_points(
    life: Timeline[Snapshot],
    versions: Sequence[Version],
    parents: Mapping[str, Timeline[Bequest]],
    pins: Sequence[date],
    zone: ZoneInfo,
) -> list[int]:
    born = life[0][0]
    others = [version.since for version in versions if version.since > born]
    if pins:
        others += [at for at in (_next_midnight(last, zone) for last in pins) if at > born]
    if parents:
        for index, (began, state) in enumerate(life):
            bequests = parents.get(state.parent) if state.parent is not None else None
            if bequests is not None and len(bequests) > 1:
                ends = life[index + 1][0] if index + 1 < len(life) else _NEVER
                others += [at for at, _ in bequests if began < at < ends]
    points = [at for at, _ in life]
    return sorted({*others, *points}) if others else points


_NEVER = 2**63


def _next_midnight(day: date, zone: ZoneInfo) -> int:
    return micros(datetime.fromordinal(day.toordinal() + 1).replace(tzinfo=zone))


def course(
    item: WorkItem,
    life: Timeline[Snapshot],
    versions: Sequence[Version],
    parents: Mapping[str, Timeline[Bequest]],
    answers: Answers,
    zone: ZoneInfo,
) -> Course:
    """How the item was aligned at every moment of its life, from the strategies and from what parents bequeath."""
    names = _names(item)
    moments: Timeline[Moment] = []
    bequests: Timeline[Bequest] = []
    starts = [version.since for version in versions]
    began = [at for at, _ in life]
    pins = [last for version in versions for last in version.rules.pin_ends(names)]
    points = _turning_points(life, versions, parents, pins, zone)
    known: tuple[object, ...] = ()
    companions: set[str] = set()
    while points:
        at = points.pop(0)
        state = life[bisect_right(began, at) - 1][1]
        above = _above(item, state, parents, at)
        version = versions[max(bisect_right(starts, at) - 1, 0)]
        on = day_of(at, zone) if pins else _ANY_DAY
        evidence = (version.number, above, on, _EVIDENCE(state))
        if evidence == known:
            moments.append((at, Moment(state, *moments[-1][1][1:])))
            continue
        known = evidence
        cycle = _cycle(item.uid, above.lineage)
        companions.update(cycle)
        lineage = tuple([entry for entry in above.lineage if entry[0] != item.uid][:_DEEPEST])
        chain = tuple([entry for entry in above.chain if entry.uid != item.uid])
        own, decided, described = answers.of(version.rules, item, state, names, lineage, chain, at, on)
        if described:
            known = ()
            following = next((moved for moved in renamings(item) if moved > at), None)
            if following is not None and (not points or following < points[0]):
                points.insert(0, following)
        moments.append((at, Moment(state, decided, None if cycle else _parent(item, state), cycle)))
        passed_on = chain
        if own is not None and own.results:
            mine = Inherited.of(item.uid, own)
            passed_on = (mine, *[entry for entry in chain if entry.stronger_than(mine)])
        bequests.append((at, Bequest(passed_on, (names, *lineage))))
    return Course(merged(moments), merged(bequests), tuple(sorted(companions)))


#: What rules other than expressions look at in a state.
_EVIDENCE = attrgetter("container", "type", "labels", "components", "milestones", "parent", "team", "fields")
_EMPTY = Bequest((), ())
_ANY_DAY = date.min


def _parent(item: WorkItem, state: Snapshot) -> str | None:
    return None if state.parent == item.uid else state.parent


def _above(item: WorkItem, state: Snapshot, parents: Mapping[str, Timeline[Bequest]], at: int) -> Bequest:
    parent = _parent(item, state)
    timeline = parents.get(parent) if parent is not None else None
    # A child may be older than its parent: what the parent first had covers that too.
    return (value_at(timeline, at) or timeline[0][1]) if timeline else _EMPTY


def _cycle(uid: str, lineage: Sequence[AncestorNames]) -> tuple[str, ...]:
    above = [entry[0] for entry in lineage]
    return tuple(above[: above.index(uid)]) if uid in above else ()


class Booked(msgspec.Struct):
    """All that one item contributes, keyed as the tables are; amounts add up over items."""

    postings: Postings = {}
    headcounts: dict[tuple[str, date], int] = {}
    estimates: dict[tuple[str, str, date, int], int] = {}
    activity: dict[tuple[str, date], int] = {}
    finished: list[tuple[date, bool]] = []
    unbroken: bool = False


def broken_down_days(children: Iterable[tuple[date, int]]) -> list[tuple[date, bool]]:
    """From which day on children count in an item's place, given the daily changes of their number."""
    days: list[tuple[date, bool]] = []
    total = 0
    for day, change in sorted(children):
        total += change
        if (days[-1][1] if days else False) != (total > 0):
            days.append((day, total > 0))
    return days


def _in_force(days: Sequence[tuple[date, bool]], on: date) -> bool:
    found = False
    for day, value in days:
        if day > on:
            break
        found = value
    return found


def book(item: WorkItem, course: Course, children: Mapping[str, Sequence[tuple[date, int]]], zone: ZoneInfo) -> Booked:
    """What the item books: its postings, and what others must know of it.

    ``children`` are the daily changes in the number of children that count (or have descendants that do), of the
    item itself and of its companions.
    """
    broken = {uid: broken_down_days(changes) for uid, changes in children.items()}
    booked = Booked()
    days: list[tuple[date, Day]] = []
    spent: list[tuple[date, int]] = []
    nodes, upward = "", None
    estimates: set[tuple[str, str, int]] = set()
    for on, moment in _stretches(course, broken, zone):
        state = moment.state
        covered = False
        if broken:
            covered = any(_in_force(broken.get(uid, ()), on) for uid in (item.uid, *moment.cycle))
        day = _day_of(item, state, moment.decided, covered)
        days.append((on, day))
        spent.append((on, int(state.time_spent_s or 0)))
        booked.finished.append((on, state.finished))
        counts = day.counts
        before, nodes = nodes, " ".join([node for node, _ in day.alignment]) if counts else ""
        if nodes != before:
            _step(booked.headcounts, on, before, nodes)
        above, upward = upward, moment.upward if day.in_scope or covered else None
        if upward != above:
            _step(booked.activity, on, above, upward)
        known, estimates = estimates, _estimates(day) if counts else set()
        if estimates != known:
            _count_estimates(booked, on, known, estimates)
    booked.postings = postings(days)
    if any(seconds for _, seconds in spent):
        booked.postings |= effort(spent, [(on, day.alignment) for on, day in days])
    last = days[-1][1]
    booked.unbroken = last.counts and last.type.casefold() in _MEANT_TO_BREAK_DOWN
    return booked


def _stretches(
    course: Course, broken: Mapping[str, Sequence[tuple[date, bool]]], zone: ZoneInfo
) -> list[tuple[date, Moment]]:
    """Every day on which something changes, with how the item stood at its end."""
    ends = day_ends(course.moments, zone)
    if not broken:
        return ends
    known, moment = dict(ends), ends[0][1]
    stretches = []
    for on in sorted(known.keys() | {day for changes in broken.values() for day, _ in changes}):
        moment = known.get(on, moment)
        stretches.append((on, moment))
    return stretches


def _day_of(item: WorkItem, state: Snapshot, decision: Decided, covered: bool) -> Day:
    in_scope = state.in_scope and (item.kind != "pull_request" or decision.counts_pull_request)
    return Day(
        in_scope=in_scope,
        broken_down=covered,
        done=in_scope and state.status_category == "done",
        type=state.type or UNTYPED,
        points=thousandths(state.estimate_points),
        seconds=None if state.original_estimate_s is None else int(state.original_estimate_s),
        alignment=_shares(decision.rows),
    )


def _shares(rows: Sequence[Row]) -> tuple[tuple[str, int], ...]:
    if len(rows) == 1:
        return ((rows[0].node, rows[0].share),)
    shares: dict[str, int] = {}
    for row in rows:
        shares[row.node] = shares.get(row.node, 0) + row.share
    return tuple(sorted(shares.items())) or _UNALIGNED


_UNALIGNED = ((UNALIGNED, SHARE),)


def _estimates(day: Day) -> set[tuple[str, str, int]]:
    found: set[tuple[str, str, int]] = set()
    if day.points is not None:
        found.add(("points", day.type, day.points))
    if day.seconds is not None:
        found.add(("time", day.type, day.seconds))
    return found


def _count_estimates(
    booked: Booked, on: date, before: set[tuple[str, str, int]], after: set[tuple[str, str, int]]
) -> None:
    counts = booked.estimates
    for estimates, others, change in ((before, after, -1), (after, before, 1)):
        for unit, kind, estimate in estimates - others if others else estimates:
            key = (unit, kind, on, estimate)
            counts[key] = counts.get(key, 0) + change


def _step(counts: dict[tuple[str, date], int], on: date, before: str | None, after: str | None) -> None:
    for key, change in ((before, -1), (after, 1)):
        if key:
            counts[key, on] = counts.get((key, on), 0) + change


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """An alignment in force from ``since`` (microseconds) until the next segment."""

    since: int
    rows: tuple[Row, ...]
    ambiguous: bool
    rule_error: bool


class ItemState(msgspec.Struct, frozen=True):
    """All that was computed of an item: what its children inherit, and what it has contributed so far.

    The lists have the keys and amounts of the tables of the same names.
    """

    bequests: list[tuple[int, Bequest]] = []
    cycle: tuple[str, ...] = ()
    unbroken: bool = False
    alignment: list[Segment] = []
    postings: list[tuple[date, str, str, str, tuple[int, ...]]] = []
    headcounts: list[tuple[str, date, int]] = []
    estimates: list[tuple[str, str, date, int, int]] = []
    activity: list[tuple[str, date, int]] = []
    baseline_done: list[tuple[int, str, date, int]] = []


def segments(decided: Timeline[Decided]) -> list[Segment]:
    """The dated alignment of an item; an unaligned stretch is a segment on the reserved node."""
    return [Segment(at, value.rows or _NO_ROWS, value.ambiguous, value.rule_error) for at, value in decided]


_NO_ROWS = (Row(UNALIGNED, SHARE, None, None, None),)
