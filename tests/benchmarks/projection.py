"""From events to committed projections, beside a bare loop that decodes and upserts the same rows."""

from sqlalchemy import func, select

from schemas import wire
from services.align.handlers import Aligner
from services.ingest.apply import apply_items
from services.storage import tables
from services.storage.database import Database
from services.stream.delivery import Consumer
from services.stream.embedded import EmbeddedStream
from tests.benchmarks.parts import a_database, items, said, timed

_TABLES = (
    "item_states",
    "alignments",
    "postings",
    "balances",
    "headcounts",
    "estimates",
    "activity",
    "parenthoods",
)
_BATCH = 500


async def run(count: int) -> None:
    """Print events a second through the align stage on both databases, and the ratio to the bare loop."""
    for kind in ("sqlite", "postgresql"):
        async with a_database(kind) as database:
            for start in range(0, count, _BATCH):
                async with database.write() as uow:
                    await apply_items(uow, items(_BATCH, start + 1))
            stream = EmbeddedStream(database, [Consumer("align", (wire.WORK, wire.ALIGN), Aligner(()).handle)])
            with timed() as took:
                handled = await stream.settle()
            bare = await _bare(database, count)
            rate = count / took.seconds
            said(
                f"projection embedded on {kind}: {rate:,.0f} items/s committed ({handled} events), "
                f"bare loop {count / bare:,.0f}/s, ratio {rate / (count / bare):.2f}"
            )


async def _bare(database: Database, count: int) -> float:
    """Seconds to read and decode the same events and upsert the rows that the stage wrote, in batches as large."""
    rows = {}
    async with database.read() as connection:
        for name in _TABLES:
            table = tables.metadata.tables[name]
            rows[name] = [dict(row._mapping) for row in await connection.execute(select(table))]
        last = (await connection.execute(select(func.max(tables.log.c.position)))).scalar() or 0
    async with database.write() as uow:
        for name in _TABLES:
            await uow.connection.execute(tables.metadata.tables[name].delete())
    batches = -(-count // _BATCH)
    with timed() as took:
        for batch in range(batches):
            log = tables.log.c
            low, high = last * batch // batches, last * (batch + 1) // batches
            async with database.read() as connection:
                values = await connection.execute(
                    select(log.value).where((log.position > low) & (log.position <= high)).order_by(log.position)
                )
                for row in values:
                    wire.decode(row.value)
            async with database.write() as uow:
                for name in _TABLES:
                    part = rows[name][len(rows[name]) * batch // batches : len(rows[name]) * (batch + 1) // batches]
                    table = tables.metadata.tables[name]
                    replaced = [column.name for column in table.columns if not column.primary_key]
                    await uow.upsert(table, part, replace=replaced)
    return took.seconds
