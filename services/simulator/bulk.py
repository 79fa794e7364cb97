"""A world of any size, made quickly: for benchmarks, where only numbers and shapes matter."""

from datetime import datetime, timedelta
from random import Random

from services.simulator.acme import PROJECTS, REPOSITORIES
from services.simulator.model import (
    CLOSED,
    DONE,
    GITHUB_TYPES,
    IN_PROGRESS,
    OPEN,
    TO_DO,
    Change,
    Container,
    Edit,
    Item,
)
from services.simulator.world import World

_TYPES = ("Story", "Task", "Bug")
_LABELS = ("objective:OBJ-1", "objective:OBJ-3", "run", "security", "sso", "customer-wish")
_CHILDREN_OF_AN_EPIC = 50
_RELEASES = 8


def bulk(
    *, items: int, now: datetime, seed: int = 7, days: int = 365, github: float = 0.3, repositories: int = 2
) -> World:
    """A world with exactly ``items`` items, a share of them on GitHub, created evenly over ``days``.

    The first ``repositories`` are Acme's own, the rest are ``acme/part-3``, ``acme/part-4`` and so on.

    Two thirds are done and a tenth in progress. Nothing happens in it by itself; `stir` changes some of it.
    """
    world = World(seed=seed, start=now - timedelta(days=days), watched=now)
    projects = [
        world.add_container("jira", key, title, components=parts, team_managed=own)
        for key, title, parts, own in PROJECTS
    ]
    named = [*REPOSITORIES, *((f"acme/part-{n}", f"Part {n}") for n in range(len(REPOSITORIES) + 1, repositories + 1))]
    homes = [world.add_container("github", key, title) for key, title in named[:repositories]]
    for container in (*projects, *homes):
        for number in range(1, _RELEASES + 1):
            due = (world.now + timedelta(days=number * days / _RELEASES)).date()
            world.add_milestone(container, f"{container.key} {number}.0", due=due)
    on_github = round(items * github)
    _fill(world, homes, on_github, now)
    _fill(world, projects, items - on_github, now)
    world.advance(now)
    return world


def _fill(world: World, containers: list[Container], items: int, now: datetime) -> None:
    begin = world.now
    step = (now - begin) / max(items, 1)
    epics: dict[int, int] = {}
    for number in range(items):
        container = containers[number % len(containers)]
        rank = number // len(containers)
        created = _whole(begin + step * number, container)
        if rank % _CHILDREN_OF_AN_EPIC == 0:
            item = world.create(container, f"Chapter {rank // _CHILDREN_OF_AN_EPIC + 1}", type=_epic(container))
            epics[container.id] = item.id
            item.created = item.updated = created
        else:
            item = _item(world, container, rank, epics[container.id])
            item.created = item.updated = created
            _live(world, item, container, created, now)


def _epic(container: Container) -> str | None:
    return "Epic" if container.tracker == "jira" else None


def _item(world: World, container: Container, rank: int, epic: int) -> Item:
    dice = world.random
    jira = container.tracker == "jira"
    marks: dict[str, object] = {}
    if jira:
        points = float(1 + rank % 5) if dice.random() < 0.8 else None
        marks = {"points": points, "components": (container.components[rank % len(container.components)],)}
    return world.create(
        container,
        f"Piece of work {rank}",
        type=(_TYPES if jira else GITHUB_TYPES)[rank % 3],
        parent=epic if dice.random() < 0.7 else None,
        labels=(dice.choice(_LABELS),) if dice.random() < 0.5 else (),
        milestones=(dice.choice(container.milestones).id,) if dice.random() < 0.6 else (),
        assignee=rank % 40 + 11,
        **marks,
    )


def _live(world: World, item: Item, container: Container, created: datetime, now: datetime) -> None:
    """The past of one item, written down at once."""
    dice = world.random
    fate = dice.random()
    span = now - created
    if item.tracker == "jira":
        if fate < 0.77:
            begun = _whole(created + span * dice.uniform(0.05, 0.4), container)
            _write(world, item, begun, status=IN_PROGRESS)
        if fate < 0.67:
            ended = _whole(created + span * dice.uniform(0.4, 1.0), container)
            _write(world, item, ended, status=DONE, resolution=DONE if fate > 0.04 else "Won't Do")
            item.resolved = ended
    elif fate < 0.67:
        ended = _whole(created + span * dice.uniform(0.1, 1.0), container)
        _write(world, item, ended, status=CLOSED, resolution="completed" if fate > 0.04 else "not_planned")
        item.resolved = ended


def _write(world: World, item: Item, at: datetime, **values: object) -> None:
    edits = tuple(Edit(name, getattr(item, name), value) for name, value in values.items())
    for edit in edits:
        setattr(item, edit.field, edit.after)
    item.history.append(Change(world.next_change(), at, item.assignee or 1, edits))
    item.updated = at


def _whole(at: datetime, container: Container) -> datetime:
    finest = 1_000_000 if container.tracker == "github" else 1000
    return at.replace(microsecond=at.microsecond // finest * finest)


def stir(world: World, changes: int, *, seed: int = 1) -> list[Item]:
    """Change so many items, drawn by lot, at the world's clock; the same item may be drawn twice."""
    dice = Random(seed)  # noqa: S311 - a simulation, no secret
    with world.lock:
        ids = sorted(world.items)
        drawn = [world.items[dice.choice(ids)] for _ in range(changes)]
        for item in drawn:
            if item.done:
                world.reopen(item)
            elif item.status in (TO_DO, OPEN) and item.tracker == "jira":
                world.edit(item, status=IN_PROGRESS)
            else:
                world.finish(item)
    return drawn
