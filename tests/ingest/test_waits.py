"""While a tracker asks us to wait, whoever looks at the source is told until when."""

import asyncio
from datetime import datetime

import pytest
from sqlalchemy import select

from services.simulator.faults import Fault
from services.storage import tables
from services.storage.database import Database
from tests.connectors.clock import FakeClock
from tests.ingest.conftest import Reader, Trackers
from tests.parts import eventually


class HeldClock(FakeClock):
    """Waits are over once the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds >= 5:
            await self.over.wait()
        await super().sleep(seconds)


async def shown(database: Database, source: str) -> datetime | None:
    async with database.read() as connection:
        table = tables.sources.c
        row = (await connection.execute(select(table.waits_until).where(table.name == source))).first()
    return row.waits_until if row else None


@pytest.mark.parametrize("kind", ["jira", "github"])
async def test_a_wait_is_shown_while_it_lasts(trackers: Trackers, database: Database, kind: str) -> None:
    """Until when, from the first answer that asked for it to the first request after it."""
    trackers.clock = clock = HeldClock()
    reader = Reader(kind, trackers, database)
    limit = {"retry-after": "300"}
    trackers.faults.add(Fault(when="search/jql|/issues", kind="answer", status=429, headers=limit, body=b"{}", times=1))
    for number in range(3):
        trackers.world.create(reader.here, f"Piece {number}")
    reading = asyncio.create_task(reader.sync_well())

    async def is_shown() -> bool:
        return await shown(database, kind) is not None

    await eventually(is_shown)
    until = await shown(database, kind)
    assert until is not None
    assert 290 <= (until - clock.now()).total_seconds() <= 310
    clock.over.set()
    await reading
    assert await shown(database, kind) is None
    await reader.connector.close()
