"""Killed at any moment, a sync ends where an undisturbed one ends."""

import asyncio
import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.spine.conftest import Organisation
from tests.spine.test_spine import VOLATILE

KILLS = 20


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
