"""The relay: copies the log to Kafka, in order, whole, by one process at a time.

Each step is one Kafka transaction. A step that fails is aborted and sent again, so readers of committed records
never see a later event of a partition before an earlier one; and a relay that lost its lease without noticing is
fenced off by the broker, since all relays share one transactional id.
"""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Counter
from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas import wire
from services.storage import tables
from services.storage.database import Database, is_outage, woken
from services.storage.outages import pause_s
from services.stream.broker import LARGEST_MESSAGE, KafkaSettings, connection
from services.stream.delivery import WHOLE, Condition, Consumer
from services.stream.leases import hold, release

log = structlog.get_logger(__name__)
RELAYED = Counter("courseline_events_relayed", "Log rows and dead letters that Kafka has taken.", ["topic"])

RELAY = "relay"
ALL_TOPICS = "*"
DEAD_LETTERS = "dead_letters"
_LEASE = timedelta(seconds=15)
_LOOK_AGAIN_S = 0.5
_BATCH = 500


@dataclass(frozen=True)
class _Letter:
    """One record on its way to the broker."""

    topic: str  #: its name on the broker
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    position: int


@dataclass
class Relay:
    """Copies the log and the dead letters for as long as it runs and holds the lease."""

    database: Database
    settings: KafkaSettings
    condition: Condition = field(default_factory=Condition)
    holder: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def _lease(self) -> str:
        return f"{RELAY} {self.settings.topic_prefix}"

    async def run(self) -> None:
        """Relay for ever; an outage of the broker or the database is waited for."""
        attempt = 0
        try:
            while True:
                try:
                    if await hold(self.database, self._lease, self.holder, _LEASE):
                        await self._lead()
                    await asyncio.sleep(_LEASE.total_seconds() / 5 * random.uniform(0.8, 1.2))  # noqa: S311
                    attempt = 0
                except Exception as error:
                    if not isinstance(error, KafkaError) and not is_outage(error):
                        raise
                    self.condition.waiting_for = "broker" if isinstance(error, KafkaError) else "database"
                    log.warning("relay.waiting", waiting_for=self.condition.waiting_for, error=type(error).__name__)
                    await asyncio.sleep(pause_s(attempt))
                    attempt += 1
        finally:
            await _quietly(release(self.database, self._lease, self.holder))

    async def _lead(self) -> None:
        """Copy until the lease is lost."""
        async with self._producer() as producer:
            while await hold(self.database, self._lease, self.holder, _LEASE):
                prolong_at = asyncio.get_running_loop().time() + _LEASE.total_seconds() / 3
                while asyncio.get_running_loop().time() < prolong_at:
                    ticket = self.database.appended.ticket()
                    async with asyncio.timeout(_LEASE.total_seconds() * 2):
                        copied = await self.step(producer)
                    self.condition.waiting_for = None
                    if not copied:
                        await woken(ticket, _LOOK_AGAIN_S)

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(
            **connection(self.settings),
            client_id="courseline-relay",
            transactional_id=f"{self.settings.topic_prefix}{RELAY}",
            acks="all",
            linger_ms=5,
            max_request_size=LARGEST_MESSAGE,
        )
        try:
            await producer.start()
            yield producer
        finally:
            await producer.stop()

    async def step(self, producer: AIOKafkaProducer) -> int:
        """Copy the next rows of the log and the next dead letters; their number."""
        async with self.database.read() as reader:
            events = await _next_events(reader, self.settings)
            dead = await _next_dead_letters(reader, self.settings)
        if not events and not dead:
            return 0
        places = await _in_one_transaction(producer, [*events, *dead])
        await self._mark(events, dead, places)
        for one in [*events, *dead]:
            RELAYED.labels(one.topic).inc()
        return len(events) + len(dead)

    async def _mark(self, events: Sequence[_Letter], dead: Sequence[_Letter], places: Sequence[Any]) -> None:
        """Remember what the broker has: of the whole log, and of each partition."""
        marks: dict[tuple[str, int], tuple[int, int]] = {}
        for one, place in zip(events, places, strict=False):
            name = one.topic.removeprefix(self.settings.topic_prefix)
            marks[name, place.partition] = (one.position, place.offset + 1)
        if events:
            marks[ALL_TOPICS, WHOLE] = (events[-1].position, 0)
        if dead:
            marks[DEAD_LETTERS, WHOLE] = (dead[-1].position, 0)
        async with self.database.write() as uow:
            await uow.upsert(
                tables.positions,
                [
                    {
                        "consumer": RELAY,
                        "topic": topic,
                        "partition": partition,
                        "position": position,
                        "offset": offset,
                        "updated_at": uow.now,
                    }
                    for (topic, partition), (position, offset) in sorted(marks.items())
                ],
                replace=("position", "offset", "updated_at"),
            )


async def _in_one_transaction(producer: AIOKafkaProducer, letters: Sequence[_Letter]) -> list[Any]:
    """Send all or nothing; where each has come to stand."""
    sent: list[asyncio.Future[Any]] = []
    try:
        async with producer.transaction():
            for one in letters:
                # Kept one by one: those sent before a failure must be seen to too.
                future = await producer.send(one.topic, one.value, key=one.key, headers=one.headers)
                sent.append(future)
            return await asyncio.gather(*sent)
    except BaseException:
        for future in (*sent, *_left_by(producer)):
            future.add_done_callback(_seen)
        raise


def _left_by(producer: AIOKafkaProducer) -> list[asyncio.Future[Any]]:
    """The client's own futures that a failed transaction fails too, and nobody waits for (aiokafka 0.14).

    One is the transaction's end; the others tell when each batch has left, and fail where it never will.
    """
    batches = producer._message_accumulator._batches.values()
    return [
        producer._txn_manager.wait_for_transaction_end(),
        *(batch._drain_waiter for waiting in batches for batch in waiting),
    ]


def _seen(future: asyncio.Future[Any]) -> None:
    """The failure is told once, by what the step raised."""
    if not future.cancelled():
        future.exception()


async def relayed(reader: AsyncConnection, what: str) -> int:
    """The last position of the log (``ALL_TOPICS``), or number of ``DEAD_LETTERS``, that the broker has."""
    table = tables.positions.c
    statement = select(table.position).where(
        (table.consumer == RELAY) & (table.topic == what) & (table.partition == WHOLE)
    )
    return (await reader.execute(statement)).scalar() or 0


async def behind(reader: AsyncConnection, consumers: Iterable[Consumer]) -> dict[str, int]:
    """How many records each consumer has yet to handle, on their way to the broker or on it; nought when none.

    The count on the broker includes its own marks between transactions, so it may be a little high.
    """
    log_, table = tables.log.c, tables.positions.c
    waiting = await reader.execute(
        select(log_.topic, func.count().label("number"))
        .where(log_.position > await relayed(reader, ALL_TOPICS))
        .group_by(log_.topic)
    )
    unsent = {row.topic: row.number for row in waiting}
    stored = (await reader.execute(select(tables.positions).where(table.partition != WHOLE))).all()
    stands = {(row.consumer, row.topic, row.partition): row for row in stored}
    result = {}
    for consumer in consumers:
        topics = {topic.name for topic in consumer.topics}
        count = sum(unsent.get(topic, 0) for topic in topics)
        for row in stored:
            if row.consumer == RELAY and row.topic in topics:
                own = stands.get((consumer.name, row.topic, row.partition))
                if own is None:
                    count += row.offset
                elif own.position < row.position:
                    count += max(1, row.offset - own.offset)
        result[consumer.name] = count
    return result


async def identity(reader: AsyncConnection) -> str | None:
    """What tells this log from every other: the id of its first event."""
    statement = select(tables.log.c.id).order_by(tables.log.c.position).limit(1)
    first: str | None = (await reader.execute(statement)).scalar()
    return first


async def _next_events(reader: AsyncConnection, settings: KafkaSettings) -> list[_Letter]:
    table = tables.log
    after = await relayed(reader, ALL_TOPICS)
    statement = select(table).where(table.c.position > after).order_by(table.c.position).limit(_BATCH)
    rows = (await reader.execute(statement)).all()
    own = (await identity(reader) or "").encode()
    return [_an_event(row, settings, own) for row in rows]


def _an_event(row: Row[Any], settings: KafkaSettings, own: bytes) -> _Letter:
    headers = [
        ("ce_id", row.id.encode()),
        ("ce_type", row.type.encode()),
        ("content-type", b"application/cloudevents+json; charset=UTF-8"),
        ("position", str(row.position).encode()),
        ("log", own),
    ]
    return _Letter(settings.topic(row.topic), row.key.encode(), row.value, headers, row.position)


async def _next_dead_letters(reader: AsyncConnection, settings: KafkaSettings) -> list[_Letter]:
    table = tables.dead_letters
    after = await relayed(reader, DEAD_LETTERS)
    rows = (await reader.execute(select(table).where(table.c.id > after).order_by(table.c.id).limit(_BATCH))).all()
    return [_a_dead_letter(row, settings) for row in rows]


def _a_dead_letter(row: Row[Any], settings: KafkaSettings) -> _Letter:
    told = {
        "consumer": row.consumer,
        "topic": settings.topic(row.topic),
        "partition": row.partition,
        "position": row.position,
        "error": row.error,
        "attempts": row.attempts,
    }
    headers = [(name, str(value).encode()) for name, value in told.items()]
    topic = settings.topic(row.topic) + wire.DEAD_LETTER_SUFFIX
    return _Letter(topic, (row.key or "").encode(), row.value, headers, row.id)


async def _quietly(step: Any) -> None:
    try:
        await step
    except Exception as error:
        log.info("relay.lease_left", error=type(error).__name__)
