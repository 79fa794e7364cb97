"""Balances: what a node's ledger says at the end of every day, in the strategy's unit, exact."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.amounts import POINT, SHARE
from services.ledger.postings import UNALIGNED
from services.ledger.strategies import Unit
from services.storage.tables import balances, baseline_done, estimates, headcounts

#: How many of the integers in a table make one of the unit: an item, a point, an hour.
WHOLE: dict[Unit, int] = {"count": SHARE, "points": SHARE * POINT, "time": SHARE * 3600}
_ONE: dict[Unit, int] = {"count": 1, "points": POINT, "time": 3600}
_COLUMNS: dict[Unit, tuple[str, str, str, str]] = {
    "count": ("scope", "done", "scope", "done"),
    "points": ("scope_points", "done_points", "scope_pointed", "done_pointed"),
    "time": ("scope_seconds", "done_seconds", "scope_timed", "done_timed"),
}
_COUNTERS = ("added", "removed", "reestimated", "moved_in", "moved_out")
#: A unit that wants estimates is used only where this share of all counted items carries one.
COVERAGE = Fraction(7, 10)


@dataclass
class DayBalance:
    """One day on which something changed: its changes, in the unit. ``scope`` is the sum of the five counters."""

    day: date
    scope: Fraction = Fraction(0)
    done: Fraction = Fraction(0)
    added: Fraction = Fraction(0)
    removed: Fraction = Fraction(0)
    reestimated: Fraction = Fraction(0)
    moved_in: Fraction = Fraction(0)
    moved_out: Fraction = Fraction(0)


class Medians:
    """The median estimate of each item type on each day, for the items that have none.

    Of the estimated items in scope; of all types where the type has none, 1 where nothing has.
    """

    def __init__(self, unit: Unit, rows: Iterable[Any] = ()) -> None:
        self._default = Fraction(_ONE[unit])
        self._days: list[date] = []
        self._by_day: list[dict[str, Fraction]] = []
        changes: dict[date, list[tuple[str, int, int]]] = {}
        for row in rows:
            changes.setdefault(row.day, []).append((row.type, row.estimate, row.counted))
        held: dict[str, dict[int, int]] = {}
        for day in sorted(changes):
            for kind, estimate, items in changes[day]:
                for name in (kind, None):
                    counts = held.setdefault(name or "*", {})
                    counts[estimate] = counts.get(estimate, 0) + items
            self._days.append(day)
            self._by_day.append(
                {name: value for name, counts in held.items() if (value := _median(counts)) is not None}
            )

    @property
    def days(self) -> Sequence[date]:
        """The days on which a median may have changed."""
        return self._days

    def at(self, day: date) -> Mapping[str, Fraction]:
        """The medians in force at a day's end, by type; ``*`` is that of all types."""
        index = bisect_right(self._days, day) - 1
        return self._by_day[index] if index >= 0 else {}

    def weight(self, medians: Mapping[str, Fraction], kind: str) -> Fraction:
        """What an item of a type without an estimate weighs, in thousandths of a point or seconds."""
        return medians.get(kind, medians.get("*", self._default))


def _median(counts: Mapping[int, int]) -> Fraction | None:
    total = sum(counts.values())
    if total <= 0:
        return None
    seen, low = 0, None
    for estimate in sorted(counts):
        seen += counts[estimate]
        if low is None and seen * 2 >= total:
            low = estimate
            if seen * 2 > total:
                return Fraction(estimate)
        elif low is not None and counts[estimate] > 0:
            return Fraction(low + estimate, 2)
    return None if low is None else Fraction(low)


@dataclass
class _Running:
    """A node's totals as the days go by."""

    estimated: list[int] = field(default_factory=lambda: [0, 0])
    bare: dict[str, list[int]] = field(default_factory=dict)  # shares without an estimate: scope, done

    def total(self, medians: Medians, on: Mapping[str, Fraction], whole: int) -> tuple[Fraction, Fraction]:
        amounts = [Fraction(amount) for amount in self.estimated]
        for kind, (scope, done) in self.bare.items():
            if scope or done:
                weight = medians.weight(on, kind)
                amounts[0] += scope * weight
                amounts[1] += done * weight
        return amounts[0] / whole, amounts[1] / whole


def day_balances(rows: Iterable[Any], unit: Unit, medians: Medians) -> list[DayBalance]:
    """A node's changes by day, from its rows of `balances`. Their running sums are its scope and done.

    What a changed median does to items without an estimate is booked as re-estimated on the day it changed.
    """
    by_day: dict[date, list[Any]] = {}
    for row in rows:
        by_day.setdefault(row.day, []).append(row)
    if not by_day:
        return []
    first = min(by_day)
    days = sorted(by_day.keys() | ({day for day in medians.days if day > first} if unit != "count" else set()))
    whole, running = WHOLE[unit], _Running()
    before = (Fraction(0), Fraction(0))
    result: list[DayBalance] = []
    for day in days:
        on = medians.at(day) if unit != "count" else {}
        booked = DayBalance(day)
        for row in by_day.get(day, ()):
            change = _take(running, row, unit, medians, on) / whole
            if row.kind in _COUNTERS:
                setattr(booked, row.kind, getattr(booked, row.kind) + change)
        after = running.total(medians, on, whole)
        booked.scope, booked.done = after[0] - before[0], after[1] - before[1]
        booked.removed, booked.moved_out = -booked.removed, -booked.moved_out
        others = booked.added - booked.removed + booked.moved_in - booked.moved_out
        booked.reestimated = booked.scope - others
        if booked != DayBalance(day):
            result.append(booked)
        before = after
    return result


def _take(running: _Running, row: Any, unit: Unit, medians: Medians, on: Mapping[str, Fraction]) -> Fraction:
    scope, done, with_scope, with_done = (getattr(row, name) for name in _COLUMNS[unit])
    running.estimated[0] += scope
    running.estimated[1] += done
    if unit == "count":
        return Fraction(scope)
    bare = running.bare.setdefault(row.type, [0, 0])
    bare[0] += row.scope - with_scope
    bare[1] += row.done - with_done
    weight: Fraction = medians.weight(on, row.type)
    return Fraction(scope) + Fraction(row.scope - with_scope) * weight


def frozen_weight(row: Any, unit: Unit, medians: Mapping[str, Fraction], all_medians: Medians) -> int:
    """What a posting sum weighs in a unit, as an integer of `WHOLE`; without an estimate, the median of its type."""
    if unit == "count":
        return int(row.scope)
    column, _, with_column, _ = _COLUMNS[unit]
    bare = Fraction(row.scope - getattr(row, with_column))
    return int(getattr(row, column)) + round(bare * all_medians.weight(medians, row.type))


async def load_medians(connection: AsyncConnection, unit: Unit, until: date | None = None) -> Medians:
    """The medians of a unit, as far as a day."""
    if unit == "count":
        return Medians(unit)
    statement = select(estimates).where(estimates.c.unit == unit)
    if until is not None:
        statement = statement.where(estimates.c.day <= until)
    return Medians(unit, (await connection.execute(statement)).all())


async def load_day_balances(
    connection: AsyncConnection, nodes: Iterable[str], unit: Unit, until: date | None = None
) -> dict[str, list[DayBalance]]:
    """Each node's changes by day, as far as a day; a node without any has an empty list."""
    wanted = sorted(set(nodes))
    statement = select(balances).where(balances.c.node.in_(wanted)).order_by(balances.c.node, balances.c.day)
    if until is not None:
        statement = statement.where(balances.c.day <= until)
    by_node: dict[str, list[Any]] = {node: [] for node in wanted}
    for row in await connection.execute(statement):
        by_node[row.node].append(row)
    medians = await load_medians(connection, unit, until)
    return {node: day_balances(rows, unit, medians) for node, rows in by_node.items()}


async def load_headcounts(connection: AsyncConnection, until: date | None = None) -> list[tuple[frozenset[str], int]]:
    """How many counted items each set of nodes has, so that an item in two nodes is counted once over both."""
    statement = select(headcounts.c.nodes, func.sum(headcounts.c.counted)).group_by(headcounts.c.nodes)
    if until is not None:
        statement = statement.where(headcounts.c.day <= until)
    return [(frozenset(nodes.split(" ")), int(count)) for nodes, count in await connection.execute(statement)]


def distinct_items(counts: Iterable[tuple[frozenset[str], int]], nodes: frozenset[str]) -> int:
    """The number of distinct counted items in any of the nodes."""
    return sum(count for held, count in counts if held & nodes)


async def imputed_items(connection: AsyncConnection, node: str, unit: Unit, until: date) -> Fraction:
    """How many counted items of a node have no estimate in a unit that wants one."""
    if unit == "count":
        return Fraction(0)
    with_scope = balances.c[_COLUMNS[unit][2]]
    statement = select(func.sum(balances.c.scope - with_scope)).where(
        (balances.c.node == node) & (balances.c.day <= until)
    )
    return Fraction(int((await connection.execute(statement)).scalar() or 0), SHARE)


async def unit_for(connection: AsyncConnection, wanted: Unit) -> Unit:
    """The wanted unit where at least 70 % of all counted items carry an estimate, else ``count``."""
    if wanted == "count":
        return "count"
    column = balances.c[_COLUMNS[wanted][2]]
    scope, covered = (await connection.execute(select(func.sum(balances.c.scope), func.sum(column)))).one()
    if not scope or Fraction(int(covered), int(scope)) < COVERAGE:
        return "count"
    return wanted


async def load_baseline_done(
    connection: AsyncConnection, version: int, node: str, until: date | None = None
) -> list[tuple[date, int]]:
    """By day, the change in the frozen weight of a node's baseline items that are done."""
    statement = (
        select(baseline_done.c.day, baseline_done.c.done)
        .where((baseline_done.c.version == version) & (baseline_done.c.node == node))
        .order_by(baseline_done.c.day)
    )
    if until is not None:
        statement = statement.where(baseline_done.c.day <= until)
    return [(row.day, int(row.done)) for row in await connection.execute(statement)]


async def nodes_in_ledger(connection: AsyncConnection) -> set[str]:
    """Every node that has a balance, `run` and the unaligned included."""
    return {row.node for row in await connection.execute(select(balances.c.node).distinct())} | {UNALIGNED}
