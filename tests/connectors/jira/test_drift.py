"""Issues change, arrive and go while they are read, and clocks disagree: nothing is missed."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from connectors.base import Ref
from connectors.jira.sync import JiraConnector
from schemas.work import item_uid
from services.simulator.faults import Fault
from services.simulator.jira_site import JiraSite
from services.simulator.serve import serve_in_thread
from tests.connectors.jira.conftest import HISTORY, Site, page_of_issues, read, seen, to_millisecond


def restless(site: Site, what: str) -> Fault:
    """After each page of issues some change, arrive or are deleted."""
    turn = iter(range(10_000))

    def happen() -> None:
        at = next(turn)
        site.world.advance(site.world.now + timedelta(seconds=2))
        with site.world.lock:
            for place in range(3):
                item = site.project.items[(at * 37 + place * 11) % 150]
                if what == "updates":
                    site.world.touch(item)
                elif what == "arrivals":
                    site.world.create(site.project, "Late", type="Story")
                else:
                    site.world.delete(item)

    return Fault(when=page_of_issues, kind="pass", times=8, act=happen)


@pytest.mark.parametrize("what", ["updates", "arrivals", "deletions"])
@pytest.mark.parametrize("phase", ["backfill", "poll"])
async def test_nothing_is_missed_while_issues_move(site: Site, connector: JiraConnector, what: str, phase: str) -> None:
    """A pass over a restless project, and a poll after it, have every issue in its last state."""
    site.fill(450)
    pages = []
    checkpoint: bytes | None = None
    if phase == "poll":
        pages = await read(connector, site.there)
        checkpoint = bytes(pages[-1].checkpoint)
        site.world.advance(site.world.now + timedelta(hours=1))
        for item in site.project.items:
            site.world.touch(item)
    site.faults.add(restless(site, what))
    pages += await read(connector, site.there, checkpoint)
    site.faults.clear()
    pages += await read(connector, site.there, bytes(pages[-1].checkpoint))
    found = seen(pages)
    assert {id_: found.get(id_) for id_ in site.truth()} == site.truth()


@pytest.mark.parametrize("phase", ["backfill", "poll"])
async def test_an_issue_that_goes_between_its_list_and_its_history_ends_nothing(
    site: Site, connector: JiraConnector, phase: str
) -> None:
    """F38, where histories are read one by one: the others are read, and what went is told of when it is asked for."""
    site.fill(20)
    site.faults.add(Fault(when=HISTORY, kind="answer", times=None, status=404, body=b"{}"))
    pages = await read(connector, site.there) if phase == "poll" else []
    site.world.advance(site.world.now + timedelta(hours=1))
    for item in site.project.items:
        site.world.touch(item)
    gone = site.project.items[7]
    asked = Ref(uid=item_uid("j", "issue", gone.id), key=site.world.key(gone), container=site.there.id)
    site.faults.add(Fault(when=page_of_issues, kind="pass", act=partial(site.world.delete, gone)))
    later = await read(connector, site.there, bytes(pages[-1].checkpoint) if pages else None)
    assert later[-1].complete
    assert seen(later) == site.truth()
    assert asked.uid not in (await connector.census(site.there)).present
    assert (await connector.look([asked])).left == {asked.uid: "deleted"}


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles", "Asia/Kathmandu"])
async def test_the_account_s_time_zone_hides_nothing(site: Site, zone: str) -> None:
    """What changed a minute ago is found, wherever the account is said to live."""
    site.site = JiraSite(site.world, time_zone=zone)
    with serve_in_thread(site.site.app()) as (url,):
        site.url = url
        connector = site.connector()
        site.fill(120)
        first = await read(connector, site.there)
        site.world.advance(site.world.now + timedelta(minutes=1))
        site.world.finish(site.project.items[0])
        second = await read(connector, site.there, bytes(first[-1].checkpoint))
        assert seen(first) | seen(second) == site.truth()
        assert 0 < len(seen(second)) < 40
        await connector.close()


@pytest.mark.parametrize("hours", [-26, 26])
async def test_a_wrong_clock_of_ours_hides_nothing(
    site: Site, connector: JiraConnector, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Only the site's clock decides from when on a poll asks."""
    site.fill(120)
    ours = site.clock.now
    monkeypatch.setattr(site.clock, "now", lambda: ours() + timedelta(hours=hours))
    first = await read(connector, site.there)
    for _ in range(3):
        site.world.advance(site.world.now + timedelta(minutes=20))
        site.world.finish(site.project.items[0])
        site.world.reopen(site.project.items[0])
        first += await read(connector, site.there, bytes(first[-1].checkpoint))
    assert seen(first) == site.truth()


async def test_an_index_that_lags_hides_nothing(site: Site) -> None:
    """What the search learns of minutes after it happened is found by the next poll."""
    site.site = JiraSite(site.world, lag=timedelta(minutes=8))
    with serve_in_thread(site.site.app()) as (url,):
        site.url = url
        connector = site.connector()
        site.fill(60)
        site.world.advance(site.world.now + timedelta(hours=1))
        pages = await read(connector, site.there)
        site.world.advance(site.world.now + timedelta(minutes=1))
        site.world.finish(site.project.items[5])
        for _ in range(4):
            pages += await read(connector, site.there, bytes(pages[-1].checkpoint))
            site.world.advance(site.world.now + timedelta(minutes=5))
        assert seen(pages) == site.truth()
        await connector.close()


async def test_a_renamed_project_is_read_on_under_its_new_key(site: Site, connector: JiraConnector) -> None:
    """The project is known by its id: after a rename a poll gives the changed issues with their new keys."""
    site.fill(20)
    first = await read(connector, site.there)
    site.world.advance(site.world.now + timedelta(hours=1))
    site.world.rename_container("WEB", "NET")
    site.world.finish(site.project.items[0])
    found = {one.key: one.id for one in (await site.connector(projects=("NET",)).discover()).containers}
    assert found == {"NET": site.there.id}
    second = await read(connector, site.there, bytes(first[-1].checkpoint))
    changed: dict[str, Any] = {one.external_id: one.key for page in second for one in page.items}
    assert changed[str(site.project.items[0].id)].startswith("NET-")
    assert to_millisecond(site.project.items[0].updated) == seen(second)[str(site.project.items[0].id)][2]
