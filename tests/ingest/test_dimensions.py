"""What is renamed in a tracker without any item's change reaches the items within the hour, and nothing else does."""

from datetime import timedelta

import pytest

from schemas.work import WorkItem
from services.simulator.faults import Fault
from services.simulator.jira_fields import TYPES, status
from services.simulator.model import IN_REVIEW, Item
from tests.ingest.conftest import Reader, Trackers

HOUR = timedelta(minutes=61)


@pytest.fixture
async def jira(trackers: Trackers, clocked: object) -> Reader:
    return Reader("jira", trackers, clocked)  # type: ignore[arg-type]


@pytest.fixture
async def github(trackers: Trackers, clocked: object) -> Reader:
    return Reader("github", trackers, clocked)  # type: ignore[arg-type]


def an_hour_later(reader: Reader) -> None:
    reader.trackers.later(minutes=61)


async def revisions(reader: Reader, items: list[Item]) -> list[int]:
    return [len(await reader.events(reader.uid(item))) for item in items]


async def told(reader: Reader, item: Item) -> WorkItem:
    return await reader.item(item)


async def test_a_renamed_label(github: Reader) -> None:
    """Its items carry the new name, from the day it was seen on; others have no event, and nor has anything twice."""
    items = github.trackers.fill(github.here, 4)
    github.world.edit(items[3], labels=("other",))
    await github.sync_well()
    before = await told(github, items[0])
    github.world.rename_label(github.here, "run", "keep-the-lights-on")
    an_hour_later(github)
    await github.sync_well()
    found = await told(github, items[0])
    assert found.labels == ("keep-the-lights-on",)
    assert found.updated_at == before.updated_at
    last = found.history[-1]
    assert (last.field, last.before, last.after, last.at) == (
        "labels", ["run"], ["keep-the-lights-on"], github.world.now,
    )  # fmt: skip
    assert await revisions(github, items) == [2, 2, 2, 1]
    an_hour_later(github)
    await github.sync_well()
    assert await revisions(github, items) == [2, 2, 2, 1]
    await github.connector.close()


async def test_a_deleted_label(github: Reader) -> None:
    items = github.trackers.fill(github.here, 2)
    await github.sync_well()
    github.world.rename_label(github.here, "run", None)
    an_hour_later(github)
    await github.sync_well()
    assert [(await told(github, item)).labels for item in items] == [(), ()]
    await github.connector.close()


async def test_lists_that_did_not_change_cost_one_request_an_hour(github: Reader) -> None:
    """And between two readings none."""
    github.trackers.fill(github.here, 3)
    await github.sync_well()
    for minutes, expected in ((30, 0), (31, 2)):
        github.trackers.later(minutes=minutes)
        before = len(github.trackers.faults.asked)
        await github.sync_well()
        asked = github.trackers.faults.asked[before:]
        assert len([one for one in asked if one.path.endswith("/labels")]) == expected
        assert len([one for one in asked if "/issues?" in one.line and "since" not in one.line]) in (0, expected)
    await github.connector.close()


async def test_a_renamed_status_and_type(jira: Reader) -> None:
    """The items are called so from now on, and what they were before stays: no work is done or undone by it."""
    items = jira.trackers.fill(jira.here, 3)
    jira.trackers.later(minutes=5)
    jira.world.edit(items[0], status=IN_REVIEW)
    await jira.sync_well()
    before = await told(jira, items[0])
    jira.world.call("status", status(jira.here, IN_REVIEW)["id"], name="Peer review")
    jira.world.call("type", next(row["id"] for row in TYPES if row["name"] == "Task"), name="Chore")
    an_hour_later(jira)
    await jira.sync_well()
    found = await told(jira, items[0])
    assert (found.status, found.status_category, found.type) == ("Peer review", "in_progress", "Chore")
    assert found.started_at == before.started_at
    assert {change.at for change in found.history[len(before.history) :]} == {jira.world.now}
    assert found.history[: len(before.history)] == before.history
    assert await revisions(jira, items) == [2, 2, 2]
    await jira.connector.close()


async def test_a_status_of_another_category(jira: Reader) -> None:
    """What stands in it is done from now on, and was in progress before: no past day changes."""
    items = jira.trackers.fill(jira.here, 2)
    jira.trackers.later(minutes=5)
    jira.world.edit(items[0], status=IN_REVIEW)
    began = jira.world.now
    await jira.sync_well()
    jira.world.call("status", status(jira.here, IN_REVIEW)["id"], category="done")
    an_hour_later(jira)
    await jira.sync_well()
    found = await told(jira, items[0])
    assert (found.status, found.status_category) == (IN_REVIEW, "done")
    moves = [(one.at, one.before_category, one.after_category) for one in found.history if one.field == "status"]
    assert moves == [(began, "todo", "in_progress"), (jira.world.now, "in_progress", "done")]
    assert (found.started_at, found.done_at) == (began, jira.world.now)
    assert await revisions(jira, items) == [2, 1]
    jira.trackers.later(minutes=5)
    jira.world.edit(items[0], title="Changed after it")
    await jira.sync_well()
    again = await told(jira, items[0])
    assert (again.title, again.done_at, again.started_at) == ("Changed after it", found.done_at, found.started_at)
    assert [(one.at, one.after_category) for one in again.history if one.field == "status"] == [
        (at, after) for at, _, after in moves
    ]
    await jira.connector.close()


async def test_a_renamed_component(jira: Reader) -> None:
    jira.here.components = ("api",)
    items = jira.trackers.fill(jira.here, 2)
    jira.world.edit(items[0], components=("api",))
    await jira.sync_well()
    jira.world.rename_component(jira.here, "api", "interface")
    an_hour_later(jira)
    await jira.sync_well()
    assert (await told(jira, items[0])).components == ("interface",)
    assert await revisions(jira, items) == [2, 1]
    await jira.connector.close()


@pytest.mark.parametrize("status", [403, 404, 502, 200])
async def test_lists_that_cannot_be_read_are_no_rename(reader: Reader, status: int) -> None:
    """A failure says nothing of names, and stops no pass; once it is over, what was renamed meanwhile is found."""
    items = reader.trackers.fill(reader.here, 2)
    await reader.sync_well()
    reader.trackers.faults.add(Fault(when="labels|/resolution", kind="answer", status=status, body=b"{}", times=None))
    an_hour_later(reader)
    await reader.sync_well()
    reader.trackers.faults.clear()
    if reader.kind == "github":
        reader.world.rename_label(reader.here, "run", "steady")
    else:
        reader.world.call("type", next(row["id"] for row in TYPES if row["name"] == "Task"), name="steady")
    an_hour_later(reader)
    await reader.sync_well()
    found = await told(reader, items[0])
    assert "steady" in (found.type, *found.labels)
    assert await revisions(reader, items) == [2, 2]


async def test_a_reading_that_breaks_off_goes_on(github: Reader) -> None:
    """What is renamed while hundreds of items show it: a failure in the middle loses nothing."""
    items = github.trackers.fill(github.here, 250)
    await github.sync_well()
    github.world.rename_label(github.here, "run", "steady")
    an_hour_later(github)
    broken = Fault(when=r"/issues\?.*since=", kind="answer", status=502, body=b"", times=None)
    github.trackers.faults.add(broken)
    assert (await github.sync()).error is not None
    github.trackers.faults.clear()
    await github.sync_well()
    assert {(await github.stored())[github.uid(item)].labels for item in items} == {("steady",)}
    assert set(await revisions(github, items)) == {2}
    await github.connector.close()
