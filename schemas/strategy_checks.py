"""What a strategy file contradicts itself in: ids, references, sums, dates and circles."""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from datetime import date
from math import fsum

from schemas.problems import Problem, did_you_mean
from schemas.strategy_file import NONE, RUN, Initiative, Objective
from schemas.strategy_parts import Sound

_RESERVED = (RUN, NONE)
#: Shares are written in decimals, whose sums are a little off in binary.
_ROUNDING = 1e-9
#: Where a name stands, the name, the names that exist, and what it should be.
_Reference = tuple[str, str, Collection[str], str]


def contradictions(sound: Sound, channels: Collection[str] = ()) -> list[Problem]:
    """Every contradiction, each with the path of its key; ``channels`` are looked at only where some are given."""
    checks: tuple[Callable[[Sound], Iterator[Problem]], ...] = (
        _doubled_ids,
        _node_ids,
        _references,
        _serves,
        _shares,
        _dates,
        _circles,
    )
    found = [problem for check in checks for problem in check(sound)]
    return [*found, *_channels(sound, channels)] if channels else found


def _doubled_ids(sound: Sound) -> Iterator[Problem]:
    file = sound.file
    lists: dict[str, Iterable[str]] = {
        "drivers": [one.id for one in file.drivers],
        "signals": [one.id for one in file.signals],
        "risks": [one.id for one in file.risks],
        "stakeholders": [one.id for one in file.stakeholders],
        "objectives": [one.id for one in file.objectives],
        "reserves": [one.id for one in file.reserves],
        "initiatives": [one.id for one in file.initiatives],
        "teams": [one.id for one in file.teams],
    }
    for section, ids in lists.items():
        yield from _twice((f"{sound.path(section, at)}.id", name) for at, name in enumerate(ids))
    yield from _twice(
        (f"{sound.path('objectives', at)}.measures[{inner}].id", measure.id)
        for at, objective in enumerate(file.objectives)
        for inner, measure in enumerate(objective.measures)
    )
    for at, initiative in enumerate(file.initiatives):
        path = sound.path("initiatives", at)
        yield from _twice((f"{path}.milestones[{inner}].id", one.id) for inner, one in enumerate(initiative.milestones))


def _twice(ids: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for path, name in ids:
        if name in first:
            yield Problem(path, f"`{name}` is taken by {first[name].removesuffix('.id')}; ids are unique")
        else:
            first[name] = path


def _node_ids(sound: Sound) -> Iterator[Problem]:
    file = sound.file
    objectives = sound.ids.get("objectives", set())
    sections = (("objectives", [one.id for one in file.objectives]), ("initiatives", [i.id for i in file.initiatives]))
    for section, ids in sections:
        for at, name in enumerate(ids):
            path = f"{sound.path(section, at)}.id"
            if name in _RESERVED:
                yield Problem(path, f"`{name}` is reserved; choose another id")
            elif section == "initiatives" and name in objectives:
                yield Problem(path, f"`{name}` is an objective already; ids are unique among all nodes")


def _references(sound: Sound) -> Iterator[Problem]:
    file, ids = sound.file, sound.ids
    objectives, initiatives = ids.get("objectives", set()), ids.get("initiatives", set())
    nodes = objectives | initiatives
    named: list[_Reference] = []
    for at, objective in enumerate(file.objectives):
        path = sound.path("objectives", at)
        named += [(f"{path}.parent", objective.parent, objectives, "objective")] if objective.parent else []
        named += [(f"{path}.pair", objective.pair, objectives, "objective")] if objective.pair else []
        named += _each(f"{path}.drivers", objective.drivers, ids.get("drivers", set()), "driver")
    for at, initiative in enumerate(file.initiatives):
        path = sound.path("initiatives", at)
        named += [(f"{path}.serves.{name}", name, objectives, "objective") for name in initiative.serves]
        named += _each(f"{path}.depends_on", initiative.depends_on, initiatives, "initiative")
        named += [(f"{path}.team", initiative.team, ids.get("teams", set()), "team")] if initiative.team else []
    for at, signal in enumerate(file.signals):
        named += _each(f"{sound.path('signals', at)}.affects", signal.affects, nodes, "objective or initiative")
    for at, risk in enumerate(file.risks):
        path = sound.path("risks", at)
        named += _each(f"{path}.affects", risk.affects, nodes, "objective or initiative")
        named += [(f"{path}.response", risk.response, nodes, "objective or initiative")] if risk.response else []
    for at, stakeholder in enumerate(file.stakeholders):
        named += _each(f"{sound.path('stakeholders', at)}.wants", stakeholder.wants, ids["measures"], "measure")
    for at, pin in enumerate(file.pins):
        what = "objective or initiative (nor `run` or `none`)"
        named.append((f"{sound.path('pins', at)}.to", pin.to, nodes | {RUN, NONE}, what))
    for path, name, known, what in named:
        if name not in known:
            yield Problem(path, f"there is no {what} `{name}`{_hint(name, known)}")


def _each(path: str, names: Iterable[str], known: Collection[str], what: str) -> list[_Reference]:
    return [(f"{path}[{at}]", name, known, what) for at, name in enumerate(names)]


def _hint(name: str, known: Collection[str]) -> str:
    hint = did_you_mean(name, known)
    return f"; {hint}" if hint else ""


def _serves(sound: Sound) -> Iterator[Problem]:
    for at, initiative in enumerate(sound.file.initiatives):
        total = fsum(initiative.serves.values())
        if total > 1 + _ROUNDING:
            yield Problem(f"{sound.path('initiatives', at)}.serves", f"the shares sum to {total:.4g}, more than 1")


def _shares(sound: Sound) -> Iterator[Problem]:
    """Shares of the top objectives and run: what children intend is part of what their parent does."""
    file = sound.file
    ids = {objective.id for objective in file.objectives}
    children: dict[str | None, list[Objective]] = {}
    for objective in file.objectives:
        children.setdefault(objective.parent if objective.parent in ids else None, []).append(objective)
    downwards: list[Objective] = []
    pending = list(children.get(None, ()))
    while pending:  # a circle of parents hangs on no top and is never met
        downwards.append(pending.pop())
        pending += children.get(downwards[-1].id, ()) if len(downwards) <= len(file.objectives) else ()
    intended: dict[str, float] = {}
    for objective in reversed(downwards):
        below = fsum(intended.get(child.id, 0.0) for child in children.get(objective.id, ()))
        intended[objective.id] = max(objective.share or 0.0, below)
    total = fsum([*(intended[top.id] for top in children.get(None, ())), file.run.share or 0.0])
    if total > 1 + _ROUNDING:
        yield Problem("objectives", f"the shares of objectives and run sum to {total:.4g}, more than 1")


def _dates(sound: Sound) -> Iterator[Problem]:
    for at, objective in enumerate(sound.file.objectives):
        horizon = objective.horizon
        if horizon and horizon.start and horizon.end and horizon.end < horizon.start:
            path = f"{sound.path('objectives', at)}.horizon.end"
            yield Problem(path, f"{horizon.end} is before the start, {horizon.start}")
    for at, initiative in enumerate(sound.file.initiatives):
        path = f"{sound.path('initiatives', at)}.due"
        yield from _initiative_dates(path, initiative)


def _initiative_dates(path: str, initiative: Initiative) -> Iterator[Problem]:
    start, due = initiative.start, initiative.due
    if start is None or due is None:
        return
    if due < start:
        yield Problem(path, f"{due} is before the start, {start}")
    elif due > a_year_after(start):
        yield Problem(path, f"{due} is more than 12 months after the start, {start}; split the initiative")


def a_year_after(day: date) -> date:
    """The same day of the next year; the 29th of February counts as the 1st of March."""
    try:
        return day.replace(year=day.year + 1)
    except ValueError:
        return date.max if day.year == date.max.year else date(day.year + 1, 3, 1)


def _circles(sound: Sound) -> Iterator[Problem]:
    objectives = {one.id: [one.parent] if one.parent else [] for one in sound.file.objectives}
    initiatives = {one.id: list(one.depends_on) for one in sound.file.initiatives}
    for section, key, graph in (("objectives", "parent", objectives), ("initiatives", "depends_on", initiatives)):
        ids = [one.id for one in getattr(sound.file, section)]
        for circle in circles(graph):
            path = f"{sound.path(section, ids.index(circle[0]))}.{key}"
            yield Problem(path, f"goes round in a circle: {' → '.join([*circle, circle[0]])}")


def circles(graph: Mapping[str, Collection[str]]) -> list[list[str]]:
    """One circle for every knot of the graph, beginning with its first node in order; no recursion."""
    found: list[list[str]] = []
    finished: set[Hashable] = set()
    for start in graph:
        trail: list[str] = []
        on_trail: set[str] = set()
        pending: list[tuple[str, Iterator[str]]] = [] if start in finished else [(start, iter(graph[start]))]
        while pending:
            node, onward = pending[-1]
            if node not in on_trail:
                trail.append(node)
                on_trail.add(node)
            following = next((name for name in onward if name in graph and name not in finished), None)
            if following is None:
                pending.pop()
                trail.pop()
                on_trail.discard(node)
                finished.add(node)
            elif following in on_trail:
                found.append(trail[trail.index(following) :])
            else:
                pending.append((following, iter(graph[following])))
    return found


def _channels(sound: Sound, channels: Collection[str]) -> Iterator[Problem]:
    for at, team in enumerate(sound.file.teams):
        for inner, name in enumerate(team.channels):
            if name not in channels:
                path = f"{sound.path('teams', at)}.channels[{inner}]"
                yield Problem(path, f"the configuration has no channel `{name}`{_hint(name, channels)}")
    for at, stakeholder in enumerate(sound.file.stakeholders):
        name = stakeholder.channel or ""
        if name and name not in channels:
            path = f"{sound.path('stakeholders', at)}.channel"
            yield Problem(path, f"the configuration has no channel `{name}`{_hint(name, channels)}")
