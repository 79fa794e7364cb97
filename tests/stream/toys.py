"""Toy consumers whose effect shows each lost, doubled or reordered event, and streams of every kind to run them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy import Column, Integer, MetaData, String, Table, select

from schemas import wire
from schemas.events import ItemTouched, WorkItemChanged
from services.storage import tables
from services.storage.database import Database
from services.storage.unit_of_work import UnitOfWork
from services.stream.broker import KafkaSettings
from services.stream.delivery import Consumer
from services.stream.embedded import EmbeddedStream
from services.stream.kafka import KafkaStream
from tests.work_items import an_item

_metadata = MetaData()
#: How often each consumer handled each event: anything but one is a fault.
counts = Table(
    "toy_counts",
    _metadata,
    Column("consumer", String(32), primary_key=True),
    Column("event", String(64), primary_key=True),
    Column("count", Integer, nullable=False),
)
#: Each event in the order of its effect.
effects = Table(
    "toy_effects",
    _metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("consumer", String(32), nullable=False),
    Column("key", String(255), nullable=False),
    Column("revision", Integer, nullable=False),
)

Stream = EmbeddedStream | KafkaStream


@dataclass
class Toy:
    """A consumer that counts. It fails on the titles in ``fails_on``, and stands still while ``hold`` is closed."""

    name: str
    fails_on: set[str] = field(default_factory=set)
    errors: list[Exception] = field(default_factory=list)
    hold: asyncio.Event | None = None
    holding: asyncio.Event = field(default_factory=asyncio.Event)
    emits: bool = False

    async def handle(self, uow: UnitOfWork, events: Sequence[wire.Event]) -> None:
        """Add one to each event's count: not idempotent, so that only delivery makes it exact."""
        for event in events:
            await uow.accumulate(counts, {(self.name, event.id): (1,)})
            data = event.data
            revision = 0
            if isinstance(data, WorkItemChanged):
                revision = data.revision
                if data.after.title in self.fails_on:
                    raise ValueError(f"cannot handle {data.after.title}")
            row = {"consumer": self.name, "key": event.key, "revision": revision}
            await uow.connection.execute(effects.insert(), [row])
            if self.emits:
                uow.emit(ItemTouched(uid=event.key, cause=event.id))
        if self.errors:
            raise self.errors.pop()
        if self.hold is not None:
            self.holding.set()
            await self.hold.wait()

    def consumer(self, *topics: wire.Topic, batch: int = 100) -> Consumer:
        """This toy as a consumer, of work unless told otherwise."""
        return Consumer(self.name, topics or (wire.WORK,), self.handle, batch=batch)


@dataclass
class Transport:
    """One database and one way to stream its log; every stream it makes reads the same topics."""

    database: Database
    broker: str | None
    prefix: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:12]}.")

    @property
    def settings(self) -> KafkaSettings:
        assert self.broker
        return KafkaSettings((self.broker,), self.prefix)

    def stream(self, *consumers: Consumer) -> Stream:
        """A process of its own, as it were."""
        if self.broker is None:
            return EmbeddedStream(self.database, consumers)
        return KafkaStream(self.database, consumers, self.settings)


@asynccontextmanager
async def running(stream: Stream) -> AsyncIterator[None]:
    """The stream runs in the background for as long as the context lasts."""
    task = asyncio.create_task(stream.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def create_toy_tables(database: Database) -> None:
    """The toys' own tables."""
    async with database.administer() as connection:
        await connection.run_sync(_metadata.create_all)


async def write_items(database: Database, keys: range, revisions: range, title: str = "") -> None:
    """One transaction for each revision, with an event for each key."""
    for revision in revisions:
        async with database.write() as uow:
            for key in keys:
                uow.emit(WorkItemChanged(after=an_item(key, title=title or f"Story {key}"), revision=revision))


async def counted(database: Database, name: str) -> dict[str, int]:
    """How often the consumer handled each event."""
    async with database.read() as connection:
        rows = await connection.execute(select(counts.c.event, counts.c.count).where(counts.c.consumer == name))
        return {event: count for event, count in rows}  # noqa: C416


async def logged(database: Database, topic: wire.Topic = wire.WORK) -> set[str]:
    """The ids of all the events of a topic."""
    async with database.read() as connection:
        rows = await connection.execute(select(tables.log.c.id).where(tables.log.c.topic == topic.name))
        return {row.id for row in rows}


async def handled_once(database: Database, name: str, topic: wire.Topic = wire.WORK) -> bool:
    """Whether the consumer's effect is exactly once for every event of the topic."""
    return await counted(database, name) == dict.fromkeys(await logged(database, topic), 1)


async def in_order(database: Database, name: str) -> bool:
    """Whether each key's revisions took effect in their order."""
    seen: dict[str, list[int]] = {}
    async with database.read() as connection:
        rows = await connection.execute(select(effects).where(effects.c.consumer == name).order_by(effects.c.seq))
        for row in rows:
            seen.setdefault(row.key, []).append(row.revision)
    return all(revisions == sorted(revisions) for revisions in seen.values())


async def dead_letters(database: Database) -> list[tuple[str, str, bool]]:
    """Each dead letter's consumer, error and whether it was sent again."""
    table = tables.dead_letters
    async with database.read() as connection:
        rows = await connection.execute(select(table).order_by(table.c.id))
        return [(row.consumer, row.error, row.redriven_at is not None) for row in rows]
