"""Every limit is obeyed: nothing is sent before the wait has passed, and no limit is waited for without end."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from connectors.base import RateLimited
from connectors.github.sync import GitHubConnector
from services.simulator.answers import http_date
from services.simulator.faults import Fault
from services.simulator.vendor_faults import limited, primary_limit, secondary_limit, server_error
from tests.connectors.github.conftest import ISSUES, NOW, Host, read, seen


def dated_limit(when: str, now: datetime, *, status: int = 403) -> Fault:
    """The primary limit for half a minute, with the host's date."""
    fault = primary_limit(when, now, resets_in=30, status=status)
    return replace(fault, headers={**fault.headers, "date": http_date(now)})


async def read_through(host: Host, connector: GitHubConnector, fault: Fault, least: float) -> None:
    """The fault strikes once in mid-pass: the set is whole, and nothing came early."""
    host.fill(250)
    host.faults.add(fault)
    began = host.clock.at
    assert seen(await read(connector, host.there)) == host.truth()
    assert host.faults.early == []
    assert host.clock.at - began >= least


@pytest.mark.parametrize("status", [403, 429])
async def test_the_primary_limit_is_sat_out(host: Host, connector: GitHubConnector, status: int) -> None:
    """Nothing is sent until the reset, whichever status says so."""
    await read_through(host, connector, dated_limit(r"/issues\?.*since=", NOW, status=status), 30)


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_reset_is_read_by_the_host_clock(host: Host, connector: GitHubConnector, minutes: int) -> None:
    """Ten minutes of difference between the clocks neither shorten the wait nor draw it out."""
    host.world.advance(host.clock.now() + timedelta(minutes=minutes))
    host.faults.add(dated_limit(ISSUES, host.world.now))
    began = host.clock.at
    await read(connector, host.there)
    assert host.faults.early == []
    assert 30 <= host.clock.at - began <= 40


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize("told", [None, 60, 120])
async def test_the_secondary_limit_is_sat_out(
    host: Host, connector: GitHubConnector, status: int, told: int | None
) -> None:
    """As long as it says, and a minute where it says nothing."""
    fault = secondary_limit(r"/issues\?.*since=", retry_after=told, status=status)
    await read_through(host, connector, fault, told or 60)


@pytest.mark.parametrize(
    ("value", "hold"),
    [("7", 7), ("0", 1), ("-5", 60), ("abc", 60), ("", 60), (None, 60), ("DATE", 30), ("1e9", 60), ("²", 60)],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_every_form_of_retry_after_is_obeyed(
    host: Host, connector: GitHubConnector, status: int, value: str | None, hold: int
) -> None:
    """Seconds, a date, nonsense, nothing."""
    if status == 503 and value is None:
        hold = 0
    if value == "DATE":
        value = http_date(host.clock.now() + timedelta(seconds=31))
    fault = limited(r"/issues\?.*since=", status=status, retry_after=value, hold=hold)
    await read_through(host, connector, fault, hold)


async def test_an_absurd_wait_ends_the_pass_and_holds_no_lane(host: Host, connector: GitHubConnector) -> None:
    """A billion seconds is an hour at most, and that is for the caller to wait; nothing is sent meanwhile."""
    host.fill(5)
    host.faults.add(limited(ISSUES, retry_after="1000000000"))
    pages: list[Any] = []
    with pytest.raises(RateLimited) as caught:
        await read(connector, host.there, on_page=pages.append)
    assert caught.value.until <= host.clock.now() + timedelta(hours=1)
    asked = len(host.faults.asked)
    with pytest.raises(RateLimited):
        await read(connector, host.there)
    assert len(host.faults.asked) == asked
    host.clock.at += 3601
    assert seen(await read(connector, host.there, bytes(pages[-1].checkpoint))) == host.truth()


@pytest.mark.parametrize("kind", ["primary", "secondary", "short"])
async def test_a_limit_that_never_ends_is_not_asked_for_ever(host: Host, connector: GitHubConnector, kind: str) -> None:
    """Each strike in a row waits longer, and soon the pass ends; a reset that has passed is no licence to hammer."""
    host.fill(5)
    made = {
        "primary": primary_limit(ISSUES, host.world.now, resets_in=-100),
        "secondary": secondary_limit(ISSUES, retry_after=None),
        "short": secondary_limit(ISSUES, retry_after=1),
    }[kind]
    host.faults.add(replace(made, times=None, hold=0.0))
    with pytest.raises(RateLimited):
        await read(connector, host.there)
    assert 3 <= host.faults.count(ISSUES) <= 12


async def test_strikes_of_lanes_side_by_side_count_as_one(host: Host, connector: GitHubConnector) -> None:
    """Four lanes that meet the same limit wait a minute each, and not one, two, four and eight."""
    host.fill(700)
    limit = secondary_limit(r"events\?.*page=[2-5]$", retry_after=None)
    host.faults.add(replace(limit, seconds=0.1, times=4, hold=0.0))
    began = host.clock.at
    assert seen(await read(connector, host.there)) == host.truth()
    assert host.clock.at - began < 4 * 61


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_server_error_is_tried_six_times_with_pauses(
    host: Host, connector: GitHubConnector, status: int
) -> None:
    """Bounded tries, growing pauses, then the typed error; the next pass goes on when the host is back."""
    host.fill(150)
    pages: list[Any] = []
    host.faults.add(server_error(r"/issues\?.*since=", status, times=None))
    with pytest.raises(Exception, match=f"answered {status}.*tried 6 times"):
        await read(connector, host.there, on_page=pages.append)
    assert host.faults.count(r"/issues\?.*since=") == 6
    host.faults.clear()
    rest = await read(connector, host.there, bytes(pages[-1].checkpoint))
    assert seen(pages) | seen(rest) == host.truth()
