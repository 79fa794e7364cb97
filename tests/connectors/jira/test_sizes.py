"""Where a site fails over a large page a smaller one is asked for (F12), and a larger one again when it is well."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from connectors.base import Ref, Unreachable
from connectors.jira.sizes import PageSize
from schemas.work import item_uid
from services.simulator.faults import Asked, Fault
from services.simulator.jira_data_center import JiraDataCenter
from services.simulator.serve import serve_in_thread
from services.simulator.vendor_faults import server_error
from tests.connectors.jira.conftest import HISTORY, SEARCH, Site, items, read, seen

BULK = "/issue/bulkfetch"


def size(asked: Asked) -> int:
    """How many entries a request asks for."""
    body = msgspec.json.decode(asked.body) if asked.body else {}
    return int(body.get("maxResults") or len(body.get("issueIdsOrKeys", ())))


def larger(path: str, most: int) -> Callable[[Asked], bool]:
    return lambda asked: path in asked.path and size(asked) > most


def failing(path: str, most: int, how: str = "502") -> Fault:
    """Every page of this path with more entries than that fails."""
    if how == "cut":
        return Fault(when=larger(path, most), kind="cut", times=None)
    return replace(server_error("", int(how), times=None), when=larger(path, most))


def changed_often(site: Site) -> None:
    for turn in range(4):
        site.world.advance(site.world.now + timedelta(minutes=1))
        for item in site.project.items:
            site.world.edit(item, labels=("run", f"x{turn}"))


@pytest.mark.parametrize("how", ["502", "413", "504", "cut"])
@pytest.mark.parametrize(("path", "most"), [(SEARCH, 25), (HISTORY, 130)], ids=["issues", "histories"])
async def test_pages_are_halved_until_the_site_can_give_them(site: Site, path: str, most: int, how: str) -> None:
    """Of issues and of histories, in a backfill: all is read, and large ones are not asked for again at once."""
    site.fill(200)
    changed_often(site)
    plain = site.connector()
    whole = items(await read(plain, site.there))
    await plain.close()
    site.faults.add(failing(path, most, how))
    connector = site.connector(concurrency=1)
    assert items(await read(connector, site.there)) == whole
    assert sum(larger(path, most)(one) for one in site.faults.asked) <= 12
    await connector.close()


async def test_single_issues_are_asked_for_in_smaller_heaps(site: Site) -> None:
    """Where 100 ids at once are too many, 25 are not: each issue is told of, and each is asked for once in bulk."""
    site.fill(130)
    refs = [Ref(uid=item_uid("j", "issue", one.id), key="", container=site.there.id) for one in site.project.items]
    gone = site.project.items[60]
    site.world.delete(gone)
    site.faults.add(failing(BULK, 25))
    connector = site.connector()
    looked = await connector.look(refs)
    assert {one.uid for one in looked.items} == {ref.uid for ref in refs} - set(looked.left)
    assert looked.left == {item_uid("j", "issue", gone.id): "deleted"}
    good = [size(one) for one in site.faults.asked if BULK in one.path and one.status == 200]
    assert sum(good) == 130
    assert max(good) == 25
    await connector.close()


async def test_a_census_goes_on_with_smaller_pages(site: Site) -> None:
    """5,000 ids a page fail, 625 do not."""
    site.fill(2_000, apart=timedelta(minutes=30))
    site.faults.add(failing(SEARCH, 700))
    connector = site.connector()
    assert len((await connector.census(site.there)).present) == 2_000
    await connector.close()


@pytest.fixture(params=["cloud", "data-center"])
def either(request: pytest.FixtureRequest) -> Iterator[Site]:
    made = Site()
    if request.param == "data-center":
        made.site = JiraDataCenter(made.world)
    with serve_in_thread(made.faults.around(made.site.app())) as (url,):
        made.url = url
        yield made


async def test_the_size_grows_back_when_the_site_is_well(either: Site) -> None:
    """After a time of failures over large pages the same process asks for small ones, and later for large ones."""
    either.fill(90)
    data_center = isinstance(either.site, JiraDataCenter)
    connector = either.connector(**({"email": None} if data_center else {}))
    path = "/rest/api/2/search" if data_center else SEARCH
    either.faults.add(failing(path, 25))
    pages = await read(connector, either.there)
    either.faults.clear()
    before = len(either.faults.asked)
    for _ in range(45):
        either.world.advance(either.world.now + timedelta(minutes=1))
        either.world.touch(either.project.items[0])
        pages += await read(connector, either.there, bytes(pages[-1].checkpoint))
    asked = [size(one) for one in either.faults.asked[before:] if path in one.path and size(one) > 1]
    assert asked[0] == 25
    assert asked[-1] == 100
    assert asked == sorted(asked)
    assert seen(pages) == either.truth()
    await connector.close()


async def test_a_site_that_is_down_is_tried_six_times_and_keeps_its_size(site: Site) -> None:
    """No page at all is no sign that pages are too large: the next pass asks for whole ones."""
    site.fill(90)
    connector = site.connector()
    await connector.discover()
    site.faults.add(replace(server_error("", 502, times=None), when=SEARCH))
    with pytest.raises(Unreachable, match="tried 6 times"):
        await read(connector, site.there)
    assert site.faults.count(SEARCH) == 6
    site.faults.clear()
    before = len(site.faults.asked)
    assert seen(await read(connector, site.there)) == site.truth()
    sizes = [size(one) for one in site.faults.asked[before:] if SEARCH in one.path]
    assert sizes == [100]
    await connector.close()


def test_a_size_that_fails_again_is_tried_less_and_less_often() -> None:
    """A site that never gives more than 25 is asked for more after 20 pages, then after 40, then after 80."""
    sizes = PageSize(100)
    tried: list[Any] = []
    for number in range(200):
        page = sizes.trying(100)
        if page.size > 25:
            tried.append(number)
        while page.size > 25:
            page.failed()
        page.gave()
    assert tried == [0, 21, 62, 143]
