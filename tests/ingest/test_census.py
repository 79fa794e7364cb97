"""What leaves a tracker is found within an hour without hooks, told apart, confirmed, dated and reversible."""

from datetime import timedelta
from typing import Any

import pytest

from connectors.base import AuthenticationFailed, Retriable
from schemas.events import WorkItemRemoved
from services.ingest.census import BOUND
from services.simulator.faults import Fault
from services.simulator.model import Item
from tests.ingest.conftest import Reader

LISTS = r"/search/jql|/issues\?"


async def _removals(reader: Reader, item: Item | str) -> list[str]:
    uid = item if isinstance(item, str) else reader.uid(item)
    return [one.reason for one in await reader.events(uid) if isinstance(one, WorkItemRemoved)]


# -- deleted -----------------------------------------------------------------------------------------------------


async def test_a_deletion_is_found_within_the_hour(reader: Reader) -> None:
    """An item that is deleted is gone after the next census, with one event, dated, and nothing else is touched."""
    items = reader.trackers.fill(reader.here, 5)
    await reader.sync_well()
    reader.world.delete(items[2])
    reader.trackers.later(minutes=61)
    summary = await reader.sync_well()
    assert summary.deleted == 1
    assert await reader.present() == reader.truth()
    gone = await reader.item(items[2])
    assert gone.availability == "deleted"
    assert gone.history[-1].field == "availability"
    assert gone.history[-1].at == reader.world.now
    assert await _removals(reader, items[2]) == ["deleted"]
    reader.trackers.later(minutes=61)
    assert (await reader.sync_well()).deleted == 0
    assert len(await _removals(reader, items[2])) == 1


async def test_a_census_is_taken_once_an_hour(reader: Reader) -> None:
    """Passes between two censuses cost what a poll costs; the first pass needs none after itself."""
    reader.trackers.fill(reader.here, 3)
    await reader.sync_well()
    deleted = reader.here.items[0]
    reader.world.delete(deleted)
    reader.trackers.later(minutes=30)
    assert (await reader.sync_well()).deleted == 0
    reader.trackers.later(minutes=31)
    assert (await reader.sync_well()).deleted == 1


async def test_a_full_pass_takes_a_census(reader: Reader) -> None:
    """``sync --full`` finds deletions at once, whenever the last census was."""
    items = reader.trackers.fill(reader.here, 3)
    await reader.sync_well()
    reader.world.delete(items[0])
    assert (await reader.sync_well(full=True)).deleted == 1


async def test_a_list_that_lags_brings_no_deleted_item_back(jira: Reader) -> None:
    """A search index that still lists a deleted issue does not bring it back: only its own answer could."""
    items = jira.trackers.fill(jira.here, 3)
    await jira.sync_well()
    jira.trackers.later(minutes=61)
    jira.world.touch(items[0])
    rows: list[Any] = []

    def remember(data: Any) -> Any:
        rows.extend(data["issues"])
        return data

    jira.trackers.faults.add(Fault(when="/search/jql", kind="rewrite", times=None, change=remember))
    await jira.sync_well()
    jira.trackers.faults.clear()
    jira.world.delete(items[0])
    await jira.sync_well(full=True)
    assert (await jira.item(items[0])).availability == "deleted"
    assert rows
    jira.trackers.faults.add(
        Fault(when="/search/jql", kind="rewrite", change=lambda data: data | {"issues": [*rows, *data["issues"]]})
    )
    await jira.sync_well()
    assert (await jira.item(items[0])).availability == "deleted"


async def test_an_issue_that_cannot_be_told_of_is_asked_again_and_not_deleted(jira: Reader) -> None:
    """A retriable error of one issue (F38) is asked for once more in the same census."""
    items = jira.trackers.fill(jira.here, 3)
    await jira.sync_well()
    jira.world.delete(items[0])
    jira.trackers.later(minutes=61)
    answer = b'{"issues": [], "issueErrors": [{"id": "%d", "errorMessage": "busy"}]}' % items[0].id
    jira.trackers.faults.add(Fault(when="/issue/bulkfetch", kind="answer", body=answer))
    assert (await jira.sync_well()).deleted == 1


# -- moved -------------------------------------------------------------------------------------------------------


async def test_a_move_between_projects_that_are_read_is_one_change(jira: Reader) -> None:
    """An issue that moves (F36) keeps its uid and remembers its key: one event, and no removal, ever."""
    items = jira.trackers.fill(jira.here, 3)
    await jira.sync_well()
    old = jira.world.key(items[1])
    jira.trackers.later(minutes=61)
    jira.world.move(items[1], jira.there)
    summary = await jira.sync_well(full=True)
    assert summary.deleted == 0
    moved = await jira.item(items[1])
    assert (moved.key, moved.container, moved.previous_keys) == (jira.world.key(items[1]), "OPS", (old,))
    assert len(await jira.events(moved.uid)) == 2
    assert await _removals(jira, items[1]) == []


async def test_a_move_to_a_project_that_is_not_read_is_a_move(jira: Reader) -> None:
    """An issue that moves out of what is read has moved; when it comes back, it is present again."""
    await jira.only("WEB")
    items = jira.trackers.fill(jira.here, 3)
    await jira.sync_well()
    jira.trackers.later(minutes=61)
    jira.world.move(items[1], jira.there)
    assert (await jira.sync_well()).deleted == 1
    assert (await jira.item(items[1])).availability == "moved"
    jira.trackers.later(minutes=1)
    jira.world.move(items[1], jira.here)
    await jira.sync_well()
    assert (await jira.item(items[1])).availability == "present"
    assert await jira.present() == jira.truth(jira.here)


async def test_a_transfer_moves_the_old_issue_and_brings_a_new_one(github: Reader) -> None:
    """A transferred issue (F39) has a new id: the old one has moved, the new one is there, one event each."""
    items = github.trackers.fill(github.here, 3)
    await github.sync_well()
    old = github.uid(items[1])
    github.trackers.later(minutes=61)
    new = github.world.transfer(items[1], github.there)
    await github.sync_well()
    assert (await github.item(old)).availability == "moved"
    assert await _removals(github, old) == ["moved"]
    assert len(await github.events(github.uid(new))) == 1
    assert await github.present() == github.truth()


# -- containers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["archived", "trashed"])
async def test_a_projects_issues_go_where_it_goes_and_come_back_with_it(jira: Reader, state: Any) -> None:
    """Archived or trashed projects (F50) take their issues along at once; the way back is as short, and dated."""
    items = jira.trackers.fill(jira.here, 30)
    jira.trackers.fill(jira.there, 2)
    await jira.sync_well()
    jira.world.set_container("WEB", state)
    jira.trackers.later(minutes=1)
    assert (await jira.sync_well()).deleted == 30
    assert {(await jira.stored())[jira.uid(item)].availability for item in items} == {state}
    assert len(await jira.present()) == 2
    jira.world.set_container("WEB", "live")
    jira.trackers.later(minutes=1)
    await jira.sync_well()
    assert await jira.present() == jira.truth()
    back = await jira.item(items[0])
    assert [(change.before, change.after) for change in back.history if change.field == "availability"] == [
        ("present", state),
        (state, "present"),
    ]
    assert back.history[-1].at == jira.world.now


async def test_lost_access_deletes_nothing_and_is_reversible(reader: Reader) -> None:
    """A container out of sight is a gap first; its items lose access when that lasts, and are all back with it."""
    items = reader.trackers.fill(reader.here, 30)
    await reader.sync_well()
    reader.trackers.later(minutes=30)
    reader.world.set_container(reader.here.key, "hidden")
    assert (await reader.sync_well()).deleted == 0
    assert reader.here.key in await reader.gaps()
    assert len(await reader.present()) == 30
    reader.trackers.later(minutes=11)
    assert (await reader.sync_well()).deleted == 30
    assert {(await reader.stored())[reader.uid(item)].availability for item in items} == {"access_lost"}
    assert await _removals(reader, items[0]) == ["access_lost"]
    reader.world.set_container(reader.here.key, "live")
    reader.trackers.later(minutes=1)
    await reader.sync_well()
    assert await reader.present() == reader.truth()
    assert await reader.gaps() == {}


async def test_issues_that_had_moved_on_hide_no_lost_access(jira: Reader) -> None:
    """A project's access is lost although some of its issues went to another one that was archived meanwhile."""
    items = jira.trackers.fill(jira.there, 4)
    await jira.sync_well()
    jira.trackers.later(minutes=30)
    jira.world.move(items[0], jira.here)
    jira.world.set_container("WEB", "archived")
    jira.world.set_container("OPS", "hidden")
    await jira.sync_well()
    jira.trackers.later(minutes=11)
    await jira.sync_well()
    stored = await jira.stored()
    lost = ["access_lost"] * 3
    assert [stored[jira.uid(item)].availability for item in items] == ["archived", *lost]


async def test_a_container_out_of_sight_that_cannot_be_asked_for_keeps_no_other_from_being_read(
    jira: Reader,
) -> None:
    """Where the questions about a project that went fail, the other projects are read all the same."""
    jira.trackers.fill(jira.here, 3)
    await jira.sync_well()
    jira.trackers.later(minutes=30)
    jira.world.set_container("WEB", "hidden")
    new = jira.world.create(jira.there, "New")
    jira.trackers.faults.add(Fault(when="/issue/bulkfetch", kind="answer", times=None, status=500))
    summary = await jira.sync()
    assert isinstance(summary.error, Retriable)
    assert (await jira.item(new)).availability == "present"


async def test_a_container_that_is_not_configured_any_more_keeps_its_items(reader: Reader) -> None:
    """Taking a container out of the configuration deletes nothing and loses no access."""
    reader.trackers.fill(reader.here, 3)
    reader.trackers.fill(reader.there, 3)
    await reader.sync_well()
    await reader.only(reader.there.key)
    for _ in range(3):
        reader.trackers.later(minutes=61)
        assert (await reader.sync_well()).deleted == 0
    assert len(await reader.present()) == 6


async def test_a_container_that_is_renamed_keeps_its_items(reader: Reader) -> None:
    """Items of a renamed container are the same ones under new keys, and those that went meanwhile are gone."""
    items = reader.trackers.fill(reader.here, 4)
    await reader.sync_well()
    old_key = reader.world.key(items[1])
    new = "NEW" if reader.kind == "jira" else "acme/new"
    reader.world.rename_container(reader.here.key, new)
    await reader.only(new)
    reader.world.delete(items[0])
    reader.trackers.later(minutes=1)
    summary = await reader.sync_well()
    assert summary.deleted == 1
    assert await reader.present() == reader.truth(reader.here)
    renamed = await reader.item(items[1])
    assert (renamed.key, renamed.container, renamed.previous_keys) == (reader.world.key(items[1]), new, (old_key,))


async def test_another_repository_under_an_old_name_is_refused(github: Reader) -> None:
    """A name that another repository took over (F42) is a gap: its issues are not ours, and ours are not deleted."""
    github.trackers.fill(github.here, 3)
    await github.sync_well()
    github.world.rename_container("acme/web", "acme/old")
    taker = github.world.add_container("github", "acme/web", "Another")
    foreign = github.world.create(taker, "Foreign")
    github.trackers.later(minutes=61)
    summary = await github.sync_well()
    assert summary.deleted == 0
    assert (await github.gaps())["acme/web"] == "name_reused"
    assert github.uid(foreign) not in await github.stored()
    assert await github.present() == github.truth(github.here)


# -- the breaker ---------------------------------------------------------------------------------------------------


def _shortened(reader: Reader) -> None:
    """From now on lists and counts leave out 60 % of the issues, with 200 OK."""
    gone = {item.id for place, item in enumerate(reader.here.items) if place % 5 < 3}

    def short(data: Any) -> Any:
        if isinstance(data, list):
            return [row for row in data if row["id"] not in gone]
        if "count" in data:
            return {"count": int(data["count"] * 0.4)}
        return data | {"issues": [row for row in data["issues"] if int(row["id"]) not in gone]}

    reader.trackers.faults.add(
        Fault(when=r"/search/jql|/approximate-count|/issues\?", kind="rewrite", times=None, change=short)
    )


async def test_a_census_without_most_items_removes_nothing(reader: Reader) -> None:
    """Where 60 % of the ids vanish at once (F51), nothing goes, a gap says so, and a whole census closes it."""
    reader.trackers.fill(reader.here, 100)
    await reader.sync_well()
    _shortened(reader)
    for _ in range(3):
        reader.trackers.later(minutes=61)
        summary = await reader.sync_well()
        assert summary.deleted == 0
        assert [gap.reason for gap in summary.gaps] == ["mass_absence"]
    assert len(await reader.present()) == 100
    assert await reader.gaps() == {reader.here.key: "mass_absence"}
    reader.trackers.faults.clear()
    reader.trackers.later(minutes=11)
    await reader.sync_well()
    assert await reader.gaps() == {}


async def test_a_great_deletion_lands_in_the_end(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Items that were really deleted by the hundred go too: after the alarm, confirmed one by one, so many a pass."""
    monkeypatch.setattr("services.ingest.census.BOUND", 30)
    items = reader.trackers.fill(reader.here, 100)
    await reader.sync_well()
    for item in items[:60]:
        reader.world.delete(item)
    reader.trackers.later(minutes=61)
    assert (await reader.sync_well()).deleted == 0
    reader.trackers.later(minutes=5)
    assert (await reader.sync_well()).deleted == 0
    reader.trackers.later(minutes=11)
    assert (await reader.sync_well()).deleted == 30
    reader.trackers.later(minutes=11)
    assert (await reader.sync_well()).deleted == 30
    reader.trackers.later(minutes=11)
    await reader.sync_well()
    assert await reader.present() == reader.truth()
    assert await reader.gaps() == {}
    assert BOUND > 30


async def test_few_items_of_a_small_container_may_all_go(reader: Reader) -> None:
    """Under twenty items nothing trips the breaker: each was confirmed by itself."""
    items = reader.trackers.fill(reader.here, 19)
    await reader.sync_well()
    for item in items:
        reader.world.delete(item)
    reader.trackers.later(minutes=61)
    assert (await reader.sync_well()).deleted == 19


async def test_an_anonymous_session_deletes_nothing(jira: Reader) -> None:
    """A token that expires in the middle of a pass (F47), with empty lists from then on, ends it with a refusal."""
    jira.trackers.fill(jira.here, 10)
    await jira.sync_well()
    jira.trackers.later(minutes=61)
    jira.trackers.faults.add(
        Fault(when="/search/jql", kind="answer", times=None, body=b'{"issues": [], "isLast": true}'),
        Fault(when="/approximate-count", kind="answer", times=None, body=b'{"count": 0}'),
        Fault(when="/issue/bulkfetch", kind="answer", times=None, body=b'{"issues": [], "issueErrors": []}'),
        Fault(when="/myself", kind="answer", skip=6, times=None, status=401),
    )
    summary = await jira.sync()
    assert isinstance(summary.error, AuthenticationFailed)
    assert len(await jira.present()) == 10


async def test_a_census_that_cannot_be_proven_removes_nothing(jira: Reader) -> None:
    """A search that ends early (F26) fails the pass; the next one counts again."""
    items = jira.trackers.fill(jira.here, 50)
    await jira.sync_well()
    jira.trackers.later(minutes=61)
    jira.world.delete(items[0])
    short = Fault(
        when=lambda asked: "/search/jql" in asked.path and b"5000" in asked.body,
        kind="rewrite",
        times=2,
        change=lambda data: {"issues": data["issues"][:30], "isLast": True},
    )
    jira.trackers.faults.add(short)
    summary = await jira.sync()
    assert isinstance(summary.error, Retriable)
    assert len(await jira.present()) == 50
    await jira.sync_well()
    await jira.sync_well()
    assert await jira.present() == jira.truth()


# -- late and old ----------------------------------------------------------------------------------------------


async def test_a_change_that_the_search_learns_late_is_found(jira: Reader) -> None:
    """A change that the index learned of after 40 minutes (F27), too late for a poll, is found by the census."""
    items = jira.trackers.fill(jira.here, 5)
    jira.trackers.later(minutes=60)
    await jira.sync_well()
    jira.trackers.jira.search.lag = timedelta(minutes=40)
    jira.trackers.later(minutes=5)
    jira.world.finish(items[0])
    for _ in range(12):
        jira.trackers.later(minutes=6)
        await jira.sync_well()
    assert await jira.present() == jira.truth()


async def test_an_older_answer_is_not_applied_backwards(github: Reader) -> None:
    """A lagging replica (F35) changes nothing, and the look at the item itself settles the doubt."""
    items = github.trackers.fill(github.here, 3)
    await github.sync_well()
    old = items[0].updated
    github.trackers.later(minutes=5)
    github.world.finish(items[0])
    await github.sync_well()

    def stale(data: Any) -> Any:
        return [row | {"state": "open", "updated_at": f"{old:%Y-%m-%dT%H:%M:%SZ}"} if row["id"] == items[0].id else row
                for row in data]  # fmt: skip

    github.trackers.faults.add(Fault(when=r"/issues\?", kind="rewrite", change=stale))
    await github.sync_well()
    assert (await github.item(items[0])).status == "closed"
    for _ in range(5):
        github.trackers.later(minutes=10)
        await github.sync_well()
    assert await github.present() == github.truth()
    assert len(await github.events(github.uid(items[0]))) == 2


async def test_a_tracker_restored_from_a_backup_is_believed_in_time(reader: Reader) -> None:
    """An older state that every answer gives (F35) is accepted after three reads over ten minutes, and not before."""
    items = reader.trackers.fill(reader.here, 3)
    await reader.sync_well()
    old = (items[0].updated, items[0].status, list(items[0].history), items[0].resolution, items[0].resolved)
    reader.trackers.later(minutes=5)
    reader.world.finish(items[0])
    await reader.sync_well()
    item = items[0]
    item.updated, item.status, item.history[:], item.resolution, item.resolved = old
    reader.world.revision += 1
    reader.trackers.later(minutes=1)
    await reader.sync_well(full=True)
    assert await reader.present() != reader.truth()
    for _ in range(2):
        reader.trackers.later(minutes=4)
        await reader.sync_well()
    assert await reader.present() != reader.truth()
    reader.trackers.later(minutes=4)
    await reader.sync_well()
    assert await reader.present() == reader.truth()
