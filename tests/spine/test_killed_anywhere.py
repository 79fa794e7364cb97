"""Killed at any request, a reader that starts again ends where an undisturbed one ends.

Each seed is a small world of its own, read by two: one undisturbed, and one that is killed again and again, at a
request drawn by lot. From that moment on it writes nothing more and begins nothing more, as a process that is gone;
what starts next has only the database. ``COURSELINE_SEEDS`` says how many seeds are tried.
"""

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import select

from services.simulator.faults import Fault
from services.storage import tables
from services.storage.database import Database
from services.storage.unit_of_work import UnitOfWork
from tests.ingest.conftest import Reader, Trackers
from tests.spine.people import People, worlds
from tests.spine.truth import equals_the_tracker, told_once

SEEDS = int(os.environ.get("COURSELINE_SEEDS", "100"))
KILLS = 3


class Killed(Exception):
    """The process is gone."""


class Mortal(Database):
    """A database whose process can be killed: nothing is committed after that."""

    dead = False

    @asynccontextmanager
    async def write(self) -> AsyncIterator[UnitOfWork]:
        self._alive()
        async with super().write() as uow:
            yield uow
            self._alive()

    def _alive(self) -> None:
        if self.dead:
            raise Killed


@pytest.mark.timeout(120 + 10 * SEEDS)
async def test_killed_at_any_request_it_ends_where_an_undisturbed_one_ends(
    sqlite_template: Path, tmp_path: Path
) -> None:
    """Seed by seed, over a first sync and one after people changed, deleted, moved and archived."""
    struck = Counter[int]()
    for seed, trackers in worlds(SEEDS):
        files = [tmp_path / f"{seed}-{name}.db" for name in ("undisturbed", "killed")]
        for file in files:
            shutil.copy(sqlite_template, file)
        await _one(seed, trackers, files[0], files[1], struck)
    assert struck.total() > SEEDS * KILLS
    if SEEDS >= 50:
        assert set(range(1, 10)) <= struck.keys(), "every early request met its kill"


async def _one(seed: int, trackers: Trackers, undisturbed: Path, killed: Path, struck: Counter[int]) -> None:
    dice, people = Random(seed), People(trackers, seed)
    for kind in ("jira", "github"):
        for place in trackers.places[kind]:
            trackers.fill(place, dice.randint(1, 12))
    for _ in range(2):
        for kind in ("jira", "github"):
            requests = await _read(undisturbed, trackers, kind)
            for _ in range(KILLS):
                at = dice.randint(1, requests)
                if await _killed(killed, trackers, kind, at):
                    struck[at] += 1
            await _read(killed, trackers, kind)
        assert await _lasting(killed, trackers) == await _lasting(undisturbed, trackers), seed
        for _ in range(dice.randint(1, 12)):
            people.act()
        trackers.later(minutes=61)
    for _ in range(4):  # what is gone is asked for again before it is believed
        for kind in ("jira", "github"):
            await _read(killed, trackers, kind)
        trackers.later(minutes=61)
    async with _opened(killed, trackers) as database:
        for kind in ("jira", "github"):
            await equals_the_tracker(Reader(kind, trackers, database), seed)
        await told_once(database, seed)


@asynccontextmanager
async def _opened(file: Path, trackers: Trackers) -> AsyncIterator[Mortal]:
    database = Mortal(f"sqlite:///{file}", now=lambda: trackers.world.now)
    try:
        yield database
    finally:
        await database.close()


async def _read(file: Path, trackers: Trackers, kind: str) -> int:
    """One sync to its end by a new process; the number of requests that it took."""
    asked = len(trackers.faults.asked)
    async with _opened(file, trackers) as database:
        reader = Reader(kind, trackers, database)
        try:
            await reader.sync_well()
        finally:
            await reader.connector.close()
    return len(trackers.faults.asked) - asked


async def _killed(file: Path, trackers: Trackers, kind: str, at: int) -> bool:
    """One sync by a new process that is killed at its so-manieth request; False where it had ended before."""
    async with _opened(file, trackers) as database:
        reader = Reader(kind, trackers, database)
        syncing = asyncio.ensure_future(reader.sync())
        loop = asyncio.get_running_loop()

        def strike() -> None:
            database.dead = True
            loop.call_soon_threadsafe(syncing.cancel)

        trackers.faults.add(Fault(when="/", kind="pass", skip=at - 1, act=strike))
        try:
            with suppress(asyncio.CancelledError, Killed, ExceptionGroup):
                await syncing
        finally:
            trackers.faults.clear()
            await reader.connector.close()
        return database.dead


#: When something was done, and by how many tries: not what came of it.
_PASSING = {"observed_at", "recorded_at", "updated_at", "seen_at", "requests", "content", "last_attempt_at"}


async def _lasting(file: Path, trackers: Trackers) -> dict[str, Any]:
    """Everything that was read, without when and how it was read."""
    found: dict[str, Any] = {}
    async with _opened(file, trackers) as database:
        found["items"] = await Reader("jira", trackers, database).stored()
        async with database.read() as connection:
            for table in (tables.milestones, tables.gaps, tables.quarantine, tables.former_keys, tables.sources):
                names = [column.name for column in table.columns if column.name not in _PASSING]
                rows = await connection.execute(select(*(table.c[name] for name in names)).order_by(*names[:2]))
                found[table.name] = [tuple(row) for row in rows]
    return found
