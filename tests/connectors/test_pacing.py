"""One budget per credential."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import RateLimited, Retriable, Unreachable
from connectors.pacing import LONGEST_SAT_OUT_S, LONGEST_WAIT_S, Pacer, Priority, persistently, retry_after
from tests.connectors.clock import FakeClock


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 1.0),
        ("-5", 60.0),
        ("abc", 60.0),
        (None, 60.0),
        ("1000000000", 3600.0),
        ("Mon, 23 Nov 2026 10:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 09:00:00 GMT", 1.0),
    ],
)
def test_every_form_of_a_wait_is_understood(value: str | None, seconds: float) -> None:
    """Seconds, an HTTP date, nonsense, nothing: there is always a sensible wait."""
    assert retry_after(value, FakeClock().now()) == seconds


@given(st.text(max_size=30))
def test_no_header_can_break_the_wait(value: str) -> None:
    """A hostile header gives a wait within bounds."""
    assert 1.0 <= retry_after(value, FakeClock().now()) <= LONGEST_WAIT_S


async def test_nothing_starts_before_a_wait_has_passed() -> None:
    """A parked scope is sat out to the end; other scopes go on."""
    clock = FakeClock()
    pacer = Pacer(clock=clock)
    pacer.park(7, "burst", scope="search")
    async with pacer.slot("myself"):
        assert clock.at == 1000.0
    async with pacer.slot("search"):
        assert clock.at >= 1007.0


async def test_a_wait_too_long_to_sit_out_ends_the_pass() -> None:
    """A quota that resets in an hour parks the source; no lane is held meanwhile."""
    pacer = Pacer(concurrency=1, clock=FakeClock())
    pacer.park(LONGEST_SAT_OUT_S + 60, "quota")
    for _ in range(2):
        with pytest.raises(RateLimited, match="quota"):
            async with pacer.slot():
                pass


async def test_requests_start_no_faster_than_the_rate() -> None:
    """Ten requests at four a second take at least nine intervals."""
    clock = FakeClock()
    pacer = Pacer(rate=4, clock=clock)
    for _ in range(10):
        async with pacer.slot():
            pass
    assert clock.at - 1000.0 >= 9 / 4


async def test_lanes_go_to_the_most_urgent_first() -> None:
    """With one lane, a hint that came last overtakes a backfill that waits."""
    pacer = Pacer(concurrency=1, clock=FakeClock())
    order: list[Priority] = []
    gate = asyncio.Event()

    async def ask(priority: Priority) -> None:
        async with pacer.slot(priority=priority):
            order.append(priority)
            await gate.wait()

    async with asyncio.TaskGroup() as group:
        for priority in (Priority.POLL, Priority.BACKFILL, Priority.CENSUS, Priority.HINT):
            group.create_task(ask(priority))
        await asyncio.sleep(0)
        gate.set()
    assert order == [Priority.POLL, Priority.HINT, Priority.CENSUS, Priority.BACKFILL]


async def test_a_passing_fault_is_tried_again_and_a_lasting_one_ends() -> None:
    """Six tries with growing pauses, then the tracker counts as unreachable."""
    clock = FakeClock()
    pacer = Pacer(clock=clock)
    calls = 0

    async def fails() -> None:
        nonlocal calls
        calls += 1
        raise Retriable("502")

    with pytest.raises(Unreachable, match="tried 6 times"):
        await persistently(pacer, fails)
    assert (calls, len(clock.slept)) == (6, 5)


async def test_a_demanded_wait_is_no_failed_try() -> None:
    """However often the tracker asks to wait, we wait and ask again."""
    clock = FakeClock()
    pacer = Pacer(clock=clock)
    answers = iter([*range(20)])

    async def limited_twenty_times() -> str:
        if next(answers, None) is not None:
            pacer.park(5, "burst")
            raise RateLimited(clock.now(), "burst")
        return "done"

    assert await persistently(pacer, limited_twenty_times) == "done"
    assert clock.at >= 1000.0 + 20 * 5


async def test_a_cancelled_waiter_leaves_its_lane_to_others() -> None:
    """Shutting down in the middle of a wait loses no lane."""
    pacer = Pacer(concurrency=1, clock=FakeClock())
    async with pacer.slot():
        waiter = asyncio.create_task(pacer.slot().__aenter__())
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
    async with asyncio.timeout(1), pacer.slot():
        pass
