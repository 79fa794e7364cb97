"""Sprints are milestones: an issue's, with their past, and their own names, days and states."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from connectors.base import Page
from connectors.jira.client import JiraConfig
from connectors.jira.sprint_ids import ids_in, ids_of_change
from connectors.jira.sync import JiraConnector
from schemas.work import Milestone, WorkItem
from services.ledger.history import item_at, micros
from services.simulator.faults import Fault
from services.simulator.jira_data_center import JiraDataCenter
from services.simulator.jira_site import TOKEN
from services.simulator.model import Item, Sprint
from services.simulator.serve import serve_in_thread
from tests.connectors.jira.conftest import Site

BOARDS = "/rest/agile/1.0/board"


@asynccontextmanager
async def connected(site: Site, flavour: str) -> AsyncIterator[JiraConnector]:
    """A connector to a Cloud site or to a Data Center over the same world."""
    if flavour == "cloud":
        connector = site.connector()
        yield connector
        await connector.close()
        return
    with serve_in_thread(site.faults.around(JiraDataCenter(site.world).app())) as (url,):
        connector = JiraConnector(JiraConfig(name="j", url=url, token=TOKEN, projects=("WEB",)), site.clock)
        yield connector
        await connector.close()


async def read(connector: JiraConnector, site: Site, checkpoint: bytes | None = None) -> list[Page]:
    return [page async for page in connector.read(site.there, checkpoint)]


def items(pages: list[Page]) -> dict[str, WorkItem]:
    return {item.external_id: item for page in pages for item in page.items}


def sprints(pages: list[Page]) -> dict[str, Milestone]:
    found = [one for page in pages for one in page.milestones]
    return {one.title: one for one in found if one.kind == "sprint"}


def a_story(site: Site, first: Sprint, second: Sprint) -> tuple[Item, list[datetime]]:
    """A story with a version, which was put into a sprint, into another one as well, and taken out of the first."""
    version = site.world.add_milestone(site.project, "1.0")
    story = site.world.create(site.project, "Pay by link", type="Story", milestones=(version.id,))
    moments = []
    for held in ((first.id,), (first.id, second.id), (second.id,)):
        site.world.advance(site.world.now + timedelta(days=7))
        site.world.edit(story, sprints=held)
        moments.append(site.world.now)
    return story, moments


@pytest.mark.parametrize("flavour", ["cloud", "data center"])
async def test_an_issues_sprints_and_their_past_are_milestones(site: Site, flavour: str) -> None:
    """Beside its versions, on each day as they were then; a name that looks like a field's end breaks nothing."""
    first, second = (site.world.add_sprint(site.project, name) for name in ("Sprint [id=9,name=x] 1", "Sprint 2"))
    story, moments = a_story(site, first, second)
    async with connected(site, flavour) as connector:
        item = items(await read(connector, site))[str(story.id)]
    version = f"j:version:{story.milestones[0]}"
    one, two = f"j:sprint:{first.id}", f"j:sprint:{second.id}"
    assert item.milestones == tuple(sorted((version, two)))
    expected = [(version, one), (version, one, two), (version, two)]
    for moment, held in zip(moments, expected, strict=True):
        past = item_at(item, micros(moment + timedelta(hours=1)))
        assert past is not None
        assert past.milestones == tuple(sorted(held))
    before = item_at(item, micros(moments[0] - timedelta(days=1)))
    assert before is not None and before.milestones == (version,)


@pytest.mark.parametrize("flavour", ["cloud", "data center"])
async def test_a_sprint_that_is_closed_is_done_though_no_issue_changed(site: Site, flavour: str) -> None:
    """Its own row says so: each hour, and not with each poll."""
    start = datetime(2026, 11, 16, 9, tzinfo=UTC)
    running = site.world.add_sprint(site.project, "Sprint 7", start=start, end=start + timedelta(days=11))
    site.world.add_sprint(site.project, "Sprint 8")
    async with connected(site, flavour) as connector:
        pages = await read(connector, site)
        found = sprints(pages)
        assert (found["Sprint 7"].state, found["Sprint 8"].state) == ("active", "planned")
        assert (found["Sprint 7"].start_date, found["Sprint 7"].due_date) == (date(2026, 11, 16), date(2026, 11, 27))
        assert found["Sprint 7"].uid == f"j:sprint:{running.id}"
        site.world.set_sprint(running, completed=start + timedelta(days=10))
        checkpoint = bytes(pages[-1].checkpoint)
        assert sprints(await read(connector, site, checkpoint)) == {}
        await site.clock.sleep(3600)
        assert sprints(await read(connector, site, checkpoint))["Sprint 7"].state == "done"


@pytest.mark.parametrize(("status", "body"), [(404, b'{"errorMessages":["no"]}'), (403, b"{}"), (401, b"{}")])
async def test_boards_that_may_not_be_seen_end_no_pass(site: Site, status: int, body: bytes) -> None:
    """A site without Jira Software, an account without boards, a token without their scope."""
    site.fill(3)
    site.world.add_sprint(site.project, "Sprint 1")
    headers = {"content-type": "application/json"}
    site.faults.add(Fault(when=BOARDS, kind="answer", times=None, status=status, body=body, headers=headers))
    async with connected(site, "cloud") as connector:
        pages = await read(connector, site)
    assert (len(items(pages)), pages[-1].complete, sprints(pages)) == (3, True, {})


async def test_boards_that_end_before_their_end_are_no_answer(site: Site) -> None:
    """A list of sprints is proven whole like any other."""
    for number in range(60):
        site.world.add_sprint(site.project, f"Sprint {number}")
    async with connected(site, "cloud") as connector:
        assert len(sprints(await read(connector, site))) == 60
    assert sum("/sprint" in asked.path for asked in site.faults.asked) == 2


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, []),
        ([], []),
        ([{"id": 7, "name": "a"}, {"id": "8"}, {"id": None}, {}, 5, None], ["7", "8"]),
        (["x.Sprint@1bf75fd[id=12,rapidViewId=1,name=a,b=c] [id=13]]"], ["12"]),
        (["x.Sprint@1bf75fd[rapidViewId=1,name=a]"], []),
        ("12", []),
    ],
)
def test_ids_are_read_from_whatever_stands_in_the_field(value: Any, found: list[str]) -> None:
    """What is no sprint is none."""
    assert ids_in(value) == found


@pytest.mark.parametrize(
    ("text", "found"), [("12, 13", {"12", "13"}), ("", set()), (None, set()), ("12,x, 13 ", {"12", "13"}), (5, set())]
)
def test_a_change_names_all_sprints_of_one_side(text: Any, found: set[str]) -> None:
    """Those before, and those after."""
    assert ids_of_change(text) == found
