"""The cost of an event does not grow with what is stored."""

from datetime import timedelta

import msgspec

from schemas import wire
from services.align.handlers import Aligner
from services.ingest.apply import apply_items
from services.storage.database import Database
from services.stream.delivery import Consumer
from services.stream.embedded import EmbeddedStream
from tests.benchmarks.parts import a_database, items, said, timed

_SMALL, _LARGE, _CHANGES = 10_000, 200_000, 2_000


async def run(count: int) -> None:
    """Print the time per changed item with 10,000 and with 200,000 items stored, and their ratio."""
    async with a_database("sqlite") as database:
        aligner = Aligner(())
        stream = EmbeddedStream(database, [Consumer("align", (wire.WORK, wire.ALIGN), aligner.handle)])
        await _store(database, stream, 0, _SMALL)
        small = await _change(database, stream, day=1)
        await _store(database, stream, _SMALL, _LARGE)
        large = await _change(database, stream, day=2)
    said(
        f"cost of a changed item: {small * 1e6:,.0f} µs with {_SMALL:,} stored, {large * 1e6:,.0f} µs with {_LARGE:,}, "
        f"ratio {large / small:.2f}"
    )


async def _store(database: Database, stream: EmbeddedStream, start: int, end: int) -> None:
    for at in range(start, end, 1_000):
        async with database.write() as uow:
            await apply_items(uow, items(1_000, at + 1))
    await stream.settle()


async def _change(database: Database, stream: EmbeddedStream, day: int) -> float:
    changed = [
        msgspec.structs.replace(one, estimate_points=float(day + 6), updated_at=one.updated_at + timedelta(days=day))
        for one in items(_CHANGES)
    ]
    with timed() as took:
        for at in range(0, _CHANGES, 100):
            async with database.write() as uow:
                await apply_items(uow, changed[at : at + 100])
            await stream.settle()
    return took.seconds / _CHANGES
