"""A wait that the site asks for is obeyed exactly, in every form; a failing site is asked a bounded number of times."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from connectors.base import RateLimited, Unreachable
from connectors.jira.sync import JiraConnector
from services.simulator.faults import Asked, Fault
from services.simulator.vendor_faults import burst, limited, quota, server_error
from tests.connectors.jira.conftest import HISTORY, Site, page_of_issues, read, seen

When = str | Callable[[Asked], bool]


async def read_through(site: Site, connector: JiraConnector, fault: Fault, wait: float) -> None:
    """The set is whole, nothing came early, and no more time passed than was asked for."""
    site.fill(150)
    site.faults.add(fault)
    began = site.clock.at
    assert seen(await read(connector, site.there)) == site.truth()
    assert site.faults.early == []
    assert wait <= site.clock.at - began < wait + 3


@pytest.mark.parametrize("when", [page_of_issues, HISTORY], ids=["issues", "histories"])
@pytest.mark.parametrize("seconds", [1, 7, 120])
async def test_a_burst_limit_is_waited_out(site: Site, connector: JiraConnector, when: When, seconds: int) -> None:
    """Nothing is sent to that endpoint before the time is up, and then it goes on."""
    await read_through(site, connector, replace(burst("", retry_after=seconds), when=when, skip=1), seconds)


async def test_a_limit_of_one_endpoint_does_not_hold_up_the_others(site: Site) -> None:
    """While the histories wait, the search and `myself` may be asked."""
    connector = site.connector()
    site.fill(3)
    await connector.discover()
    connector.client.pacer.park(500, "jira-burst-based", "history")
    assert connector.client.pacer.wait_for("search")[0] == 0
    assert connector.client.pacer.wait_for("history")[0] == 500
    await connector.close()


async def test_a_quota_of_the_tenant_holds_every_endpoint_and_ends_the_pass(
    site: Site, connector: JiraConnector
) -> None:
    """Half an hour is for the caller to wait; nothing at all is sent meanwhile, and then it goes on."""
    site.fill(150)
    site.faults.add(replace(quota("", site.clock.now()), when=page_of_issues, skip=1))
    pages: list[Any] = []
    with pytest.raises(RateLimited, match="jira-quota-tenant-based") as caught:
        await read(connector, site.there, on_page=pages.append)
    assert caught.value.until == site.clock.now() + timedelta(minutes=30)
    asked = len(site.faults.asked)
    with pytest.raises(RateLimited):
        await connector.discover()
    assert len(site.faults.asked) == asked
    site.clock.at += 1801
    rest = await read(connector, site.there, bytes(pages[-1].checkpoint))
    assert seen(pages) | seen(rest) == site.truth()


@pytest.mark.parametrize(
    ("value", "hold"),
    [("7", 7), ("0", 1), ("-5", 60), ("abc", 60), ("", 60), (None, 60), ("DATE", 30), ("1e9", 60), ("²", 60)],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_every_form_of_retry_after_is_obeyed(
    site: Site, connector: JiraConnector, status: int, value: str | None, hold: int
) -> None:
    """Seconds, a date, nonsense, nothing."""
    if status == 503 and value is None:
        hold = 0
    if value == "DATE":
        value = format_datetime(site.clock.now() + timedelta(seconds=31), usegmt=True)
    fault = limited("", status=status, retry_after=value, hold=hold)
    await read_through(site, connector, replace(fault, when=page_of_issues), hold)


async def test_an_absurd_wait_ends_the_pass_and_holds_no_lane(site: Site, connector: JiraConnector) -> None:
    """A billion seconds is an hour at most, and that is for the caller to wait."""
    site.fill(5)
    site.faults.add(replace(limited("", retry_after="1000000000"), when=page_of_issues))
    pages: list[Any] = []
    with pytest.raises(RateLimited) as caught:
        await read(connector, site.there, on_page=pages.append)
    assert caught.value.until <= site.clock.now() + timedelta(hours=1)
    site.clock.at += 3601
    assert seen(await read(connector, site.there, bytes(pages[-1].checkpoint))) == site.truth()


@pytest.mark.parametrize("after", ["1", None])
async def test_a_limit_that_never_ends_is_not_asked_for_ever(
    site: Site, connector: JiraConnector, after: str | None
) -> None:
    """Each strike in a row waits longer, and soon the pass ends."""
    site.fill(5)
    site.faults.add(replace(limited("", retry_after=after), when=page_of_issues, times=None))
    with pytest.raises(RateLimited):
        await read(connector, site.there)
    assert 3 <= sum(page_of_issues(one) for one in site.faults.asked) <= 12


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_server_error_is_tried_six_times_with_pauses(site: Site, connector: JiraConnector, status: int) -> None:
    """Bounded tries, growing pauses, then the typed error; the next pass goes on when the site is back."""
    site.fill(150)
    pages: list[Any] = []
    site.faults.add(replace(server_error("", status, times=None), when=page_of_issues, skip=1))
    with pytest.raises(Unreachable, match=f"answered {status}.*tried 6 times"):
        await read(connector, site.there, on_page=pages.append)
    site.faults.clear()
    rest = await read(connector, site.there, bytes(pages[-1].checkpoint))
    assert seen(pages) | seen(rest) == site.truth()
