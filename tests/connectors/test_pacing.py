"""One budget per credential."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import RateLimited, Retriable, Spared, Unreachable
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


async def test_a_live_request_waits_for_no_more_than_one_in_flight() -> None:
    """However many requests of a backfill wait for the lane, a hint is the next to get it."""
    pacer = Pacer(concurrency=1, clock=FakeClock())
    order: list[str] = []
    free = asyncio.Event()

    async def ask(name: str, priority: Priority) -> None:
        async with pacer.slot(priority=priority):
            order.append(name)
            await free.wait()

    tasks = [asyncio.create_task(ask(f"past {number}", Priority.BACKFILL)) for number in range(50)]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(ask("poll", Priority.POLL)), asyncio.create_task(ask("hint", Priority.HINT))]
    await asyncio.sleep(0)
    free.set()
    await asyncio.gather(*tasks)
    assert order[:4] == ["past 0", "hint", "poll", "past 1"]


@pytest.mark.parametrize("priority", list(Priority))
async def test_the_last_tenth_is_kept_for_live_work(priority: Priority) -> None:
    """Hints, polls and what they need go on; a census and a backfill wait for the next budget, and hold no lane."""
    clock = FakeClock()
    pacer = Pacer(concurrency=1, clock=clock)
    pacer.keep(5000, 500, 600)
    waiting = asyncio.create_task(pacer.slot(priority=Priority.BACKFILL).__aenter__())
    async with pacer.slot(priority=priority):
        assert (clock.at >= 1600) is (not priority.live)
    await waiting
    assert clock.at >= 1600


async def test_a_budget_that_is_far_away_ends_what_is_not_live() -> None:
    """It is told until when, and what is live goes on."""
    clock = FakeClock()
    pacer = Pacer(clock=clock)
    pacer.keep(5000, 1, LONGEST_SAT_OUT_S + 60)
    with pytest.raises(Spared, match="kept for live work"):
        async with pacer.slot(priority=Priority.CENSUS):
            pass
    async with pacer.slot(priority=Priority.POLL):
        assert clock.at == 1000.0
    pacer.keep(5000, 4999, 3600)  # the next answer tells of a new budget
    async with pacer.slot(priority=Priority.CENSUS):
        assert clock.at == 1000.0


@given(st.integers(), st.integers(), st.floats(allow_nan=True))
def test_only_a_budget_that_can_be_is_believed(limit: int, left: int, reset_in: float) -> None:
    """A tenth or less of a limit, for an hour at most: nothing else keeps anything."""
    pacer = Pacer(clock=FakeClock())
    pacer.keep(limit, left, reset_in)
    wait, _ = pacer.wait_for(priority=Priority.BACKFILL)
    believed = limit > 0 and 0 <= left <= limit * 0.1 and 0 < reset_in <= 3660
    assert (wait > 0) is believed
    assert wait <= LONGEST_WAIT_S + 61
