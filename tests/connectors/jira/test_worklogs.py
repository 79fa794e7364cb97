"""Time spent is dated by the worklogs' own days, where they tell all of it, and else by when it was logged."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.jira.sync import JiraConnector
from connectors.jira.worklogs import spent
from schemas.work import WorkItem
from services.simulator.faults import Fault
from services.simulator.model import Item
from tests.connectors.jira.conftest import Site, items, read
from tests.connectors.jira.test_sprints import connected

HOUR = 3600
UPDATED = datetime(2026, 11, 20, 12, tzinfo=UTC)
WORKLOGS = r"/issue/\d+/worklog"


def steps(item: WorkItem) -> list[tuple[datetime, Any, Any]]:
    return [(one.at, one.before, one.after) for one in item.history if one.field == "time_spent_s"]


async def told(site: Site, connector: JiraConnector, item: Item) -> WorkItem:
    return items(await read(connector, site.there))[str(item.id)]


def logged(site: Site, days_ago: tuple[int, ...]) -> tuple[Item, list[datetime]]:
    """An issue on which an hour was spent on each of these days, and logged today."""
    site.fill(1)
    item = site.project.items[0]
    started = [site.world.now - timedelta(days=days) for days in days_ago]
    for at in started:
        site.world.advance(site.world.now + timedelta(minutes=1))
        site.world.log_work(item, HOUR, at)
    return item, started


@pytest.mark.parametrize("flavour", ["cloud", "data center"])
async def test_time_is_dated_by_the_day_of_the_work(site: Site, flavour: str) -> None:
    """Also where somebody logs a week of it at once, in any order."""
    async with connected(site, flavour) as connector:
        item, started = logged(site, (2, 5, 3))
        found = await told(site, connector, item)
        assert found.time_spent_s == 3 * HOUR
        assert steps(found) == [
            (started[1], None, HOUR), (started[2], HOUR, 2 * HOUR), (started[0], 2 * HOUR, 3 * HOUR),
        ]  # fmt: skip
        assert not [one for one in site.faults.asked if "/worklog" in one.path]


async def test_a_worklog_that_is_taken_away_takes_its_time_along(site: Site, connector: JiraConnector) -> None:
    item, started = logged(site, (2, 1))
    site.world.unlog(item, item.worklogs[0])
    found = await told(site, connector, item)
    assert steps(found) == [(started[1], None, HOUR)]
    site.world.unlog(item, item.worklogs[0])
    found = await told(site, connector, item)
    assert (found.time_spent_s, steps(found)[-1][2]) == (None, None)


@pytest.mark.parametrize("flavour", ["cloud", "data center"])
async def test_more_worklogs_than_stand_in_the_issue_are_asked_for(site: Site, flavour: str) -> None:
    async with connected(site, flavour) as connector:
        item, started = logged(site, tuple(range(1, 31)))
        found = await told(site, connector, item)
        assert [at for at, _, _ in steps(found)] == sorted(started)
        assert len([one for one in site.faults.asked if one.path.endswith("/worklog")]) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 403, "body": b"{}"},
        {"status": 404, "body": b"{}"},
        {"body": b'{"total": 30, "worklogs": []}'},
        {"body": b'{"worklogs": [{"id": "1"}]}'},
    ],
)
async def test_worklogs_that_cannot_be_read_leave_the_changelog(
    site: Site, connector: JiraConnector, answer: dict[str, Any]
) -> None:
    """Refused, or a list that never comes to its end: that one issue is dated by its changelog."""
    item, _ = logged(site, tuple(range(1, 31)))
    site.faults.add(Fault(when=WORKLOGS, kind="answer", times=None, **answer))
    found = await told(site, connector, item)
    assert [after for _, _, after in steps(found)] == [number * HOUR for number in range(1, 31)]
    assert {at.date() for at, _, _ in steps(found)} == {site.world.now.date()}


async def test_hidden_worklogs_leave_the_changelog(site: Site, connector: JiraConnector) -> None:
    """Where what is seen is not all that was spent, nothing is counted twice and nothing is lost."""
    item, _ = logged(site, (3, 2))
    item.worklogs.pop()
    found = await told(site, connector, item)
    assert found.time_spent_s == 2 * HOUR
    assert [after for _, _, after in steps(found)] == [HOUR, 2 * HOUR]
    assert {at.date() for at, _, _ in steps(found)} == {site.world.now.date()}


def a_row(*worklogs: Any, total: Any = None) -> dict[str, Any]:
    return {"fields": {"worklog": {"total": len(worklogs) if total is None else total, "worklogs": list(worklogs)}}}


def a_worklog(id_: Any = "1", started: Any = "2026-11-18T09:00:00.000+0100", length: Any = HOUR) -> dict[str, Any]:
    return {"id": id_, "started": started, "timeSpentSeconds": length}


@pytest.mark.parametrize(
    "row",
    [
        a_row(a_worklog(started="yesterday")), a_row(a_worklog(length="an hour")), a_row(a_worklog(length=-HOUR)),
        a_row(a_worklog(length=0)), a_row(a_worklog(id_=None)), a_row(a_worklog(), total=7), a_row(), {"fields": None},
        {"fields": {"worklog": None}}, {"fields": {"worklog": {"worklogs": 5}}}, a_row(a_worklog(), a_worklog()),
        a_row(5, a_worklog()), None, 5,
    ],
)  # fmt: skip
def test_odd_worklogs_date_nothing(row: Any) -> None:
    assert spent(row, HOUR, UPDATED) in (None, spent(a_row(a_worklog()), HOUR, UPDATED))
    if row not in (a_row(5, a_worklog()), a_row(a_worklog(), a_worklog())):
        assert spent(row, HOUR, UPDATED) is None


def test_work_of_the_future_was_done_by_now() -> None:
    """A worklog may be dated to come; it counts from when the issue says so."""
    found = spent(a_row(a_worklog(started="2027-01-01T09:00:00.000+0100")), HOUR, UPDATED)
    assert found is not None
    assert found[0].at == UPDATED


@given(st.lists(st.tuples(st.integers(-400, 400), st.integers(1, 10**6)), min_size=1, max_size=30), st.randoms())
def test_the_steps_come_to_what_was_spent_in_any_order(logs: list[tuple[int, int]], dice: Any) -> None:
    rows = [
        a_worklog(str(number), (UPDATED + timedelta(hours=hours)).isoformat(), length)
        for number, (hours, length) in enumerate(logs)
    ]
    total = sum(length for _, length in logs)
    found = spent(a_row(*rows), total, UPDATED)
    assert found is not None
    assert found[-1].after == total
    assert [one.before or 0 for one in found] == [0, *[one.after for one in found[:-1]]]
    assert [one.at for one in found] == sorted(one.at for one in found)
    dice.shuffle(rows)
    assert spent(a_row(*rows), total, UPDATED) == found
