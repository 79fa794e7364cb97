"""Pure: which nodes one item serves, and by which rule; the strongest evidence wins, one's own before an inherited.

The rules of a strategy are compiled once into an inverted index, so that the work for an item does not grow with
their number: only branches that name a value the item has are looked at.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from operator import attrgetter

import msgspec

from schemas.amounts import SHARE, equal_parts
from schemas.strategy import RUN, Initiative, Match, Objective, StrategyFile
from services.align.selectors import (
    RANKS,
    AncestorNames,
    Branch,
    Condition,
    Facts,
    Globs,
    Has,
    Predicate,
    View,
    all_hold,
    branches,
    named,
    names_in,
    names_of,
)

__all__ = [
    "SHARE",
    "AncestorNames",
    "Decided",
    "Facts",
    "Inherited",
    "Own",
    "Result",
    "Row",
    "Rules",
    "Watched",
    "compile_rules",
    "inherit",
]


class Result(msgspec.Struct, frozen=True, array_like=True):
    """A node (or ``run``, or ``none``) that an item's own evidence names, and the rule that says so."""

    node: str
    level: str
    rule: str  #: its place in the file: ``INI-1.match.any[0]``


class Doubt(msgspec.Struct, frozen=True):
    """A rule that failed on the item, and would have spoken at ``rank``."""

    rank: int
    node: str
    would_count: bool  #: it names pull requests, and the item is one


class Own(msgspec.Struct, frozen=True):
    """What an item's own evidence says: the results of its strongest level, in file order, and what failed there."""

    rank: int
    results: tuple[Result, ...]
    counts_pull_request: bool = False
    doubts: tuple[Doubt, ...] = ()

    @property
    def ambiguous(self) -> bool:
        return len(self.results) > 1

    @property
    def level(self) -> str:
        return self.results[0].level if self.results else ""


class Inherited(msgspec.Struct, frozen=True, array_like=True):
    """An ancestor's own results, which all below it inherit at the level at which they were won."""

    uid: str
    rank: int
    results: tuple[Result, ...]
    counts_pull_request: bool = False

    @classmethod
    def of(cls, uid: str, own: Own) -> "Inherited":
        return cls(uid, own.rank, own.results, own.counts_pull_request)

    def stronger_than(self, other: "Inherited | Own") -> bool:
        """Whether it was won at a stronger level; equals are not stronger."""
        return self.rank < other.rank


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One share of an item: of `SHARE` parts, for a node, ``run`` or ``none``; no rule says so of unaligned work."""

    node: str
    share: int
    level: str | None
    rule: str | None
    inherited_from: str | None


class Decided(msgspec.Struct, frozen=True, array_like=True):
    """How an item is aligned. The rows sum to `SHARE`, or there are none: then it serves nothing."""

    rows: tuple[Row, ...] = ()
    ambiguous: bool = False
    rule_error: bool = False
    counts_pull_request: bool = False


def inherit(own: Own | None, chain: Sequence[Inherited]) -> Decided:
    """The strongest level decides; on a tie one's own result, then the nearest ancestor's. ``chain``: nearest first."""
    best: Own | Inherited | None = own if own is not None and own.results else None
    for ancestor in chain:
        if ancestor.results and (best is None or ancestor.stronger_than(best)):
            best = ancestor
    doubts = own.doubts if own is not None else ()
    rule_error = bool(doubts) and any(_could_change(doubt, best) for doubt in doubts)
    if best is None:
        return Decided(rule_error=rule_error)
    source = best.uid if isinstance(best, Inherited) else None
    parts = equal_parts(len(best.results))
    rows = [
        Row(result.node, part, result.level, result.rule, source)
        for result, part in zip(best.results, parts, strict=True)
    ]
    return Decided(tuple(rows), len(rows) > 1, rule_error, best.counts_pull_request)


def _could_change(doubt: Doubt, best: Own | Inherited | None) -> bool:
    if best is None or doubt.rank < best.rank:
        return True
    if doubt.rank > best.rank:
        return False
    if isinstance(best, Inherited):  # one's own result would have won the tie
        return True
    known = any(result.node == doubt.node for result in best.results)
    return not known or (doubt.would_count and not best.counts_pull_request)


@dataclass(frozen=True, slots=True, eq=False)
class _Rule:
    """One branch of one match, or a pin."""

    order: tuple[int, int]  # level, then place in the file
    node: str
    level: str
    path: str
    conditions: tuple[Condition, ...]
    names_pull_requests: bool
    until: date | None = None

    @property
    def rank(self) -> int:
        return self.order[0]


_ORDER = attrgetter("order")


class _Index:
    """Rules by a value that each of them needs; of several, the one that fewest rules name."""

    def __init__(self, rules: Sequence[_Rule]) -> None:
        self._always: list[_Rule] = []
        self._by_value: tuple[dict[str, dict[str, list[_Rule]]], ...] = ({}, {})
        for folds in (False, True):
            self._build(rules, folds)

    def _build(self, rules: Sequence[_Rule], folds: bool) -> None:
        popularity: dict[tuple[str, str], int] = {}
        for rule in rules:
            for has in _indexable(rule):
                for value in has.wanted[folds]:
                    popularity[has.key, value] = popularity.get((has.key, value), 0) + 1
        table = self._by_value[folds]
        for rule in rules:
            options = list(_indexable(rule))
            if not options:
                if not folds:
                    self._always.append(rule)
                continue
            rarest = min(options, key=lambda has: sum(popularity[has.key, value] for value in has.wanted[folds]))
            for value in rarest.wanted[folds]:
                table.setdefault(rarest.key, {}).setdefault(value, []).append(rule)

    def candidates(self, view: View) -> list[_Rule]:
        """Every rule that may hold, by level and place in the file; a few that do not."""
        found = list(self._always)
        for key, table in self._by_value[view.folds].items():
            for value in view.values(key) & table.keys():
                found += table[value]
        return sorted(set(found), key=_ORDER) if len(found) > 1 else found


def _indexable(rule: _Rule) -> Iterator[Has]:
    return (condition for condition in rule.conditions if isinstance(condition, Has))


@dataclass(frozen=True)
class Watched:
    """What an item belongs to beside its alignment; ``rule_error`` where a rule failed and may have held."""

    reserves: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()
    milestones: tuple[tuple[str, str], ...] = ()  #: initiative and milestone of the plan
    rule_error: bool = False


class Rules:
    """The rules of one strategy, compiled. Build with `compile_rules`."""

    def __init__(self, strategy: StrategyFile, folds: Collection[str]) -> None:
        self._folds = frozenset(folds)
        self._globs = Globs()
        aligning = _aligning(strategy, self._globs)
        self._own = _Index(aligning)
        self._names = names_in([condition for rule in aligning for condition in rule.conditions])
        watching = list(_watching(strategy, self._globs))
        self._watching = _Index([rule for rule, _ in watching])
        self._watched = dict(watching)
        self._pin_ends: dict[str, set[date]] = {}
        for pin in strategy.pins:
            if pin.until is not None:
                for name in frozenset().union(*named(pin.item).wanted):
                    self._pin_ends.setdefault(name, set()).add(pin.until)

    def own(self, facts: Facts, on: date) -> Own | None:
        """What the item's own evidence says on a day, inheritance aside; None where nothing speaks or fails.

        The day matters to pins only (`pin_ends`).
        """
        view = self._view(facts)
        found: dict[str, _Rule] = {}
        doubts: list[Doubt] = []
        rank: int | None = None
        counts = False
        for rule in self._own.candidates(view):
            if rank is not None and rule.rank > rank:
                break
            if rule.until is not None and on > rule.until:
                continue
            answer = all_hold(rule.conditions, view)
            if answer is None:
                would_count = rule.names_pull_requests and facts.kind == "pull_request"
                doubts.append(Doubt(rule.rank, rule.node, would_count))
            elif answer:
                rank = rule.rank
                counts = counts or rule.names_pull_requests
                found.setdefault(rule.node, rule)
        if rank is None and not doubts:
            return None
        results = tuple(Result(node, rule.level, rule.path) for node, rule in found.items())
        return Own(_WEAKEST if rank is None else rank, results, counts, tuple(doubts))

    def watched(self, facts: Facts) -> Watched:
        """Reserves, risks' triggers, signals and plan milestones whose match holds for the item."""
        view = self._view(facts)
        held: dict[tuple[str, ...], None] = {}
        failed: set[tuple[str, ...]] = set()
        for rule in self._watching.candidates(view):
            answer = all_hold(rule.conditions, view)
            if answer:
                held[self._watched[rule]] = None
            elif answer is None:
                failed.add(self._watched[rule])
        return Watched(
            reserves=tuple(name for kind, name, *_ in held if kind == "reserve"),
            risks=tuple(name for kind, name, *_ in held if kind == "risk"),
            signals=tuple(name for kind, name, *_ in held if kind == "signal"),
            milestones=tuple((name, rest[0]) for kind, name, *rest in held if kind == "milestone"),
            rule_error=bool(failed - held.keys()),
        )

    def matcher(self, match: Match, *, below: bool = True) -> Callable[[Facts], bool | None]:
        """Whether a match holds for an item (None: it failed). ``below``: an ancestor alone covers all below it."""
        predicate = Predicate(tuple(branch.conditions for branch in branches(match, self._globs, below=below)))
        return lambda facts: predicate.holds(self._view(facts))

    def pin_ends(self, names: Iterable[str]) -> list[date]:
        """The last days of the pins that name an item by one of its names (uid, keys, with source or without)."""
        if not self._pin_ends:
            return []
        found: set[date] = set()
        for name in names:
            for wanted in frozenset().union(*named(name).wanted):
                found |= self._pin_ends.get(wanted, set())
        return sorted(found)

    def name(self, source: str, names: AncestorNames) -> bool:
        """Whether a rule or a pin names an item of a source by one of its names: only then these are evidence."""
        folds = source in self._folds
        wanted = self._names[folds]
        return bool(wanted) and not wanted.isdisjoint(names_of(names, folds))

    def _view(self, facts: Facts) -> View:
        return View(facts, facts.source in self._folds, self._globs)


_WEAKEST = max(RANKS.values()) + 1


def compile_rules(strategy: StrategyFile, *, folds: Collection[str] = ()) -> Rules:
    """The rules of a strategy, ready to decide. ``folds``: sources whose keys, repositories and labels fold case."""
    return Rules(strategy, folds)


def _aligning(strategy: StrategyFile, globs: Globs) -> list[_Rule]:
    """Every branch of every match that aligns, and the pins; numbered in the order of the file."""
    rules: list[_Rule] = []
    for node, path, match in _matches(strategy):
        for branch in branches(match, globs, below=False):
            rules.append(_rule(node, path, branch, len(rules)))
    for at, pin in enumerate(strategy.pins):
        place = (RANKS["pin"], at)
        rules.append(_Rule(place, pin.to, "pin", f"pins[{at}]", (named(pin.item),), True, pin.until))
    return rules


def _rule(node: str, path: str, branch: Branch, order: int) -> _Rule:
    place = (branch.rank, order)
    return _Rule(place, node, branch.level, path + branch.place, branch.conditions, branch.names_pull_requests)


def _matches(strategy: StrategyFile) -> Iterator[tuple[str, str, Match]]:
    order = [*strategy.sections, "objectives", "run", "initiatives"]  # those not in the file are empty
    for section in dict.fromkeys(order):
        if section == "run" and strategy.run.match is not None:
            yield RUN, f"{RUN}.match", strategy.run.match
        nodes: dict[str, Sequence[Objective | Initiative]] = {
            "objectives": strategy.objectives,
            "initiatives": strategy.initiatives,
        }
        for node in nodes.get(section, ()):
            if node.match is not None:
                yield node.id, f"{node.id}.match", node.match


def _watching(strategy: StrategyFile, globs: Globs) -> Iterator[tuple[_Rule, tuple[str, ...]]]:
    matches: list[tuple[tuple[str, ...], Match]] = [
        *((("reserve", one.id), one.match) for one in strategy.reserves),
        *((("risk", one.id), one.trigger.match) for one in strategy.risks if one.trigger is not None),
        *((("signal", one.id), one.watch) for one in strategy.signals if one.watch is not None),
    ]
    matches += [
        (("milestone", initiative.id, milestone.id), milestone.match)
        for initiative in strategy.initiatives
        for milestone in initiative.milestones
        if milestone.match is not None
    ]
    for order, (kind, match) in enumerate(matches):
        for branch in branches(match, globs, below=True):
            yield _Rule((0, order), kind[1], branch.level, "", branch.conditions, branch.names_pull_requests), kind
