"""From events to committed projections, beside a bare loop that decodes and upserts the same rows."""

import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any
from unittest.mock import patch

from aiokafka import AIOKafkaConsumer
from sqlalchemy import Table, event, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas import wire
from services.align.handlers import Aligner
from services.consumers import ALIGN_BATCH
from services.ingest.apply import apply_items
from services.storage import bulk, tables, unit_of_work
from services.storage.bulk import Changes, Rows
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

_BATCH = ALIGN_BATCH
_TIMES = 5


@dataclass(frozen=True)
class Written:
    """Rows that the stage gave to the database in one statement."""

    table: Table
    rows: Rows
    changes: Changes | None

    def mappings(self) -> list[dict[str, Any]]:
        return [dict(zip(self.rows.names, row, strict=True)) for row in self.rows.values]


@dataclass
class _Watched:
    """The align stage, and how many events it had handled when a transaction of it was committed."""

    handled: int = 0
    commits: list[tuple[int, float]] = field(default_factory=list)
    transactions: list[list[Written]] = field(default_factory=list)
    aligner: Aligner = field(default_factory=lambda: Aligner(()))
    expected: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)  #: as many events as are expected were handled

    async def handle(self, uow: UnitOfWork, events: Sequence[wire.Event]) -> None:
        await self.aligner.handle(uow, events)
        self.handled += len(events)

    def committed(self, writes: Sequence[Written]) -> None:
        self.commits.append((self.handled, perf_counter()))
        self.transactions.append(list(writes))
        if self.handled >= self.expected:
            self.enough.set()


@dataclass(frozen=True)
class Measured:
    """Events a second through the stage, through the bare loop beside it, and off the broker."""

    stage: float
    bare: float
    raw: float
    handled: int
    transactions: int


async def run(count: int) -> None:
    """Print items a second through the align stage on both transports and databases, and the ratio to the bare loop.

    Each is measured several times, the bare loop right after the stage; the ratio is the middle one.
    """
    for transport in ("embedded", "kafka"):
        for kind in ("sqlite", "postgresql"):
            measured = [await _in_a_fresh_database(transport, kind, count) for _ in range(_TIMES)]
            last = measured[-1]
            raw = f"raw aiokafka consumption {median(one.raw for one in measured):,.0f}/s, " if last.raw else ""
            ratios = sorted(one.stage / one.bare for one in measured)
            said(
                f"projection, {transport} on {kind}: {median(one.stage for one in measured):,.0f} events/s committed, "
                f"{raw}bare loop {median(one.bare for one in measured):,.0f}/s, ratio {median(ratios):.2f} "
                f"({ratios[0]:.2f} to {ratios[-1]:.2f} in {_TIMES} runs; {last.handled} events of {count} items in "
                f"{last.transactions} transactions)"
            )


async def _in_a_fresh_database(transport: str, kind: str, count: int) -> Measured:
    async with a_database(kind) as database:
        for start in range(0, count, _BATCH):
            async with database.write() as uow:
                await apply_items(uow, items(min(_BATCH, count - start), start + 1))
        return await _measure(transport, database, count)


async def _measure(transport: str, database: Database, count: int) -> Measured:
    last = await _end_of_log(database)
    watched = _Watched(expected=count)
    consumer = Consumer("align", (wire.WORK, wire.ALIGN), watched.handle, batch=_BATCH)
    if transport == "embedded":
        with _watching(database, watched):
            await EmbeddedStream(database, [consumer]).settle()
        bare, raw = await _bare(database, last, watched.handled, watched.transactions, _from_log(database)), 0.0
    else:
        async with _a_topic_full(database) as settings:
            raw = await _raw(settings, count)  # first, so that neither of the two meets a broker that is just starting
            with _watching(database, watched):
                stream = KafkaStream(database, [consumer], settings)
                running = asyncio.create_task(stream.run())
                await watched.enough.wait()
                await stream.settle()
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            bare = await _bare(database, last, watched.handled, watched.transactions, _from_broker(settings))
    (early, began), (handled, ended) = watched.commits[0], watched.commits[-1]
    timed = handled - early
    return Measured(timed / (ended - began), timed / bare, raw, handled, len(watched.commits))


@contextmanager
def _watching(database: Database, watched: _Watched) -> Iterator[None]:
    """Tells of every transaction in which the stage wrote, and what."""
    current: list[Written] = []

    async def insert_rows(
        connection: AsyncConnection, table: Table, rows: Rows, changes: Changes | None = None
    ) -> None:
        if rows.values:
            current.append(Written(table, rows, changes))
        await bulk.insert_rows(connection, table, rows, changes)

    def committed(_connection: Any) -> None:
        if any(written.table is tables.item_states for written in current):
            watched.committed(current)
        current.clear()

    engine = database._writer.sync_engine
    event.listen(engine, "commit", committed)
    try:
        with patch.object(unit_of_work, "insert_rows", insert_rows):
            yield
    finally:
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


@asynccontextmanager
async def _a_reader(settings: KafkaSettings, *topics: wire.Topic) -> AsyncIterator[AIOKafkaConsumer]:
    reader = AIOKafkaConsumer(
        *(settings.topic(topic.name) for topic in topics),
        bootstrap_servers=list(settings.bootstrap_servers),
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        enable_auto_commit=False,
    )
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()


async def _raw(settings: KafkaSettings, count: int) -> float:
    """Records a second that a plain aiokafka consumer fetches from the same topic, and does nothing with."""
    async with _a_reader(settings, wire.WORK) as reader:
        fetched, began = 0, perf_counter()
        while fetched < count:
            batches = await reader.getmany(timeout_ms=1000, max_records=_BATCH)
            fetched += sum(map(len, batches.values()))
        return fetched / (perf_counter() - began)


async def _from_log(database: Database) -> AsyncIterator[list[bytes]]:
    """The events in the log's order, a batch at a time."""
    log, position = tables.log.c, 0
    while True:
        async with database.read() as connection:
            rows = await connection.execute(
                select(log.position, log.value).where(log.position > position).order_by(log.position).limit(_BATCH)
            )
            batch = rows.all()
        position = batch[-1].position
        yield [row.value for row in batch]


async def _from_broker(settings: KafkaSettings) -> AsyncIterator[list[bytes]]:
    """The events as the broker gives them, a batch at a time."""
    async with _a_reader(settings, wire.WORK, wire.ALIGN) as reader:
        while True:
            batches = await reader.getmany(timeout_ms=1000, max_records=_BATCH)
            yield [record.value for records in batches.values() for record in records]


async def _bare(
    database: Database,
    last: int,
    events: int,
    transactions: Sequence[Sequence[Written]],
    batches: AsyncIterator[list[bytes]],
) -> float:
    """Seconds to fetch and decode the same events and to upsert the same rows, in transactions as large.

    The loop anybody would write: one SQLAlchemy statement a table, executed with a list of rows. The first
    transaction is not timed, here and in the stage: whoever comes first has the statements compiled.
    """
    await _empty(database, last, transactions)
    made = [[(_upsert(database, written), written.mappings()) for written in writes] for writes in transactions]
    began, fetched = 0.0, 0
    for index, writes in enumerate(made):
        while fetched < events * (index + 1) // len(transactions):
            values = await anext(batches)
            fetched += len(values)
            for value in values:
                wire.decode(value)
        async with database.write() as uow:
            for statement, rows in writes:
                await uow.connection.execute(statement, rows)
        began = began or perf_counter()
    seconds = perf_counter() - began
    await batches.aclose()  # type: ignore[attr-defined]
    return seconds


async def _empty(database: Database, last: int, transactions: Sequence[Sequence[Written]]) -> None:
    async with database.write() as uow:
        for table in dict.fromkeys(written.table for writes in transactions for written in writes):
            ours = table.c.position > last if table is tables.log else table.c[table.columns[0].name].is_not(None)
            await uow.connection.execute(table.delete().where(ours))


def _upsert(database: Database, written: Written) -> Any:
    table, changes = written.table, written.changes
    statement: Any = sqlite.insert(table) if database.is_sqlite else postgresql.insert(table)
    if table is tables.log:
        return statement
    key = list(table.primary_key.columns)
    if changes is None:
        # The stage deletes such rows first when there are any.
        changes = dict.fromkeys([one.name for one in table.columns if not one.primary_key], "replace")
    new = {
        name: statement.excluded[name] if what == "replace" else table.c[name] + statement.excluded[name]
        for name, what in changes.items()
    }
    if not new:
        return statement.on_conflict_do_nothing(index_elements=key)
    return statement.on_conflict_do_update(index_elements=key, set_=new)
