"""A board of the simulated host, a reader that is configured to read it, and what tests ask of both."""

from datetime import date
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from schemas.work import Milestone, WorkItem
from services.simulator.boards import ProjectBoard, add_board
from services.simulator.model import Item
from services.storage import tables
from tests.ingest.conftest import Reader, Trackers

FIELDS = {"Goal": "Goal"}


@pytest.fixture
def board(trackers: Trackers) -> ProjectBoard:
    """The board ``acme/7`` with a goal, a team, an estimate and two iterations."""
    return goals(add_board(trackers.world, "acme", 7))


def goals(made: ProjectBoard) -> ProjectBoard:
    made.add_field("Goal", "SINGLE_SELECT", options=("Growth", "Trust"))
    made.add_field("Team", "SINGLE_SELECT", options=("web", "payments"))
    made.add_field("Estimate", "NUMBER")
    made.add_field("Iteration", "ITERATION")
    made.add_iteration("Sprint 1", date(2026, 11, 2))
    made.add_iteration("Sprint 2", date(2026, 11, 16))
    made.add_iteration("Sprint 3", date(2026, 11, 30))
    return made


@pytest.fixture
async def boarded(github: Reader, board: ProjectBoard) -> Reader:
    """A reader that is configured to read the board."""
    await configured(github)
    return github


async def configured(reader: Reader, *boards: str, **more: Any) -> None:
    settings = {"project_boards": boards or ("acme/7",), "fields": FIELDS, "team_field": "Team"}
    await reader.only(**settings | more)


def shown(item: WorkItem) -> tuple[Any, ...]:
    """What a board says of an item."""
    return item.fields.get("Goal"), item.team, item.estimate_points, item.status, item.status_category


NOTHING = (None, None, None, "open", "todo")


def two(trackers: Trackers, reader: Reader) -> tuple[Item, Item]:
    first, second = trackers.fill(reader.here, 2)
    trackers.later(minutes=20)
    return first, second


def iteration(reader: Reader, board: ProjectBoard, place: int) -> str:
    where = board.field("Iteration")
    return f"{reader.kind}:iteration:{where.id}.{where.iterations[place].id}"


async def milestones(reader: Reader) -> dict[str, Milestone]:
    async with reader.database.read() as connection:
        rows = await connection.execute(select(tables.milestones.c.content))
        found = [msgspec.json.decode(row.content, type=Milestone) for row in rows]
    return {one.uid: one for one in found if one.kind == "iteration"}


async def revisions(reader: Reader) -> dict[str, int]:
    async with reader.database.read() as connection:
        return {row.uid: row.revision for row in await connection.execute(select(tables.items))}
