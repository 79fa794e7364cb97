"""A census and a look on a Data Center, which has offsets, a window that ends at 10,000, and nothing in bulk."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from connectors.base import Ref, Retriable
from connectors.jira.client import JiraConfig
from connectors.jira.sync import JiraConnector
from schemas.work import Availability, item_uid
from services.simulator.faults import Asked, Fault
from services.simulator.jira_data_center import JiraDataCenter
from services.simulator.jira_site import TOKEN
from services.simulator.model import Item
from services.simulator.serve import serve_in_thread
from tests.connectors.jira.conftest import Site


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    made.site = JiraDataCenter(made.world)
    with serve_in_thread(made.faults.around(made.site.app())) as (url,):
        made.url = url
        yield made


@pytest.fixture
async def connector(site: Site) -> AsyncIterator[JiraConnector]:
    made = JiraConnector(JiraConfig(name="j", url=site.url, token=TOKEN, projects=("WEB",)), site.clock)
    yield made
    await made.close()


def beyond_the_first(asked: Asked) -> bool:
    """A page that begins at an offset."""
    return "/search" in asked.path and b'"startAt":0' not in asked.body.replace(b" ", b"")


def uid(item: Item) -> str:
    return item_uid("j", "issue", item.id)


async def test_a_census_goes_on_past_the_window_of_a_search(site: Site, connector: JiraConnector) -> None:
    """12,000 issues are all named, though no search goes beyond 10,000, and pages hold what the site allows."""
    site.fill(12_000)
    found = await connector.census(site.there)
    assert set(found.present) == {uid(item) for item in site.project.items}
    assert not [one for one in site.faults.asked if one.status == 500]


async def test_a_census_that_ends_before_its_total_is_none(site: Site, connector: JiraConnector) -> None:
    """An empty page before the end is a broken list, not the end."""
    site.fill(2_500)
    site.faults.add(
        Fault(
            when=beyond_the_first, kind="rewrite", times=None, change=lambda data: data | {"issues": []},
        )
    )  # fmt: skip
    with pytest.raises(Retriable, match="no list of its issues was whole in 4 readings"):
        await connector.census(site.there)


async def test_single_issues_are_told_apart_one_by_one(site: Site, connector: JiraConnector) -> None:
    """What is there comes as a pass gives it, with its whole history; what is deleted is deleted."""
    site.fill(6)
    asked = [Ref(uid=uid(item), key=site.world.key(item), container=str(item.container)) for item in site.project.items]
    gone = site.project.items[2]
    site.world.delete(gone)
    looked = await connector.look(asked)
    assert looked.left == {uid(gone): "deleted"}
    read = {item.uid: item async for page in connector.read(site.there, None) for item in page.items}
    assert {item.uid: item for item in looked.items} == read


@pytest.mark.parametrize(("state", "why"), [("archived", "archived"), ("hidden", "access_lost")])
async def test_what_became_of_a_project_became_of_its_issues(
    site: Site, connector: JiraConnector, state: Any, why: Availability
) -> None:
    """Issues of a project that is archived or not listed were not deleted, whatever each of them answers."""
    site.fill(2)
    asked = [Ref(uid=uid(item), key=site.world.key(item), container=str(item.container)) for item in site.project.items]
    site.world.set_container("WEB", state)
    assert (await connector.look(asked)).left == {one.uid: why for one in asked}
