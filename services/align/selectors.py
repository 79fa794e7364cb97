"""Pure: matches compiled to conditions over the facts of one item."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

import msgspec

from schemas.expressions import Expression, compile_expression, item_context
from schemas.match import Match
from schemas.work import FieldValue, Kind

AncestorNames = tuple[str, ...]
"""The names of one ancestor: its uid first, then its keys and former keys, with and without ``source:``."""

#: Levels, strongest first; keys that share a level have the same rank.
RANKS: dict[str, int] = {
    "pin": 0,
    "item": 1,
    "field": 2,
    "label": 3,
    "ancestor": 4,
    "milestone": 5,
    "component": 6,
    "type": 6,
    "kind": 6,
    "team": 6,
    "when": 6,
    "project": 7,
    "source": 7,
}
#: Own glob patterns and values that fields hold are set apart from plain text by a character no text has.
_APART = "\x00"
_FOLDING = frozenset({"item", "ancestor", "label", "project"})


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One item as rules see it at one moment."""

    uid: str
    source: str
    key: str
    container: str
    kind: Kind
    previous_keys: tuple[str, ...] = ()
    type: str | None = None
    labels: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    milestones: tuple[tuple[str, str], ...] = ()  #: uid and title
    team: str | None = None
    fields: Mapping[str, FieldValue] = {}
    lineage: tuple[AncestorNames, ...] = ()  #: nearest first
    more: Mapping[str, Any] = {}  #: what only `when` sees: title, status, estimates …


def exact(text: str) -> str:
    """Text as it is compared: Unicode NFC."""
    return text if text.isascii() else normalize("NFC", text)


def folded(text: str) -> str:
    """Text as it is compared where letter case does not count."""
    return text.lower() if text.isascii() else normalize("NFC", normalize("NFC", text).casefold())


def _folded_name(name: str) -> str:
    """A key without case, below a source that keeps its own: ``acme-github:Acme/Web#7``."""
    source, colon, key = name.rpartition(":")
    return exact(source) + colon + folded(key)


def _scalar(value: str | float | bool) -> str:
    """A field's value as text: 3.0, 3 and "3" are the same."""
    if isinstance(value, str):
        return exact(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, int) or value.is_integer() else repr(value)


def _names(uid: str, keys: Iterable[str], folds: bool) -> Iterator[str]:
    """Names set apart by what they are: a uid never equals a key, and never folds."""
    yield f"={exact(uid)}"
    for key in keys:
        yield f"~{_folded_name(key) if folds else exact(key)}"


class View:
    """The facts of one item, prepared for comparison; each kind of value once, when first asked for."""

    def __init__(self, facts: Facts, folds: bool, globs: "Globs") -> None:
        self.facts = facts
        self.folds = folds
        self._globs = globs
        self._values: dict[str, frozenset[str]] = {}
        self._context: object = None

    def values(self, key: str) -> frozenset[str]:
        """What the item has of the kind that a match's key names."""
        found = self._values.get(key)
        if found is None:
            found = self._values[key] = frozenset(_READ[key](self))
        return found

    @property
    def context(self) -> object:
        """What expressions see."""
        if self._context is None:
            self._context = item_context(_as_item(self.facts))
        return self._context

    def own_names(self) -> Iterator[str]:
        facts = self.facts
        keys = (facts.key, *facts.previous_keys)
        return _names(facts.uid, (*keys, *(f"{facts.source}:{key}" for key in keys)), self.folds)

    def lineage_names(self) -> Iterator[str]:
        yield from self.own_names()
        for names in self.facts.lineage:
            yield from _names(names[0], names[1:], self.folds)

    def labels(self) -> Iterator[str]:
        return map(folded if self.folds else exact, self.facts.labels)

    def milestones(self) -> Iterator[str]:
        return (exact(name) for both in self.facts.milestones for name in both if name)

    def project(self) -> Iterator[str]:
        container = folded(self.facts.container) if self.folds else exact(self.facts.container)
        yield container
        yield from self._globs.matching(container, self.folds)

    def fields(self) -> Iterator[str]:
        for name, value in self.facts.fields.items():
            for one in value if isinstance(value, list | tuple) else (value,):
                if one is not None:
                    yield f"{exact(name)}{_APART}{_scalar(one)}"


def _one(value: str | None) -> tuple[str, ...]:
    return () if value is None else (exact(value),)


_READ: dict[str, Callable[[View], Iterable[str]]] = {
    "item": View.own_names,
    "ancestor": View.lineage_names,
    "label": View.labels,
    "field": View.fields,
    "milestone": View.milestones,
    "project": View.project,
    "component": lambda view: map(exact, view.facts.components),
    "type": lambda view: _one(view.facts.type),
    "kind": lambda view: _one(view.facts.kind),
    "team": lambda view: _one(view.facts.team),
    "source": lambda view: _one(view.facts.source),
}


def _as_item(facts: Facts) -> dict[str, Any]:
    """The item of expressions: the names of the item's JSON, absent values null."""
    return {
        **facts.more,
        "uid": facts.uid,
        "source": facts.source,
        "key": facts.key,
        "previous_keys": list(facts.previous_keys),
        "container": facts.container,
        "kind": facts.kind,
        "type": facts.type,
        "labels": list(facts.labels),
        "components": list(facts.components),
        "milestones": [uid for uid, _ in facts.milestones],
        "milestone_titles": [title for _, title in facts.milestones],
        "team": facts.team,
        "fields": dict(facts.fields),
        "parent": facts.lineage[0][0] if facts.lineage else None,
    }


class Globs:
    """Which of the rules' ``*`` patterns a container fits, remembered for each container."""

    _REMEMBERED = 10_000

    def __init__(self) -> None:
        self._patterns: dict[bool, dict[str, re.Pattern[str]]] = {False: {}, True: {}}
        self._known: dict[tuple[str, bool], tuple[str, ...]] = {}

    def token(self, pattern: str, folds: bool) -> str:
        """What `matching` gives for containers that fit the pattern; plain text stands for itself."""
        text = folded(pattern) if folds else exact(pattern)
        if "*" not in text:
            return text
        token = _APART + text
        if token not in self._patterns[folds]:
            parts = re.split(r"\*+", text)  # one star does what several do, without their backtracking
            self._patterns[folds][token] = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
            self._known.clear()
        return token

    def matching(self, container: str, folds: bool) -> tuple[str, ...]:
        found = self._known.get((container, folds))
        if found is None:
            if len(self._known) >= self._REMEMBERED:
                self._known.clear()
            patterns = self._patterns[folds]
            found = tuple(token for token, pattern in patterns.items() if pattern.fullmatch(container))
            self._known[container, folds] = found
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Has:
    """The item has one of these values; ``wanted`` by whether letter case folds at the item's source."""

    key: str
    wanted: tuple[frozenset[str], frozenset[str]]

    def holds(self, view: View) -> bool:
        return not self.wanted[view.folds].isdisjoint(view.values(self.key))


def named(item: str) -> Has:
    """The item goes by this name."""
    return Has("item", (_wanted_names((item,), False), _wanted_names((item,), True)))


@dataclass(frozen=True, slots=True, eq=False)
class When:
    """An expression holds; None where it fails."""

    expression: Expression

    def holds(self, view: View) -> bool | None:
        return self.expression.holds(view.context)


@dataclass(frozen=True, slots=True, eq=False)
class Not:
    """The opposite of a match; what fails stays failed."""

    match: "Predicate"

    def holds(self, view: View) -> bool | None:
        answer = self.match.holds(view)
        return None if answer is None else not answer


@dataclass(frozen=True, slots=True, eq=False)
class Predicate:
    """Any of several branches, each of which is all of its conditions (Kleene's three values)."""

    branches: tuple[tuple["Condition", ...], ...]

    def holds(self, view: View) -> bool | None:
        failed = False
        for conditions in self.branches:
            answer = all_hold(conditions, view)
            if answer:
                return True
            failed = failed or answer is None
        return None if failed else False


Condition = Has | When | Not


def all_hold(conditions: Iterable[Condition], view: View) -> bool | None:
    """False if any condition is false, else None if any failed, else True."""
    failed = False
    for condition in conditions:
        answer = condition.holds(view)
        if answer is False:
            return False
        failed = failed or answer is None
    return None if failed else True


def names_in(conditions: Iterable[Condition]) -> tuple[frozenset[str], frozenset[str]]:
    """The names of items that conditions ask for, by whether letter case folds."""
    found: tuple[set[str], set[str]] = (set(), set())
    for condition in conditions:
        if isinstance(condition, Has) and condition.key in ("item", "ancestor"):
            within = condition.wanted
        elif isinstance(condition, Not):
            within = names_in(one for branch in condition.match.branches for one in branch)
        else:
            continue
        for folds in (False, True):
            found[folds].update(within[folds])
    return frozenset(found[False]), frozenset(found[True])


def names_of(names: AncestorNames, folds: bool) -> Iterator[str]:
    """An item's names, its uid first, as conditions have them."""
    return _names(names[0], names[1:], folds)


@dataclass(frozen=True)
class Branch:
    """One way for a match to hold: its keys, joined with those outside, in the order of the file."""

    keys: tuple[tuple[str, Condition], ...]
    place: str  #: below the match: ``.any[0]``, or nothing
    names_pull_requests: bool

    @property
    def rank(self) -> int:
        return min(RANKS[key] for key, _ in self.keys if key in RANKS)

    @property
    def level(self) -> str:
        """The strongest key, the first named if several share a level."""
        return min((key for key, _ in self.keys if key in RANKS), key=RANKS.__getitem__)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Cheap ones first: an expression runs only where all else holds."""
        return tuple(sorted((one for _, one in self.keys), key=lambda one: 0 if isinstance(one, Has) else 1))


def branches(match: Match, globs: Globs, *, below: bool) -> list[Branch]:
    """Every way for the match to hold. ``below``: an ``ancestor`` alone holds for all below it, too."""
    return [
        Branch(
            _alone(keys) if not below and [key for key, _ in keys] == ["ancestor"] else keys,
            place,
            names_pull_requests=names_pull_requests,
        )
        for keys, place, names_pull_requests in _spread(match, globs)
    ]


_Keys = tuple[tuple[str, Condition], ...]


def _alone(keys: _Keys) -> _Keys:
    """An ancestor that stands alone marks the item of that name; those below inherit."""
    ((key, condition),) = keys
    assert isinstance(condition, Has)
    return ((key, Has("item", condition.wanted)),)


def _spread(match: Match, globs: Globs) -> Iterator[tuple[_Keys, str, bool]]:
    at = match.keys.index("any") if "any" in match.keys else len(match.keys)
    before = tuple(pair for key in match.keys[:at] for pair in _conditions(match, key, globs))
    after = tuple(pair for key in match.keys[at + 1 :] for pair in _conditions(match, key, globs))
    names_pull_requests = "pull_request" in (match.kind or ())
    if match.any_ is None:
        yield before + after, "", names_pull_requests
        return
    for index, option in enumerate(match.any_):
        for keys, place, inner in _spread(option, globs):
            yield before + keys + after, f".any[{index}]{place}", names_pull_requests or inner


def _conditions(match: Match, key: str, globs: Globs) -> Iterator[tuple[str, Condition]]:
    if key == "not":
        assert match.not_ is not None
        opposite = branches(match.not_, globs, below=True)
        yield key, Not(Predicate(tuple(branch.conditions for branch in opposite)))
    elif key == "when":
        yield key, When(compile_expression(match.when or ""))
    elif key == "field":
        for name, values in (match.field or {}).items():
            wanted = frozenset(f"{exact(name)}{_APART}{_scalar(value)}" for value in values)
            yield key, Has(key, (wanted, wanted))
    else:
        texts: tuple[str, ...] = getattr(match, key) or ()
        yield key, Has(key, (_wanted(key, texts, globs, False), _wanted(key, texts, globs, True)))


def _wanted(key: str, texts: tuple[str, ...], globs: Globs, folds: bool) -> frozenset[str]:
    folds = folds and key in _FOLDING
    if key in ("item", "ancestor"):
        return _wanted_names(texts, folds)
    if key == "project":
        return frozenset(globs.token(text, folds) for text in texts)
    return frozenset((folded if folds else exact)(text) for text in texts)


def _wanted_names(texts: Iterable[str], folds: bool) -> frozenset[str]:
    """A name in a rule may be a uid or a key; which of the two, only the item can tell."""
    return frozenset(name for text in texts for name in _names(text, (text,), folds))
