"""Killed at any moment, a sync ends where an undisturbed one ends."""

import asyncio
import json
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from tests.spine.conftest import Organisation
from tests.spine.test_spine import VOLATILE

KILLS = 20
#: When something was done, by which run, how often it was tried and under which random name: not what came of it.
_PASSING = frozenset(
    {
        "applied_at", "as_of", "at", "census_at", "changed_at", "complete_at", "event_id", "first_complete_at",
        "frozen_at", "hash", "id", "last_attempt_at", "last_complete_at", "observed_at", "opened_at", "position",
        "read_at", "recorded_at", "requests", "revision", "seen_at", "sent_at", "updated_at",
    }
)  # fmt: skip
#: Tables of what is being done, not of what is known.
_WORKING = frozenset({"alembic_version", "leases", "log", "positions", "sqlite_sequence"})


def courseline(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from services.cli import main; main()", *arguments]


async def run(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *courseline(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def lines(config: Path, what: str) -> list[dict[str, Any]]:
    text = await run("export", what, "-c", str(config))
    rows = [json.loads(line) for line in text.splitlines()]
    return [{key: value for key, value in row.items() if key not in VOLATILE} for row in rows]


async def test_killed_at_twenty_moments_it_ends_the_same(organisation: Organisation) -> None:
    """kill -9 in the middle of a sync, twenty times over; then one sync to the end: the same tables."""
    undisturbed, killed = organisation.configured("undisturbed"), organisation.configured("killed")
    await run("sync", "-c", str(undisturbed))
    await run("apply", "-c", str(undisturbed))
    dice, struck = random.Random(4), 0
    for _ in range(KILLS):
        asked = len(organisation.faults.asked)
        process = await asyncio.create_subprocess_exec(
            *courseline("sync", "-c", str(killed)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = asked + dice.randrange(1, 55)
        while process.returncode is None and len(organisation.faults.asked) < until:  # noqa: ASYNC110
            await asyncio.sleep(0.002)  # the moment to strike is a number of requests
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            struck += 1
        await process.wait()
    await run("sync", "-c", str(killed))
    await run("apply", "-c", str(killed))
    assert struck >= KILLS // 2
    for what in ("items", "milestones", "alignments", "ledger", "progress"):
        assert await lines(killed, what) == await lines(undisturbed, what), what


def lasting(value: Any) -> Any:
    """A value without what only tells when, or by which look; JSON is looked into."""
    if isinstance(value, bytes):
        try:
            return lasting(json.loads(value))
        except ValueError:
            return value
    if isinstance(value, dict):
        return {key: lasting(one) for key, one in value.items() if key not in _PASSING}
    return [lasting(one) for one in value] if isinstance(value, list) else value


def every_table(file: Path) -> dict[str, list[str]]:
    """Every row of every table of what is known, without what only tells when."""
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        names = [row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: sorted(repr(lasting(dict(row))) for row in connection.execute(f"SELECT * FROM {name}"))
            for name in names
            if name not in _WORKING
        }


async def test_killed_while_it_maps_and_judges_it_ends_the_same(organisation: Organisation) -> None:
    """kill -9 at moments of the whole job, until after the last request: every table as in an undisturbed run."""
    undisturbed, killed = organisation.configured("undisturbed"), organisation.configured("killed")
    for config in (undisturbed, killed):
        await run("sync", "-c", str(config))
        await run("apply", "-c", str(config))
    dice, struck, world = random.Random(9), 0, organisation.world
    for turn in range(KILLS):
        for item in dice.sample(sorted(world.items.values(), key=lambda one: one.id), 15):
            world.finish(item) if not item.done else world.edit(item, title=f"{item.title} {turn}")
        asked = len(organisation.faults.asked)
        process = await asyncio.create_subprocess_exec(
            *courseline("sync", "-c", str(killed)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = asked + dice.randrange(1, 50)
        while process.returncode is None and len(organisation.faults.asked) < until:  # noqa: ASYNC110
            await asyncio.sleep(0.002)  # the moment to strike is a number of requests, and some time after them
        with suppress(TimeoutError):
            async with asyncio.timeout(dice.uniform(0, 2)):
                await process.wait()
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            struck += 1
        await process.wait()
    assert struck >= KILLS // 4
    for config in (undisturbed, killed):
        await run("sync", "-c", str(config))
    tables = [every_table(config.parent / "courseline.db") for config in (undisturbed, killed)]
    for name in tables[0]:
        assert tables[1][name] == tables[0][name], name
