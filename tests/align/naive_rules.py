"""Who wins, decided the slow way: every rule is tried on every item, in plain loops and without any index."""

from collections.abc import Iterator
from datetime import date
from fnmatch import fnmatchcase
from unicodedata import normalize

from schemas.strategy import Match, StrategyFile
from services.align.rules import AncestorNames, Facts

LEVELS = [
    {"item"},
    {"field"},
    {"label"},
    {"ancestor"},
    {"milestone"},
    {"component", "type", "kind", "team"},
    {"project", "source"},
]


def same(one: str, other: str, folds: bool) -> bool:
    """Whether two texts are equal, letter case aside where it folds."""
    one, other = normalize("NFC", one), normalize("NFC", other)
    return one.casefold() == other.casefold() if folds else one == other


def goes_by(facts: Facts, name: str, folds: bool) -> bool:
    """Whether an item goes by a name."""
    return is_named((facts.uid, facts.key, *facts.previous_keys), facts.source, name, folds)


def is_named(names: AncestorNames, source: str, wanted: str, folds: bool) -> bool:
    """Whether one of a uid and keys is the wanted name, with the source before it or without."""
    uid, *keys = names
    prefix = f"{source}:"
    bare = wanted.removeprefix(prefix)
    return wanted == uid or any(same(key, candidate, folds) for key in keys for candidate in {wanted, bare})


def key_holds(match: Match, key: str, facts: Facts, folds: bool, below: bool) -> bool:
    """Whether one key of a match holds."""
    wanted: tuple[str, ...] = getattr(match, key) if key not in ("any", "not", "field") else ()
    if key == "item":
        return any(goes_by(facts, name, folds) for name in wanted)
    if key == "ancestor":
        if any(goes_by(facts, name, folds) for name in wanted):
            return True
        return below and any(is_named(names, facts.source, name, folds) for names in facts.lineage for name in wanted)
    if key == "label":
        return any(same(label, name, folds) for label in facts.labels for name in wanted)
    if key == "milestone":
        return any(name in both for both in facts.milestones for name in wanted)
    if key == "component":
        return any(component in wanted for component in facts.components)
    if key in ("type", "kind", "team", "source"):
        return getattr(facts, key) in wanted
    if key == "project":
        container = facts.container.casefold() if folds else facts.container
        return any(fnmatchcase(container, pattern.casefold() if folds else pattern) for pattern in wanted)
    assert key == "field"
    assert match.field is not None
    for name, values in match.field.items():
        value = facts.fields.get(name)
        held = value if isinstance(value, list) else [value]
        if not any(one is not None and one in values for one in held):
            return False
    return True


def holds(match: Match, facts: Facts, folds: bool) -> bool:
    """Whether a match holds as a plain yes or no, as under `not`: an ancestor covers all below it."""
    for key in match.keys:
        if key == "any":
            assert match.any_ is not None
            if not any(holds(branch, facts, folds) for branch in match.any_):
                return False
        elif key == "not":
            assert match.not_ is not None
            if holds(match.not_, facts, folds):
                return False
        elif not key_holds(match, key, facts, folds, below=True):
            return False
    return True


def ways(match: Match, outer: tuple[tuple[Match, str], ...] = ()) -> Iterator[tuple[tuple[Match, str], ...]]:
    """Every branch of a match, as the keys that must hold together."""
    here = (*outer, *((match, key) for key in match.keys if key != "any"))
    if match.any_ is None:
        yield here
    else:
        for branch in match.any_:
            yield from ways(branch, here)


def level_of(way: tuple[tuple[Match, str], ...]) -> int:
    """The strongest level of a branch, 0 the strongest of all matches."""
    return min(at for at, keys in enumerate(LEVELS) for _, key in way if key in keys)


def way_holds(way: tuple[tuple[Match, str], ...], facts: Facts, folds: bool) -> bool:
    """Whether all keys of a branch hold; an ancestor that stands alone means the item itself."""
    alone = len(way) == 1
    for match, key in way:
        if key == "not":
            assert match.not_ is not None
            if holds(match.not_, facts, folds):
                return False
        elif not key_holds(match, key, facts, folds, below=not alone):
            return False
    return True


def own_nodes(strategy: StrategyFile, facts: Facts, folds: bool, on: date) -> tuple[int, frozenset[str]] | None:
    """The nodes that an item's own evidence names, and their level: -1 for a pin."""
    pinned = {
        pin.to for pin in strategy.pins if goes_by(facts, pin.item, folds) and (pin.until is None or on <= pin.until)
    }
    if pinned:
        return -1, frozenset(pinned)
    found: dict[int, set[str]] = {}
    matches: list[tuple[str, Match | None]] = [("run", strategy.run.match)]
    matches += [(objective.id, objective.match) for objective in strategy.objectives]
    matches += [(initiative.id, initiative.match) for initiative in strategy.initiatives]
    for node, match in matches:
        for way in ways(match) if match is not None else ():
            if way_holds(way, facts, folds):
                found.setdefault(level_of(way), set()).add(node)
    return (min(found), frozenset(found[min(found)])) if found else None
