"""Project boards: what they say of issues is stored with them, and only a board changes it."""

from datetime import date
from typing import Any

import pytest

from schemas.events import WorkItemChanged
from schemas.work import WorkItem
from services.simulator.boards import ProjectBoard, add_board
from services.simulator.model import Item
from tests.ingest.conftest import Reader, Trackers

FIELDS = {"Goal": "Goal"}


@pytest.fixture
def board(trackers: Trackers) -> ProjectBoard:
    """The board ``acme/7`` with a goal, a team, an estimate and two iterations."""
    made = add_board(trackers.world, "acme", 7)
    made.add_field("Goal", "SINGLE_SELECT", options=("Growth", "Trust"))
    made.add_field("Team", "SINGLE_SELECT", options=("web", "payments"))
    made.add_field("Estimate", "NUMBER")
    made.add_field("Iteration", "ITERATION")
    made.add_iteration("Sprint 1", date(2026, 11, 2))
    made.add_iteration("Sprint 2", date(2026, 11, 16))
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


def two(trackers: Trackers, reader: Reader) -> tuple[Item, Item]:
    first, second = trackers.fill(reader.here, 2)
    return first, second


async def test_a_board_gives_its_values_to_the_issues_on_it(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """Fields, team, estimate, status and iteration of an issue on a board; nothing for one that is not on it."""
    on, off = two(trackers, boarded)
    board.put(on, Goal="Growth", Team="web", Estimate=3.0, Status="In Progress", Iteration="Sprint 2")
    await boarded.sync_well()
    assert shown(await boarded.item(on)) == ("Growth", "web", 3.0, "In Progress", "in_progress")
    assert shown(await boarded.item(off)) == (None, None, None, "open", "todo")
    iteration = board.field("Iteration")
    assert (await boarded.item(on)).milestones == (f"github:iteration:{iteration.id}.{iteration.iterations[1].id}",)


async def test_a_value_that_changes_on_the_board_alone_is_seen_by_the_next_pass(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """The issue itself does not change; its values do, dated as the board dates them."""
    item, _ = two(trackers, boarded)
    board.put(item, Goal="Growth")
    await boarded.sync_well()
    trackers.later(minutes=5)
    board.put(item, Goal="Trust")
    changed_at = trackers.world.now
    trackers.later(minutes=5)
    await boarded.sync_well()
    *_, last = await boarded.events(boarded.uid(item))
    assert isinstance(last, WorkItemChanged)
    assert last.changed == ("fields", "history")
    assert (last.after.fields, last.revision) == ({"Goal": "Trust"}, 2)
    assert [(one.at, one.before, one.after) for one in last.after.history if one.field == "fields"] == [
        (changed_at, {"Goal": "Growth"}, {"Goal": "Trust"})
    ]
