"""Pure: how far a node is, from the balances of its ledger and of the nodes below it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from services.ledger.balances import DayBalance
from services.steer.tree import Tree

NOUGHT = Fraction(0)


@dataclass(frozen=True)
class Balance:
    """Scope and done at one moment, in the unit."""

    scope: Fraction = NOUGHT
    done: Fraction = NOUGHT

    def __add__(self, other: "Balance") -> "Balance":
        return Balance(self.scope + other.scope, self.done + other.done)

    def part(self, share: Fraction) -> "Balance":
        return Balance(self.scope * share, self.done * share)

    @property
    def ratio(self) -> Fraction | None:
        """Done over scope; None where there is no scope."""
        return self.done / self.scope if self.scope else None


@dataclass(frozen=True)
class Roll:
    """A node's figures rolled up: its own (with the initiatives that serve it), its total, and its ratio."""

    own: Balance
    total: Balance
    ratio: Fraction | None


def balance(days: Iterable[DayBalance], until: date | None = None) -> Balance:
    """The sum of a node's days, as far as a day's end."""
    scope = done = NOUGHT
    for day in days:
        if until is None or day.day <= until:
            scope, done = scope + day.scope, done + day.done
    return Balance(scope, done)


def roll_up(tree: Tree, direct: Mapping[str, Balance]) -> dict[str, Roll]:
    """Every node's figures, from the balances of its direct work.

    An objective's own progress is its direct items and its initiatives' by their share. Its ratio is the mean of
    its children's ratios, weighted by ``weight``, its own work joining as one more child of weight 1; its scope and
    done are totals, so that its ratio need not be done over scope.
    """
    rolled: dict[str, Roll] = {}
    for name in tree.children_first():
        own = direct.get(name, Balance())
        for servant, share in tree.servants(name):
            own += direct.get(servant.id, Balance()).part(share)
        total, weighted, weights = own, NOUGHT, NOUGHT
        if own.ratio is not None:
            weighted, weights = own.ratio, Fraction(1)
        for child in tree.children(name):
            below = rolled[child.id]
            total += below.total
            if below.ratio is not None:
                weighted, weights = weighted + below.ratio * child.weight, weights + child.weight
        rolled[name] = Roll(own, total, weighted / weights if weights else None)
    return rolled


def total_days(parts: Mapping[str, Fraction], days: Mapping[str, Sequence[DayBalance]]) -> list[DayBalance]:
    """The days of a total: those of its parts, each by its share, added up."""
    merged: dict[date, DayBalance] = {}
    for node, share in parts.items():
        for one in days.get(node, ()):
            into = merged.setdefault(one.day, DayBalance(one.day))
            for name in ("scope", "done", "added", "removed", "reestimated", "moved_in", "moved_out"):
                setattr(into, name, getattr(into, name) + share * getattr(one, name))
    return [merged[day] for day in sorted(merged)]


def counters(days: Iterable[DayBalance]) -> dict[str, Fraction]:
    """The five counters of scope change, gross over all days."""
    total = dict.fromkeys(("added", "removed", "reestimated", "moved_in", "moved_out"), NOUGHT)
    for day in days:
        for name in total:
            total[name] += getattr(day, name)
    return total


def running(days: Iterable[DayBalance]) -> list[tuple[date, Fraction, Fraction]]:
    """The burn-up: scope and done at the end of each day on which something changed."""
    scope = done = NOUGHT
    series = []
    for day in days:
        scope, done = scope + day.scope, done + day.done
        series.append((day.day, scope, done))
    return series
