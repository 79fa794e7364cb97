"""From events to committed projections, beside a bare loop that decodes and upserts the same rows."""

import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from aiokafka import AIOKafkaConsumer
from sqlalchemy import Delete, Insert, Update, event, func, select

from schemas import wire
from services.align.handlers import Aligner
from services.ingest.apply import apply_items
from services.storage import tables
from services.storage.database import Database
from services.storage.unit_of_work import UnitOfWork
from services.stream.broker import KafkaSettings, provision
from services.stream.delivery import Consumer
from services.stream.embedded import EmbeddedStream
from services.stream.kafka import KafkaStream
from services.stream.relay import ALL_TOPICS, Relay, relayed
from tests import kafka_broker
from tests.benchmarks.parts import a_database, items, said
from tests.parts import eventually

_BATCH = 500
#: A statement and its rows, as they were given to the database.
Write = tuple[Any, Any]


@dataclass
class _Watched:
    """The align stage, and how many events it had handled when a transaction of it was committed."""

    handled: int = 0
    commits: list[tuple[int, float]] = field(default_factory=list)
    transactions: list[list[Write]] = field(default_factory=list)
    aligner: Aligner = field(default_factory=lambda: Aligner(()))

    async def handle(self, uow: UnitOfWork, events: Sequence[wire.Event]) -> None:
        await self.aligner.handle(uow, events)
        self.handled += len(events)

    def committed(self, writes: Sequence[Write]) -> None:
        self.commits.append((self.handled, perf_counter()))
        self.transactions.append(list(writes))


async def run(count: int) -> None:
    """Print items a second through the align stage on both transports and databases, and the ratio to the bare loop."""
    for transport in ("embedded", "kafka"):
        for kind in ("sqlite", "postgresql"):
            async with a_database(kind) as database:
                for start in range(0, count, _BATCH):
                    async with database.write() as uow:
                        await apply_items(uow, items(min(_BATCH, count - start), start + 1))
                await _measure(transport, kind, database, count)


async def _measure(transport: str, kind: str, database: Database, count: int) -> None:
    last = await _end_of_log(database)
    watched = _Watched()
    consumer = Consumer("align", (wire.WORK, wire.ALIGN), watched.handle, batch=_BATCH)
    raw = ""
    with _watching(database, watched):
        if transport == "embedded":
            await EmbeddedStream(database, [consumer]).settle()
        else:
            async with _a_topic_full(database) as settings:
                raw = f"raw aiokafka consumption {await _raw(settings, count):,.0f}/s, "
                await KafkaStream(database, [consumer], settings).settle()
    (early, began), (handled, ended) = watched.commits[0], watched.commits[-1]
    rate = (handled - early) / (ended - began)
    bare = (handled - early) / await _bare(database, last, watched.transactions)
    said(
        f"projection, {transport} on {kind}: {rate:,.0f} events/s committed, {raw}bare loop {bare:,.0f}/s, "
        f"ratio {rate / bare:.2f} ({handled} events of {count} items in {len(watched.commits)} transactions)"
    )


@contextmanager
def _watching(database: Database, watched: _Watched) -> Iterator[None]:
    """Tells of every transaction in which the stage wrote, and what."""
    current: list[Write] = []

    def executed(_connection: Any, statement: Any, many: Any, one: Any, _options: Any) -> None:
        if isinstance(statement, Insert | Update | Delete):
            current.append((statement, many or one or None))

    def committed(_connection: Any) -> None:
        if any(statement.table is tables.item_states for statement, _ in current):
            watched.committed(current)
        current.clear()

    engine = database._writer.sync_engine
    event.listen(engine, "before_execute", executed)
    event.listen(engine, "commit", committed)
    try:
        yield
    finally:
        event.remove(engine, "before_execute", executed)
        event.remove(engine, "commit", committed)


@asynccontextmanager
async def _a_topic_full(database: Database) -> AsyncIterator[KafkaSettings]:
    """A broker that holds the whole log."""
    with tempfile.TemporaryDirectory() as folder:
        broker = kafka_broker.Broker.prepare(Path(folder) / "broker")
        broker.start()
        try:
            await eventually(lambda: kafka_broker.answers(broker.address))
            settings = KafkaSettings((broker.address,), f"{uuid.uuid4().hex}.")
            await provision(settings)
            relaying = asyncio.create_task(Relay(database, settings).run())
            last = await _end_of_log(database)
            await eventually(lambda: _sent(database, last))
            relaying.cancel()
            await asyncio.gather(relaying, return_exceptions=True)
            yield settings
        finally:
            broker.stop()


async def _sent(database: Database, last: int) -> bool:
    async with database.read() as connection:
        return await relayed(connection, ALL_TOPICS) >= last


async def _end_of_log(database: Database) -> int:
    async with database.read() as connection:
        return (await connection.execute(select(func.max(tables.log.c.position)))).scalar() or 0


async def _raw(settings: KafkaSettings, count: int) -> float:
    """Records a second that a plain aiokafka consumer fetches from the same topic, and does nothing with."""
    consumer = AIOKafkaConsumer(
        settings.topic(wire.WORK.name),
        bootstrap_servers=list(settings.bootstrap_servers),
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        fetched, began = 0, perf_counter()
        while fetched < count:
            batches = await consumer.getmany(timeout_ms=1000, max_records=_BATCH)
            fetched += sum(map(len, batches.values()))
        return fetched / (perf_counter() - began)
    finally:
        await consumer.stop()


async def _bare(database: Database, last: int, transactions: Sequence[Sequence[Write]]) -> float:
    """Seconds to read and decode the same events and to write the same rows, in transactions as large.

    The first transaction is not timed, here and in the stage: whoever comes first has the statements compiled.
    """
    async with database.write() as uow:
        for table in dict.fromkeys(statement.table for writes in transactions for statement, _ in writes):
            ours = table.c.position > last if table is tables.log else table.c[table.columns[0].name].is_not(None)
            await uow.connection.execute(table.delete().where(ours))
    log = tables.log.c
    began = 0.0
    for index, writes in enumerate(transactions):
        low, high = last * index // len(transactions), last * (index + 1) // len(transactions)
        async with database.read() as connection:
            values = await connection.execute(
                select(log.value).where((log.position > low) & (log.position <= high)).order_by(log.position)
            )
            for row in values:
                wire.decode(row.value)
        async with database.write() as uow:
            for statement, rows in writes:
                await uow.connection.execute(statement, rows)
        began = began or perf_counter()
    return perf_counter() - began
