"""The simulated world: the same from the same seed, true to its own history, and alive."""

from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.simulator.acme import EFFORTS, acme
from services.simulator.bulk import bulk, stir
from services.simulator.model import CLOSED, DONE, Item, fold
from services.simulator.world import World
from tests.simulator.conftest import NOW


def content(world: World) -> list[tuple[Any, ...]]:
    """Everything that trackers show of a world."""
    return [astuple(item) for item in world.items.values()] + [astuple(one) for one in world.milestones.values()]


def delivered(items: list[Item]) -> list[Item]:
    return [item for item in items if item.resolution in ("Done", "completed") and item.done]


def leaves(world: World, initiative: str) -> list[Item]:
    efforts = {one.id for one in EFFORTS if one.initiative == initiative}
    return [
        item
        for item in world.items.values()
        if item.effort in efforts and not item.pull_request and not world.children.get(item.id)
        if item in delivered([item]) or not item.done
    ]


def test_the_same_seed_gives_the_same_world() -> None:
    """Seed, days and end decide every item, milestone and change."""
    assert content(acme(now=NOW, days=120)) == content(acme(now=NOW, days=120))


def test_another_seed_gives_another_world() -> None:
    """The seed matters."""
    assert content(acme(now=NOW, days=60)) != content(acme(now=NOW, days=60, seed=8))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 4000), max_size=6))
def test_many_short_advances_do_what_one_long_one_does(minutes: list[int]) -> None:
    """How often somebody looks does not change what happens."""
    once, often = acme(now=NOW, days=30), acme(now=NOW, days=30)
    for minute in sorted(minutes):
        often.advance(NOW + timedelta(minutes=minute))
    end = NOW + timedelta(minutes=4000)
    once.advance(end)
    often.advance(end)
    assert content(once) == content(often)


def test_the_initiative_that_ended_early_has_released_its_version(world: World) -> None:
    """Its version is released before its due date; those under way are not."""
    over, under_way = (
        next(one for one in world.milestones.values() if one.title == title) for title in ("Cluster 2", "Checkout v2")
    )
    assert over.closed is not None and over.due is not None and over.closed.date() < over.due
    assert under_way.closed is None


@pytest.mark.parametrize("seed", range(3))
def test_the_history_of_every_item_folds_to_its_state(seed: int) -> None:
    """Each change begins where the last one ended, and the last one leaves what the item shows."""
    world = acme(now=NOW, seed=seed)
    world.advance(NOW + timedelta(days=20))
    for item in (*world.items.values(), *bulk(items=500, now=NOW).items.values()):
        assert {name: getattr(item, name) for name in fold(item)} == fold(item)


def test_times_are_in_order_and_not_in_the_future(world: World) -> None:
    """An item is created before it changes, changes in order, and was updated by the last change."""
    for item in world.items.values():
        times = [item.created, *(change.at for change in item.history)]
        assert times == sorted(times)
        assert item.updated == times[-1] <= world.now


def test_resolved_says_when_a_done_item_was_done(world: World) -> None:
    """A closed item has a time of closing, an open one none."""
    for item in world.items.values():
        assert (item.resolved is not None) is item.done
        assert (item.resolution in (None, "reopened")) is (not item.done) or item.pull_request


def test_a_year_holds_what_the_demonstration_needs(world: World) -> None:
    """About 600 items: reopened, cancelled, re-estimated, relabelled and postponed ones too, a tenth unaligned."""
    changed = {edit.field for item in world.items.values() for change in item.history for edit in change.edits}
    reopened = [
        item
        for item in world.items.values()
        for change in item.history
        if any(edit.field == "status" and edit.before in (DONE, CLOSED) for edit in change.edits)
    ]
    jira = [item for item in world.of("jira") if item.type in ("Story", "Task", "Bug", "Incident")]
    odd = [item for item in world.items.values() if item.effort.startswith("odd-") and not item.pull_request]
    assert 500 <= len(world.items) <= 800
    assert {"status", "resolution", "labels", "points", "milestones", "spent_s", "assignee"} <= changed
    assert len(reopened) >= 10
    assert 10 <= sum(1 for item in jira if item.resolution in ("Won't Do", "Duplicate")) <= 60
    assert 0.75 <= sum(1 for item in jira if item.points is not None) / len(jira) <= 0.88
    assert 0.07 <= len(odd) / len(world.items) <= 0.16


@pytest.mark.parametrize("seed", range(5))
def test_one_initiative_slips_one_grows_and_one_has_ended_early(seed: int) -> None:
    """The story that Acme tells is the same for every seed."""
    world = acme(now=NOW, seed=seed)
    slow, early = leaves(world, "INI-2"), leaves(world, "INI-4")
    grown = [item for item in leaves(world, "INI-3") if item.created > NOW - timedelta(days=60)]
    assert len(delivered(slow)) < 0.75 * len(slow)
    assert len(delivered(early)) > 0.97 * len(early)
    assert len(grown) >= 12
    for healthy in ("INI-1", "INI-5", "INI-6"):
        assert 0.3 < len(delivered(leaves(world, healthy))) / len(leaves(world, healthy)) < 0.97


def test_before_somebody_watches_people_work_in_office_hours(world: World) -> None:
    """No history on a Sunday or at night."""
    times = [change.at for item in world.items.values() for change in item.history]
    assert {at.weekday() for at in times} == set(range(5))
    assert {at.hour for at in times} <= set(range(8, 17))


def test_while_somebody_watches_something_moves_at_any_hour() -> None:
    """Over a weekend, too, the longest silence is shorter than two simulated days."""
    world = acme(now=datetime(2026, 11, 27, 16, 0, tzinfo=UTC))
    moved = []
    for hour in range(1, 24 * 7):
        before = world.revision
        world.advance(datetime(2026, 11, 27, 16, 0, tzinfo=UTC) + timedelta(hours=hour))
        moved.append(world.revision > before)
    silence = max(len(run) for run in "".join("x" if one else "." for one in moved).split("x"))
    assert silence < 48
    assert sum(moved) > 24


def test_a_history_shorter_than_a_week_is_refused() -> None:
    """The message says what is possible."""
    with pytest.raises(ValueError, match="at least 7 days"):
        acme(now=NOW, days=3)


def test_a_naive_time_is_refused() -> None:
    """A world without a zone would be wrong by hours."""
    with pytest.raises(ValueError, match="naive"):
        acme(now=datetime(2026, 11, 23, 10))  # noqa: DTZ001 - what is refused


def test_a_moved_issue_keeps_its_id_and_answers_to_its_former_key(world: World) -> None:
    """A move gives a new key, and the old one still leads to the issue."""
    item = world.container("PAY").items[5]
    id_, old = item.id, (item.container, item.number)
    world.move(item, world.container("WEB"))
    assert world.key(item).startswith("WEB-")
    assert world.find(*old) is world.items[id_] is item
    assert fold(item)["container"] == world.container("WEB").id


def test_a_transferred_issue_gets_another_id(world: World) -> None:
    """What is left behind leads to the new one."""
    item = next(one for one in world.container("acme/web").items if not one.pull_request)
    new = world.transfer(item, world.container("acme/pay"))
    assert new.id != item.id
    assert world.transferred[item.container, item.number] == new.id
    assert item.id not in world.items


def test_a_world_of_any_size_has_exactly_so_many_items() -> None:
    """A benchmark gets what it asks for, and can change some of it."""
    world = bulk(items=3000, now=NOW)
    assert len(world.items) == 3000
    assert all(item.created <= NOW for item in world.items.values())
    before = world.revision
    assert len(stir(world, 40)) == 40
    assert world.revision == before + 40
