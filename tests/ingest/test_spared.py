"""What is left of a tracker's hour is kept for live work: a new repository's past waits, and nobody waits for it."""

from typing import Any

from sqlalchemy import select

from connectors.base import Spared
from services.storage import tables
from services.storage.database import Database
from tests.ingest.conftest import Reader, Trackers

#: So many that the tenth is enough for a poll, though requests in flight have taken of it.
HOURLY = 150


async def test_a_new_repository_leaves_a_tenth_of_the_hour(trackers: Trackers, clocked: Database) -> None:
    """Its backfill stops in time; changes elsewhere are polled and the source is well; in the next hour it goes on."""
    reader = Reader("github", trackers, clocked)
    here, there = trackers.places["github"]
    first = trackers.fill(here, 3)[0]
    await reader.only(here.key)
    await reader.sync_well()
    trackers.fill(there, 7000)
    trackers.github.hourly = HOURLY
    await reader.only(here.key, there.key)
    summary = await reader.sync()
    assert isinstance(summary.error, Spared)
    used = trackers.github.accounts.own.used
    assert HOURLY * 0.85 <= used <= HOURLY * 0.9 + 4  # what is in flight in the lanes is let through
    trackers.later(minutes=1)
    trackers.world.edit(first, title="Changed while the past waits")
    summary = await reader.sync()
    assert isinstance(summary.error, Spared)
    assert (await reader.item(first)).title == "Changed while the past waits"
    row = await source(clocked)
    assert (row.state, row.error) == ("ok", None)
    assert row.waits_until is not None
    assert row.last_complete_at == trackers.world.now
    errors = []
    for _ in range(8):
        trackers.clock.at += 3600
        trackers.later(hours=1)
        errors.append((await reader.sync()).error)
    assert errors[-1] is None
    assert await reader.present() == reader.truth()
    assert (await source(clocked)).waits_until is None
    await reader.connector.close()


async def source(database: Database) -> Any:
    async with database.read() as connection:
        return (await connection.execute(select(tables.sources).where(tables.sources.c.name == "github"))).one()
