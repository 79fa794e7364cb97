"""Project boards: what they say of issues is stored with them, and only a board changes it.

Twenty minutes later a pass reads no issue again that has not changed: what is new then is the board's doing.
"""

from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from connectors.base import Ref
from schemas.events import WorkItemChanged
from schemas.work import Milestone, WorkItem
from services.ingest.looks import apply_looked
from services.ingest.remember import remember
from services.simulator.boards import ProjectBoard, add_board
from services.simulator.faults import Fault
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


# -- values ------------------------------------------------------------------------------------------------------------


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


# -- what comes and goes -----------------------------------------------------------------------------------------------


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


# -- names -------------------------------------------------------------------------------------------------------------


async def test_names_that_change_are_followed_by_their_ids(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """An option, an iteration and the field itself get other names, by which no entry changes."""
    item, _ = two(trackers, boarded)
    board.put(item, Goal="Growth", Iteration="Sprint 2", Status="Todo")
    await boarded.sync_well()
    trackers.later(minutes=20)
    where = board.field("Goal")
    where.options = {id_: name.replace("Growth", "More customers") for id_, name in where.options.items()}
    board.field("Iteration").iterations[1].title = "The second"
    await boarded.sync_well()
    assert (await boarded.item(item)).fields == {"Goal": "More customers"}
    found = await milestones(boarded)
    assert found[iteration(boarded, board, 1)].title == "The second"
    trackers.later(minutes=20)
    where.name = "Objective"
    await boarded.sync_well()
    assert (await boarded.item(item)).fields == {"Goal": "More customers"}
    assert await boarded.gaps() == {}


async def test_a_field_that_no_board_has_is_a_gap(trackers: Trackers, boarded: Reader, board: ProjectBoard) -> None:
    """A field that is deleted: its values are gone, and it is said why, until there is one of that name again."""
    item, _ = two(trackers, boarded)
    board.put(item, Goal="Growth", Team="web")
    await boarded.sync_well()
    where = board.field("Goal")
    board.fields.remove(where)
    summary = await boarded.sync_well()
    assert await boarded.gaps() == {"board acme/7": "no_such_field"}
    assert ["'Goal'" in gap.detail for gap in summary.gaps] == [True]
    assert shown(await boarded.item(item))[:2] == (None, "web")
    board.fields.append(where)
    await boarded.sync_well()
    assert await boarded.gaps() == {}
    assert shown(await boarded.item(item))[:2] == ("Growth", "web")


# -- what fails --------------------------------------------------------------------------------------------------------


async def test_a_board_that_cannot_be_read_keeps_its_values_and_is_a_gap(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """Without the scope the issues are read on, the values stand, and the gap says how to mend it; then it closes."""
    item, _ = two(trackers, boarded)
    board.put(item, Goal="Growth", Iteration="Sprint 1")
    await boarded.sync_well()
    trackers.github.graphql.projects = False
    trackers.later(minutes=20)
    trackers.world.edit(item, title="Another")
    board.put(item, Goal="Trust")
    summary = await boarded.sync_well()
    assert [(gap.container, gap.reason, "read:project" in gap.fix) for gap in summary.gaps] == [
        ("board acme/7", "forbidden", True)
    ]
    after = await boarded.item(item)
    assert (after.title, after.fields, after.milestones) == (
        "Another", {"Goal": "Growth"}, (iteration(boarded, board, 0),)
    )  # fmt: skip
    trackers.github.graphql.projects = True
    await boarded.sync_well()
    assert await boarded.gaps() == {}
    assert (await boarded.item(item)).fields == {"Goal": "Trust"}


async def test_an_entry_that_we_may_not_see_any_more_keeps_its_values(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """A redacted entry is there, and what is in it is hidden: that takes nothing away."""
    item, _ = two(trackers, boarded)
    board.put(item, Goal="Growth")
    await boarded.sync_well()
    trackers.github.graphql.hidden.add(item.id)
    await boarded.sync_well()
    assert (await boarded.item(item)).fields == {"Goal": "Growth"}


async def test_a_board_that_is_sorted_while_it_is_read_loses_nobody(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """Entries are listed in the order of the board: one dragged to the top is passed over, and not taken for gone."""
    items = trackers.fill(boarded.here, 150)
    for item in items:
        board.put(item, Goal="Growth")
    await boarded.sync_well()
    last = items[-1]
    queries = trackers.faults.count("/graphql")

    def drag() -> None:
        if trackers.faults.count("/graphql") - queries in (2, 4):  # after the first page, and again in the second try
            board.raise_to_top(last if trackers.faults.count("/graphql") - queries == 2 else items[-2])

    trackers.faults.add(Fault(when="/graphql", kind="pass", times=None, act=drag))
    await boarded.sync_well()
    stored = await boarded.stored()
    assert {stored[boarded.uid(item)].fields["Goal"] for item in items} == {"Growth"}
    trackers.faults.clear()
    board.remove(last)
    await boarded.sync_well()
    assert (await boarded.item(last)).fields == {"Goal": None}


# -- the past ----------------------------------------------------------------------------------------------------------


async def test_work_begins_when_the_board_says_so_and_ends_when_the_issue_is_closed(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """An open issue has the board's status; a closed one is closed, whatever the board says; history tells both."""
    item, known = two(trackers, boarded)
    board.put(known, Status="In Progress")
    known_at = trackers.world.now
    trackers.later(hours=1)
    board.put(item, Status="Todo")
    await boarded.sync_well()
    assert (await boarded.item(known)).started_at == known_at
    trackers.later(hours=1)
    board.put(item, Status="In Progress")
    begun = trackers.world.now
    trackers.later(hours=1)
    board.put(item, Goal="Growth")
    await boarded.sync_well()
    trackers.later(hours=1)
    trackers.world.finish(item)
    trackers.later(seconds=2)
    board.put(item, Status="Done")
    await boarded.sync_well()
    stored = await boarded.item(item)
    assert (stored.status, stored.status_category, stored.started_at) == ("closed", "done", begun)
    assert [(one.before, one.after, one.before_category, one.after_category) for one in stored.history
            if one.field == "status"] == [
        ("Todo", "In Progress", "todo", "in_progress"),
        ("In Progress", "closed", "in_progress", "done"),
    ]  # fmt: skip
    trackers.later(hours=1)
    board.put(item, Status="In Progress")
    await boarded.sync_well()
    assert (await boarded.item(item)).status == "closed"
    trackers.world.reopen(item)
    await boarded.sync_well()
    assert shown(await boarded.item(item))[3:] == ("In Progress", "in_progress")


async def test_an_iteration_stays_in_the_past_of_an_issue_whose_milestone_changes(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """The host's own history of milestones knows no iterations: those that were in force are in it all the same."""
    beta, final = (trackers.world.add_milestone(boarded.here, title) for title in ("Beta", "Final"))
    item, _ = two(trackers, boarded)
    trackers.world.edit(item, milestones=(beta.id,))
    await boarded.sync_well()
    trackers.later(hours=1)
    board.put(item, Iteration="Sprint 1")
    await boarded.sync_well()
    trackers.later(hours=1)
    trackers.world.edit(item, milestones=(final.id,))
    await boarded.sync_well()
    sprint, old, new = iteration(boarded, board, 0), f"github:milestone:{beta.id}", f"github:milestone:{final.id}"
    stored = await boarded.item(item)
    changes = [(one.before, one.after) for one in stored.history if one.field == "milestones"]
    assert changes == [
        ([], [old]), ([old], [sprint, old]), ([sprint, old], [sprint]), ([sprint], [sprint, new])
    ]  # fmt: skip


async def test_items_that_are_rebuilt_from_the_log_keep_what_boards_say(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """After a replay the next passes find everything as it was."""
    item, _ = two(trackers, boarded)
    board.put(item, Goal="Growth", Iteration="Sprint 1")
    await boarded.sync_well()
    trackers.later(minutes=20)
    board.put(item, Goal="Trust", Status="In Progress")
    await boarded.sync_well()
    before, numbers = await boarded.stored(), await revisions(boarded)
    async with boarded.database.write() as uow:
        await remember(uow)
    for _ in range(2):
        trackers.later(minutes=20)
        await boarded.sync_well(full=True)
        assert (await boarded.stored(), await revisions(boarded)) == (before, numbers)


async def test_an_issue_that_comes_back_has_what_the_board_says_by_then(
    trackers: Trackers, boarded: Reader, board: ProjectBoard
) -> None:
    """Of what is out of sight nothing is changed; when it can be seen again, it is as the board has it."""
    item, _ = two(trackers, boarded)
    board.put(item, Goal="Growth")
    await boarded.sync_well()
    trackers.world.set_container(boarded.here.key, "hidden")
    for _ in range(3):
        trackers.later(minutes=20)
        await boarded.sync_well()
    assert (await boarded.item(item)).availability == "access_lost"
    board.put(item, Goal="Trust")
    await boarded.sync_well()
    assert (await boarded.item(item)).fields == {"Goal": "Growth"}
    trackers.world.set_container(boarded.here.key, "live")
    trackers.later(minutes=20)
    await boarded.sync_well()
    back = await boarded.item(item)
    assert (back.availability, back.fields) == ("present", {"Goal": "Trust"})


async def test_a_board_on_which_nothing_was_read_yet_dates_what_it_says(
    trackers: Trackers, github: Reader, board: ProjectBoard
) -> None:
    """A board that is configured later: its values begin when it last changed them, not before."""
    item, _ = two(trackers, github)
    await github.sync_well()
    trackers.later(hours=1)
    board.put(item, Goal="Growth")
    said = trackers.world.now
    trackers.later(hours=1)
    await configured(github)
    await github.sync_well()
    stored = await github.item(item)
    assert [one.at for one in stored.history if one.field == "fields"] == [said]
    assert said - trackers.world.now == timedelta(hours=-1)
