"""Boards that cannot be read, names that change, and what the past of an issue tells of them.

Twenty minutes later a pass reads no issue again that has not changed: what is new then is the board's doing.
"""

from datetime import timedelta

from services.ingest.remember import remember
from services.simulator.boards import ProjectBoard
from services.simulator.faults import Fault
from tests.ingest.boards import (
    board,
    boarded,
    configured,
    iteration,
    milestones,
    revisions,
    shown,
    two,
)
from tests.ingest.conftest import Reader, Trackers

__all__ = ["board", "boarded"]


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
