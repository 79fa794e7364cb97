"""Hooks that have stopped are noticed, said once, and believed again with the first that comes."""

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.hooks import HookSource, Inbox
from services.ingest.watchdog import HOOKS, PASSES, PATIENCE, Watchdog, silent_since
from services.storage.database import Database
from tests.ingest.conftest import Reader, Trackers
from tests.spine.test_hooks import SECRET, signed

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def test_silence_needs_passes_and_time() -> None:
    """Three passes with changes over an hour, and no hook since the first of them."""
    found = [ago(61), ago(30), ago(1)]
    assert silent_since(found, None, NOW) == ago(61)
    assert silent_since(found, ago(62), NOW) == ago(61)
    assert silent_since(found, ago(60), NOW) is None  # it may have been of the first one, and late
    assert silent_since(found[1:], None, NOW) is None
    assert silent_since([ago(59), ago(30), ago(1)], None, NOW) is None


@given(st.lists(st.floats(0, 600), max_size=20), st.none() | st.floats(0, 600))
def test_no_hook_is_missed_that_came_after_every_change(minutes: list[float], last: float | None) -> None:
    """Whatever polls found: after a hook that is newer than all of it there is no silence."""
    found = sorted(ago(one) for one in minutes)
    told = silent_since(found, None if last is None else ago(last), NOW)
    if told is not None:
        assert NOW - told >= PATIENCE
        assert len([at for at in found if at >= told]) >= PASSES
        assert last is None or ago(last) < told
    if last is not None and all(last <= one for one in minutes):
        assert told is None


async def polls(reader: Reader, watchdog: Watchdog, times: int, *, minutes: float = 25) -> None:
    """Somebody changes an item again and again, and polls find it."""
    for number in range(times):
        reader.trackers.later(minutes=minutes)
        reader.world.edit(reader.here.items[0], title=f"Changed at {reader.world.now} ({number})")
        await watchdog.after_pass((await reader.sync_well()).polled)


async def test_hooks_that_have_stopped_are_a_gap_until_one_comes(trackers: Trackers, clocked: Database) -> None:
    """Told once, with what to do; a new process knows of it; the first hook closes it, and silence opens it anew."""
    reader = Reader("github", trackers, clocked)
    inbox = Inbox(clocked, {"github": HookSource("github", SECRET)})
    watchdog = Watchdog(clocked, "github")
    trackers.fill(reader.here, 2)
    await watchdog.after_pass((await reader.sync_well()).polled)
    await polls(reader, watchdog, 2)
    assert await reader.gaps() == {}
    await polls(reader, watchdog, 2)
    assert await reader.gaps() == {HOOKS: "silent"}
    watchdog = Watchdog(clocked, "github")  # the process is another one now
    await polls(reader, watchdog, 1)
    assert await reader.gaps() == {HOOKS: "silent"}
    trackers.later(minutes=1)
    body = json.dumps({"zen": "Keep it logically awesome."}).encode()
    headers = {"x-github-event": "ping", "x-github-delivery": "d-1"}
    await inbox.take(
        "github", headers | {key.lower(): value for key, value in signed(body, "X-Hub-Signature-256").items()}, body
    )
    trackers.later(minutes=1)
    await watchdog.after_pass((await reader.sync_well()).polled)
    assert await reader.gaps() == {}
    await polls(reader, watchdog, 4)
    assert await reader.gaps() == {HOOKS: "silent"}
    await reader.connector.close()


async def test_quiet_trackers_and_first_readings_are_no_silence(reader: Reader) -> None:
    """Nothing to announce, a first reading of hundreds, a whole one again: no false alarm."""
    watchdog = Watchdog(reader.database, reader.kind)
    for number in range(5):
        reader.trackers.fill(reader.here, 3)
        reader.trackers.later(minutes=25)
        full = await reader.sync_well(full=number > 0)
        await watchdog.after_pass(full.polled)
    for _ in range(5):
        reader.trackers.later(minutes=25)
        await watchdog.after_pass((await reader.sync_well()).polled)
    assert await reader.gaps() == {}
