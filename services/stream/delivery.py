"""Delivery around every handler: each event's effect exactly once, a poison event set aside, an outage waited for.

The position of a consumer is moved in the same transaction as what its handler wrote; it is also the fence that
makes a redelivered, duplicated or late record harmless.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
from prometheus_client import Counter
from sqlalchemy import select

from schemas import wire
from services.storage import tables
from services.storage.database import Database
from services.storage.outages import despite_outages
from services.storage.unit_of_work import UnitOfWork, lock_log

log = structlog.get_logger(__name__)
Handler = Callable[[UnitOfWork, Sequence[wire.Event]], Awaitable[None]]
#: The log as one partition: where embedded readers stand, kept apart from the broker's partitions.
WHOLE = -1
_ERROR_LENGTH = 2000

HANDLED = Counter("courseline_events_handled", "Events whose effect is committed.", ["consumer"])
DEAD = Counter("courseline_events_dead", "Events set aside as dead letters.", ["consumer"])
REPEATED = Counter("courseline_events_repeated", "Deliveries that had no effect any more.", ["consumer"])


@dataclass(frozen=True)
class Consumer:
    """A group of readers that share one position: what it hears, and what it does with it."""

    name: str
    topics: tuple[wire.Topic, ...]
    handle: Handler
    batch: int = 500
    attempts: int = 3  #: before an event alone in its transaction is set aside


class Record(msgspec.Struct, frozen=True):
    """Bytes on a partition of a topic. ``position`` is the log's; ``offset`` the broker's, nought without one.

    What others put on a topic has no position in our log: it carries a negative one, unique in its partition.
    """

    topic: str
    partition: int
    position: int
    offset: int
    value: bytes


@dataclass
class Condition:
    """What a consumer is waiting for, for whoever asks whether the service is ready."""

    waiting_for: str | None = None

    def wait_for_database(self) -> None:
        self.waiting_for = "database"


@dataclass
class Delivered:
    """What became of some records."""

    handled: int = 0
    dead: int = 0
    repeated: int = 0


class Decoded(msgspec.Struct, frozen=True):
    """A record and the event in it, or why there is none."""

    record: Record
    event: wire.Event | None
    problem: str = ""


def decode(record: Record) -> Decoded:
    """The event in a record's bytes."""
    try:
        return Decoded(record, wire.decode(record.value, ours=record.position > 0))
    except wire.Undecodable as error:
        return Decoded(record, None, str(error))


@dataclass
class Delivery:
    """Delivers records to one consumer."""

    database: Database
    consumer: Consumer
    condition: Condition = field(default_factory=Condition)

    async def deliver(self, decoded: Sequence[Decoded]) -> Delivered:
        """Handle these records, in their order, and move the position past them; however long it takes.

        A database that is away is waited for. An event that fails by itself ``attempts`` times becomes a dead
        letter, and the rest goes on.
        """
        result = Delivered()
        await self._deliver_some(decoded, result)
        HANDLED.labels(self.consumer.name).inc(result.handled)
        DEAD.labels(self.consumer.name).inc(result.dead)
        REPEATED.labels(self.consumer.name).inc(result.repeated)
        return result

    async def _deliver_some(self, decoded: Sequence[Decoded], result: Delivered) -> None:
        try:
            await self._waiting(lambda: self._commit(decoded, result))
        except Exception as error:
            if len(decoded) > 1:
                middle = len(decoded) // 2
                await self._deliver_some(decoded[:middle], result)
                await self._deliver_some(decoded[middle:], result)
            else:
                await self._deliver_one(decoded[0], error, result)

    async def _deliver_one(self, one: Decoded, error: Exception, result: Delivered) -> None:
        """The one that fails by itself: a few more tries, then it is set aside."""
        for attempt in range(1, self.consumer.attempts):
            await asyncio.sleep(min(0.01 * 4**attempt, 1) * random.uniform(0.5, 1))  # noqa: S311
            try:
                return await self._waiting(lambda: self._commit([one], result))
            except Exception as again:
                error = again
        problem = f"{type(error).__name__}: {error}"
        log.error(
            "event.dead",
            consumer=self.consumer.name,
            topic=one.record.topic,
            position=one.record.position,
            problem=_storable(problem, _ERROR_LENGTH),
        )
        return await self._waiting(lambda: self._commit([Decoded(one.record, one.event, problem)], result))

    async def _waiting(self, step: Callable[[], Awaitable[None]]) -> None:
        await despite_outages(step, who=f"consumer {self.consumer.name}", on_outage=self.condition.wait_for_database)
        self.condition.waiting_for = None

    async def _commit(self, decoded: Sequence[Decoded], result: Delivered) -> None:
        """One transaction: the fence, the handler, dead letters, the new positions."""
        async with self.database.write() as uow:
            fences = await self._fences(uow, decoded)
            fresh = _fresh(decoded, fences)
            events = [one.event for one in fresh if one.event is not None and not one.problem]
            dead = [one for one in fresh if one.problem]
            if events:
                await self.consumer.handle(uow, events)
            if dead:
                await _bury(uow, self.consumer, dead)
            await _move(uow, self.consumer.name, fences)
        result.handled += len(events)
        result.dead += len(dead)
        result.repeated += len(decoded) - len(fresh)

    async def _fences(self, uow: UnitOfWork, decoded: Sequence[Decoded]) -> "_Fences":
        """Where the consumer stands on these partitions, locked so that nobody else moves it."""
        wanted = sorted({(one.record.topic, one.record.partition) for one in decoded})
        await uow.upsert(
            tables.positions,
            [
                {
                    "consumer": self.consumer.name,
                    "topic": topic,
                    "partition": partition,
                    "position": 0,
                    "offset": 0,
                    "updated_at": uow.now,
                }
                for topic, partition in wanted
            ],
        )
        table = tables.positions.c
        rows = await uow.connection.execute(
            select(table.topic, table.partition, table.position, table.offset)
            .where((table.consumer == self.consumer.name) & table.topic.in_({topic for topic, _ in wanted}))
            .order_by(table.topic, table.partition)
            .with_for_update()
        )
        known = {(row.topic, row.partition): (row.position, row.offset) for row in rows}
        return {key: known[key] for key in wanted}


#: (topic, partition) -> (log position, next offset)
_Fences = dict[tuple[str, int], tuple[int, int]]


def _fresh(decoded: Sequence[Decoded], fences: _Fences) -> list[Decoded]:
    """Those that were not handled before, in these very records either; the fences move past them."""
    fresh = []
    for one in decoded:
        record = one.record
        key = (record.topic, record.partition)
        position, offset = fences[key]
        if record.position > position if record.position > 0 else record.offset >= offset:
            fresh.append(one)
            # A topic that was made anew counts its offsets from nought again.
            fences[key] = (max(position, record.position), record.offset + 1)
        else:
            fences[key] = (position, max(offset, record.offset + 1))
    return fresh


def _storable(text: str | None, length: int) -> str | None:
    """Text that every database takes: bounded, without the null character and lone surrogates."""
    if text is None:
        return None
    return text[:length].replace("\x00", "").encode("utf-8", "replace").decode()


async def _bury(uow: UnitOfWork, consumer: Consumer, dead: Sequence[Decoded]) -> None:
    rows: list[dict[str, Any]] = [
        {
            "consumer": consumer.name,
            "topic": one.record.topic,
            "partition": one.record.partition,
            "position": one.record.position,
            "event_id": _storable(one.event.id, 64) if one.event else None,
            "key": _storable(one.event.key, 1000) if one.event else None,
            "type": one.event.type if one.event else None,
            "value": one.record.value,
            "error": _storable(one.problem, _ERROR_LENGTH),
            "attempts": consumer.attempts,
            "at": uow.now,
        }
        for one in dead
    ]
    await lock_log(uow.connection)
    await uow.connection.execute(tables.dead_letters.insert(), rows)


async def _move(uow: UnitOfWork, consumer: str, fences: _Fences) -> None:
    rows = [
        {
            "consumer": consumer,
            "topic": topic,
            "partition": partition,
            "position": position,
            "offset": offset,
            "updated_at": uow.now,
        }
        for (topic, partition), (position, offset) in sorted(fences.items())
    ]
    await uow.upsert(tables.positions, rows, replace=("position", "offset", "updated_at"))
