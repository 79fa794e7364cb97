"""A backfill and polls on a Data Center: lists by offset that shrink, shift, differ by node, or are refused."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

from connectors.base import Page, Retriable, Unreachable
from connectors.jira.client import JiraConfig
from connectors.jira.sync import JiraConnector
from schemas.work import item_uid
from services.simulator.faults import Asked, Fault
from services.simulator.jira_data_center import JiraDataCenter
from services.simulator.jira_site import TOKEN
from services.simulator.serve import serve_in_thread
from services.simulator.vendor_faults import server_error
from tests.connectors.jira.conftest import Site, items, read, seen


class DataCenterSite(Site):
    """The same world on a Data Center."""

    def __init__(self) -> None:
        super().__init__()
        self.center = JiraDataCenter(self.world)

    def reader(self) -> JiraConnector:
        return JiraConnector(JiraConfig(name="j", url=self.url, token=TOKEN, projects=("WEB",)), self.clock)


@pytest.fixture
def site() -> Iterator[DataCenterSite]:
    made = DataCenterSite()
    with serve_in_thread(made.faults.around(made.center.app())) as (url,):
        made.url = url
        yield made


@pytest.fixture
async def connector(site: DataCenterSite) -> AsyncIterator[JiraConnector]:
    made = site.reader()
    yield made
    await made.close()


def a_page(asked: Asked) -> bool:
    """A page of whole issues."""
    return "/search" in asked.path and b"timespent" in asked.body


def a_later_page(asked: Asked) -> bool:
    return a_page(asked) and msgspec.json.decode(asked.body)["startAt"] > 0


async def test_a_backfill_gives_every_issue_with_its_whole_history(
    site: DataCenterSite, connector: JiraConnector
) -> None:
    """450 issues by offset, each history asked for once, and a complete pass only at the end."""
    site.fill(450)
    pages = await read(connector, site.there)
    assert seen(pages) == site.truth()
    assert sum(len(page.items) for page in pages) == 450
    assert [page.complete for page in pages] == [False] * (len(pages) - 1) + [True]
    assert site.faults.count("expand=changelog") == 450
    for item in items(pages).values():
        assert bool([one for one in item.history if one.field == "status"]) == (item.status_category == "done")


@pytest.mark.parametrize("most", [7, 40])
async def test_the_page_is_as_large_as_the_administrator_says(
    site: DataCenterSite, connector: JiraConnector, most: int
) -> None:
    """Fewer than asked for, on every page: the totals say how many there are."""
    site.center.most = most
    site.fill(120, apart=timedelta(0))
    assert seen(await read(connector, site.there)) == site.truth()


async def test_a_short_page_is_not_the_end(site: DataCenterSite, connector: JiraConnector) -> None:
    """99 issues where 100 fit, in the middle: the page after begins where this one ended."""
    site.fill(350, apart=timedelta(0))
    site.faults.add(Fault(when=a_page, kind="short_page", skip=1, times=1, size=99))
    assert seen(await read(connector, site.there)) == site.truth()


async def test_what_is_deleted_while_we_page_hides_nothing(site: DataCenterSite, connector: JiraConnector) -> None:
    """A deletion on a page that was read moves the rest up by one: the next page does not follow, and all is read."""
    site.fill(350, apart=timedelta(0))
    first = list(site.project.items[:3])
    for one in first:
        site.faults.add(Fault(when=a_page, kind="pass", act=partial(site.world.delete, one)))
    pages = await read(connector, site.there)
    there = site.truth()
    assert {id_: one for id_, one in seen(pages).items() if id_ in there} == there


async def test_a_search_that_reaches_500_issues_reads_them_all(site: DataCenterSite, connector: JiraConnector) -> None:
    """Beyond the administrator's window a search fails with 500: the query is anchored anew before that."""
    site.center.window = 500
    site.fill(1_300, apart=timedelta(seconds=2))
    assert seen(await read(connector, site.there)) == site.truth()
    assert set((await connector.census(site.there)).present) == {
        item_uid("j", "issue", item.id) for item in site.project.items
    }


async def test_more_of_one_second_than_a_search_reaches_is_an_error(
    site: DataCenterSite, connector: JiraConnector
) -> None:
    """It can be neither listed nor told complete, and the error says why."""
    site.center.window = 120
    site.fill(300, apart=timedelta(0))
    with pytest.raises(Unreachable, match="created in one second"):
        await read(connector, site.there)


async def test_one_node_answers_all_that_we_ask(site: DataCenterSite, connector: JiraConnector) -> None:
    """The cookie that leads back to a node is kept by all lanes, so that pages follow each other."""
    site.center.nodes = 2
    site.fill(350, apart=timedelta(0))
    site.center.behind = frozenset(item.id for item in site.project.items[::50])
    assert seen(await read(connector, site.there)) == site.truth()


async def test_nodes_that_differ_never_make_a_complete_pass(site: DataCenterSite, connector: JiraConnector) -> None:
    """Where each page comes from another node, and one lacks issues, no pass is complete before the nodes agree."""
    site.center.nodes, site.center.sticky = 2, False
    site.fill(350, apart=timedelta(0))
    site.center.behind = frozenset(item.id for item in site.project.items[20::50])
    pages: list[Page] = []
    with pytest.raises(Retriable, match="are the search indexes of all nodes equal"):
        await read(connector, site.there, on_page=pages.append)
    assert not any(page.complete for page in pages)
    site.center.behind = frozenset()
    again = await read(connector, site.there, bytes(pages[-1].checkpoint))
    assert seen(pages) | seen(again) == site.truth()


async def test_a_stopped_backfill_goes_on_from_a_proven_place(site: DataCenterSite) -> None:
    """What failed for good at any later page goes on to the same set; what is known is not asked for again."""
    site.fill(350, apart=timedelta(seconds=2))
    first = site.reader()
    site.faults.add(Fault(when=a_later_page, kind="answer", status=404, body=b"{}", skip=1, times=None))
    pages: list[Page] = []
    with pytest.raises(Exception, match="404"):
        await read(first, site.there, on_page=pages.append)
    await first.close()
    site.faults.clear()
    asked = site.faults.count("expand=changelog")
    second = site.reader()
    again = await read(second, site.there, bytes(pages[-1].checkpoint))
    await second.close()
    assert seen(pages) | seen(again) == site.truth()
    assert site.faults.count("expand=changelog") - asked < 350


async def test_a_poll_loses_nothing_while_issues_change(site: DataCenterSite, connector: JiraConnector) -> None:
    """Every page that is served changes earlier issues; hundreds of one second too."""
    site.fill(350)
    first = await read(connector, site.there)
    site.world.advance(site.world.now + timedelta(hours=1))
    for item in site.project.items:
        site.world.touch(item)

    def drift() -> None:
        for item in site.project.items[:3]:
            site.world.advance(site.world.now + timedelta(milliseconds=10))
            site.world.edit(item, labels=("run", f"x{site.world.now:%f}"))

    site.faults.add(Fault(when=a_page, kind="pass", times=6, act=drift))
    pages = await read(connector, site.there, bytes(first[-1].checkpoint))
    last = await read(connector, site.there, bytes(pages[-1].checkpoint))  # what changed after the last page
    assert set(seen(pages)) == set(site.truth())
    assert seen(pages) | seen(last) == site.truth()


async def test_pages_are_halved_where_the_site_fails_over_larger_ones(
    site: DataCenterSite, connector: JiraConnector
) -> None:
    """502 for every page of more than 25 issues: smaller ones are asked for, and stay so."""
    site.fill(90)

    def large(asked: Asked) -> bool:
        return a_page(asked) and msgspec.json.decode(asked.body)["maxResults"] > 25

    site.faults.add(server_error(large, times=None))  # type: ignore[arg-type]
    assert seen(await read(connector, site.there)) == site.truth()
    assert sum(1 for one in site.faults.asked if large(one)) <= 6


async def test_epics_are_parents_by_their_keys(site: DataCenterSite, connector: JiraConnector) -> None:
    """An Epic Link and a Parent Link hold keys, a sub-task its parent: all become ids, each key asked for once."""
    world, web = site.world, site.project
    top = world.create(web, "Initiative", type="Story")
    epic = world.create(web, "Epic", type="Epic", parent=top.id)
    stories = [world.create(web, f"Story {number}", type="Story") for number in range(5)]
    for one in stories:
        world.edit(one, parent=epic.id)
    part = world.create(web, "Part", type="Sub-task", parent=stories[0].id)
    found = items(await read(connector, site.there))
    parents = {one.id: found[str(one.id)].parent for one in (top, epic, *stories, part)}
    assert parents == {
        top.id: None, epic.id: item_uid("j", "issue", top.id), part.id: item_uid("j", "issue", stories[0].id),
        **{one.id: item_uid("j", "issue", epic.id) for one in stories},
    }  # fmt: skip
    assert [change.after for change in found[str(stories[0].id)].history] == [item_uid("j", "issue", epic.id)]
    assert site.faults.count(f"/issue/{world.key(epic)}") == 1


async def test_a_parent_that_cannot_be_seen_is_none(site: DataCenterSite, connector: JiraConnector) -> None:
    """A key that answers 404 leaves its children without a parent, and nothing fails."""
    epic = site.world.create(site.project, "Epic", type="Epic")
    child = site.world.create(site.project, "Story", type="Story", parent=epic.id)
    site.faults.add(Fault(when=f"/issue/{site.world.key(epic)}", kind="answer", status=404, body=b"{}", times=None))
    assert items(await read(connector, site.there))[str(child.id)].parent is None


async def test_a_history_that_is_cut_is_no_history(site: DataCenterSite, connector: JiraConnector) -> None:
    """Fewer changes than the changelog's own total: the pass fails, rather than tell half of a history."""
    site.fill(2)

    def cut(data: dict[str, Any]) -> dict[str, Any]:
        return data | {"changelog": {**data["changelog"], "histories": []}}

    site.faults.add(Fault(when="expand=changelog", kind="rewrite", times=None, change=cut))
    with pytest.raises(Unreachable, match="is not whole"):
        await read(connector, site.there)
