"""Project boards: what they say of issues is stored with them, and only a board changes it.

Twenty minutes later a pass reads no issue again that has not changed: what is new then is the board's doing.
"""

from datetime import date

from sqlalchemy import select

from connectors.base import Ref
from schemas.events import WorkItemChanged
from services.ingest.looks import apply_looked
from services.simulator.boards import ProjectBoard, add_board
from services.simulator.model import Item
from services.storage import tables
from tests.ingest.boards import (
    FIELDS,
    NOTHING,
    board,
    boarded,
    configured,
    goals,
    iteration,
    milestones,
    revisions,
    shown,
    two,
)
from tests.ingest.conftest import Reader, Trackers

__all__ = ["board", "boarded"]


async def test_a_board_gives_its_values_to_the_issues_on_it(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """Fields, team, estimate, status and iteration of an issue on a board; nothing for one that is not on it."""
    on, off = two(trackers, boarded)
    board.put(on, Goal="Growth", Team="web", Estimate=3.0, Status="In Progress", Iteration="Sprint 2")
    board.put(None, Goal="Trust")
    await boarded.sync_well()
    assert shown(await boarded.item(on)) == ("Growth", "web", 3.0, "In Progress", "in_progress")
    assert shown(await boarded.item(off)) == NOTHING
    assert (await boarded.item(off)).fields == {"Goal": None}
    assert (await boarded.item(on)).milestones == (iteration(boarded, board, 1),)


async def test_iterations_are_milestones_with_their_first_and_last_day(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """Those that are over, that are on, and that are planned; the last day is the one before the next begins."""
    await boarded.sync_well()
    found = await milestones(boarded)
    assert {(one.title, one.state, one.start_date, one.due_date) for one in found.values()} == {
        ("Sprint 1", "done", date(2026, 11, 2), date(2026, 11, 15)),
        ("Sprint 2", "active", date(2026, 11, 16), date(2026, 11, 29)),
        ("Sprint 3", "planned", date(2026, 11, 30), date(2026, 12, 13)),
    }
    assert set(found) == {iteration(boarded, board, place) for place in range(3)}


async def test_a_value_that_changes_on_the_board_alone_is_seen_by_the_next_pass(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """The issue itself does not change; its values do, dated as the board dates them."""
    item, _ = two(trackers, boarded)
    board.put(item, Goal="Growth")
    await boarded.sync_well()
    trackers.later(minutes=20)
    board.put(item, Goal="Trust")
    changed_at = trackers.world.now
    trackers.later(minutes=20)
    await boarded.sync_well()
    *_, last = await boarded.events(boarded.uid(item))
    assert isinstance(last, WorkItemChanged)
    assert last.changed == ("fields", "history")
    assert (last.after.fields, last.revision) == ({"Goal": "Trust"}, 2)
    assert [(one.at, one.before, one.after) for one in last.after.history if one.field == "fields"] == [
        (changed_at, {"Goal": "Growth"}, {"Goal": "Trust"})
    ]


async def test_an_answer_about_an_issue_changes_nothing_that_a_board_says(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """An issue that changes, and one that is looked at by itself, keep the values of the board."""
    item, _ = two(trackers, boarded)
    board.put(item, Goal="Growth", Team="web", Estimate=3.0, Status="In Progress", Iteration="Sprint 1")
    await boarded.sync_well()
    before = shown(await boarded.item(item))
    trackers.later(minutes=20)
    trackers.world.edit(item, title="Another")
    await boarded.sync_well()
    assert ((await boarded.item(item)).title, shown(await boarded.item(item))) == ("Another", before)
    trackers.world.edit(item, title="A third")
    await looked_at(boarded, item)
    after = await boarded.item(item)
    assert (after.title, shown(after)) == ("A third", before)
    assert after.milestones == (iteration(boarded, board, 0),)


async def looked_at(reader: Reader, item: Item) -> None:
    """As a hook has it: a connector that has read no board yet, since it may be another process."""
    await configured(reader)
    key = reader.world.key(item)
    looked = await reader.connector.look([Ref(uid=reader.uid(item), key=key, container=str(item.container))])
    async with reader.database.write() as uow:
        await apply_looked(uow, looked, {reader.here.key, reader.there.key})


async def test_passes_in_which_nothing_happens_change_nothing(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """Three idle passes over issues that are read again each time: no revision, no event."""
    first, second = trackers.fill(boarded.here, 2)
    pull = trackers.world.create(boarded.here, "A pull", pull_request=True)
    board.put(first, Goal="Growth", Team="web", Estimate=3.0, Status="In Progress", Iteration="Sprint 1")
    board.put(second, Status="Done")
    board.put(pull, Goal="Trust", Status="Todo")
    trackers.world.finish(second)
    await boarded.sync_well()
    trackers.later(minutes=1)
    board.put(first, Status="Todo", Iteration="Sprint 2")
    trackers.world.edit(first, milestones=(trackers.world.add_milestone(boarded.here, "Beta").id,))
    await boarded.sync_well()
    before = await revisions(boarded)
    for _ in range(3):
        trackers.later(minutes=1)
        summary = await boarded.sync_well()
        assert (summary.seen, summary.changed) == (3, 0)
    await boarded.sync_well(full=True)
    assert await revisions(boarded) == before
    assert shown(await boarded.item(first)) == ("Growth", "web", 3.0, "Todo", "todo")
    assert iteration(boarded, board, 1) in (await boarded.item(first)).milestones


async def test_a_pull_request_is_found_by_its_number(trackers: Trackers, boarded: Reader, board: ProjectBoard) -> None:
    """A board knows a pull request by another id than the list of issues: one that is new, and one that is stored."""
    early = trackers.world.create(boarded.here, "Early", pull_request=True)
    board.put(early, Goal="Growth", Status="In Progress")
    await boarded.sync_well()
    trackers.later(minutes=20)
    late = trackers.world.create(boarded.here, "Late", pull_request=True)
    trackers.later(minutes=20)
    await boarded.sync_well()
    trackers.later(minutes=20)
    board.put(late, Goal="Trust")
    await boarded.sync_well()
    assert shown(await boarded.item(early)) == ("Growth", None, None, "In Progress", "in_progress")
    assert shown(await boarded.item(late)) == ("Trust", None, None, "open", "in_progress")


async def test_a_repository_that_is_renamed_takes_its_entries_along(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """Issues by their ids, pull requests as they were found first: neither loses its values in between."""
    item, _ = two(trackers, boarded)
    pull = trackers.world.create(boarded.here, "A pull", pull_request=True)
    for one in (item, pull):
        board.put(one, Goal="Growth")
    await boarded.sync_well()
    trackers.later(minutes=20)
    trackers.world.rename_container(boarded.here.key, "acme/shop")
    board.put(pull, Team="web")
    await boarded.sync_well()
    for one in (item, pull):
        stored = await boarded.item(one)
        assert (stored.container, stored.fields) == ("acme/shop", {"Goal": "Growth"})
        goals_ = [change.after.fields for change in await boarded.events(boarded.uid(one))]
        assert {"Goal": None} not in goals_
    assert (await boarded.item(pull)).team == "web"


async def test_a_board_does_not_make_an_issue_look_older(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """A comment moves the issue's own time on, and then the board changes: a census need not ask for the issue."""
    item, _ = two(trackers, boarded)
    await boarded.sync_well()
    trackers.later(minutes=15)
    trackers.world.touch(item)
    trackers.later(minutes=15)
    await boarded.sync_well()
    trackers.later(minutes=15)
    board.put(item, Goal="Growth")
    await boarded.sync_well()
    async with boarded.database.read() as connection:
        query = select(tables.items.c.updated_at).where(tables.items.c.uid == boarded.uid(item))
        assert await connection.scalar(query) == item.updated.replace(microsecond=0)
    trackers.later(minutes=61)
    before = trackers.faults.count(rf"/issues/{item.number}$")
    await boarded.sync_well()
    assert trackers.faults.count(rf"/issues/{item.number}$") == before


async def test_what_is_removed_from_a_board_loses_its_values(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """An issue taken off the board has no values from it any more; one that is archived there keeps them."""
    removed, archived = two(trackers, boarded)
    for item in (removed, archived):
        board.put(item, Goal="Growth", Team="web", Estimate=3.0, Status="In Progress", Iteration="Sprint 1")
    await boarded.sync_well()
    trackers.later(minutes=20)
    board.remove(removed)
    board.archive(archived)
    await boarded.sync_well()
    assert shown(await boarded.item(removed)) == NOTHING
    assert ((await boarded.item(removed)).milestones, (await boarded.item(removed)).fields) == ((), {"Goal": None})
    assert shown(await boarded.item(archived)) == ("Growth", "web", 3.0, "In Progress", "in_progress")


async def test_of_two_boards_the_first_counts_and_an_archived_entry_last(
    trackers: Trackers, github: Reader, board: ProjectBoard
) -> None:
    """Each value is the first board's that has one; iterations add up; an archived entry yields to another board."""
    other = goals(add_board(trackers.world, "acme", 8))
    await configured(github, "acme/7", "acme/8")
    item, _ = two(trackers, github)
    board.put(item, Goal="Growth", Iteration="Sprint 1")
    other.put(item, Goal="Trust", Team="payments", Iteration="Sprint 1")
    await github.sync_well()
    stored = await github.item(item)
    assert shown(stored)[:2] == ("Growth", "payments")
    assert stored.milestones == tuple(sorted((iteration(github, board, 0), iteration(github, other, 0))))
    trackers.later(minutes=20)
    board.archive(item)
    await github.sync_well()
    assert shown(await github.item(item))[:2] == ("Trust", "payments")
    trackers.later(minutes=20)
    board.archive(item, archived=False)
    await github.sync_well()
    assert shown(await github.item(item))[:2] == ("Growth", "payments")


async def test_the_configured_order_decides_and_a_board_that_is_configured_no_more_says_nothing(
    trackers: Trackers, github: Reader, board: ProjectBoard
) -> None:
    """Boards that change places, and then one that goes."""
    other = goals(add_board(trackers.world, "acme", 8))
    item, _ = two(trackers, github)
    board.put(item, Goal="Growth")
    other.put(item, Goal="Trust", Estimate=5.0)
    seen = []
    for names in (("acme/7", "acme/8"), ("acme/8", "acme/7"), ("acme/7",)):
        await configured(github, *names)
        trackers.later(minutes=20)
        await github.sync_well()
        seen.append(shown(await github.item(item))[::2][:2])
    assert seen == [("Growth", 5.0), ("Trust", 5.0), ("Growth", None)]
    await github.only(fields=FIELDS)
    trackers.later(minutes=20)
    await github.sync_well()
    assert shown(await github.item(item)) == NOTHING
