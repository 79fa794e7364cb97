"""What we add between a poll that sees a change and the event that a dashboard hears."""

import asyncio
from datetime import timedelta
from time import perf_counter

import msgspec

from schemas.work import WorkItem
from services.align.handlers import Aligner
from services.consumers import consumers
from services.feed import sse
from services.ingest.apply import apply_items
from services.steer import handlers as steer
from services.storage.database import Database
from services.storage.unit_of_work import UnitOfWork
from services.stream.embedded import EmbeddedStream
from tests.benchmarks.parts import a_database, items, said

_CHANGES = 200


async def run(count: int) -> None:
    """Print p50 and p99, in milliseconds, from the page of a poll to the SSE event of its node."""
    async with a_database("sqlite") as database:
        stored = items(count)
        async with database.write() as uow:
            await apply_items(uow, stored)
        stream = EmbeddedStream(database, consumers(align=Aligner(()).handle, steer=steer.handle, alert=_deaf))
        await stream.settle()
        running = asyncio.create_task(stream.run())
        waits = sorted([await _one(database, item) for item in stored[1 : _CHANGES * 10 : 10]])
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    median, worst = waits[len(waits) // 2] * 1000, waits[int(len(waits) * 0.99)] * 1000
    said(f"change to SSE event, {count} items stored: p50 {median:.0f} ms, p99 {worst:.0f} ms ({len(waits)} changes)")


async def _deaf(uow: UnitOfWork, events: object) -> None:
    """Nobody is told in a benchmark."""


async def _one(database: Database, item: WorkItem) -> float:
    done = item.status_category == "done"
    changed = msgspec.structs.replace(
        item,
        status_category="todo" if done else "done",
        status="To Do" if done else "Done",
        history=(),
        updated_at=item.updated_at + timedelta(days=1),
    )
    heard = sse._stream(database, ("progress",), None, await sse._end(database), False)
    start = perf_counter()
    async with database.write() as uow:
        await apply_items(uow, [changed])
    await anext(heard)
    took = perf_counter() - start
    await heard.aclose()  # type: ignore[attr-defined]
    return took
