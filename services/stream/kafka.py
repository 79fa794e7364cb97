"""The stream on Apache Kafka: FastStream reads the topics in consumer groups and feeds the same handlers.

The truth about what was handled stands in the database, in the transaction of its effect: a partition is read from
there whenever it is assigned. What is committed to the broker is for those who watch the group.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage
from faststream.kafka.message import KafkaAckableMessage
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage import tables
from services.storage.database import Database, woken
from services.storage.outages import despite_outages, pause_s
from services.storage.unit_of_work import UnitOfWork
from services.stream.broker import BrokerAway, KafkaSettings, connection, provision
from services.stream.delivery import WHOLE, Condition, Consumer, Delivery, Record, decode
from services.stream.relay import RELAY, Relay, behind, identity

log = structlog.get_logger(__name__)
T = TypeVar("T")
_SASL = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}
_PING_EVERY_S = 2
_LOOK_AGAIN_S = 0.1
#: A database may be away for as long as this before the group gives a member's partitions to others.
_MAX_POLL_MS = 1_800_000
#: A broker does not end such a wait when a transaction is committed, so this is a delay that events can meet.
_FETCH_WAIT_MS = 50


@dataclass
class KafkaStream:
    """Consumers over the topics of one prefix; with ``relays``, the relay from the database's log to them too."""

    database: Database
    consumers: Sequence[Consumer]
    settings: KafkaSettings
    relays: bool = True

    def __post_init__(self) -> None:
        self.conditions = {"broker": Condition("broker"), **{one.name: Condition() for one in self.consumers}}
        self._relay = Relay(self.database, self.settings)
        if self.relays:
            self.conditions[RELAY] = self._relay.condition
        self._identity: str | None = None
        self._handled = 0
        self._running = 0
        self._telling: dict[str, asyncio.Task[None]] = {}  #: acknowledgements under way, by consumer

    async def run(self) -> None:
        """Deliver for ever; a broker or database that is away is waited for. Raises InvalidSecurity."""
        connection(self.settings)
        # The client tells of a broker that is away many times a second; the conditions and our own log tell it once.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        self._running += 1
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._consume_always(), name="kafka consumers")
                if self.relays:
                    group.create_task(self._relay.run(), name="kafka relay")
        finally:
            self._running -= 1

    async def settle(self) -> int:
        """Return when every consumer has handled all that the log holds; the events that this process handled.

        A stream that does not run yet runs meanwhile.
        """
        before = self._handled
        if self._running:
            await self._settled()
            return self._handled - before
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self.run())
            await self._settled()
            running.cancel()
        return self._handled - before

    async def lag(self) -> dict[str, int]:
        """How many records each consumer has yet to handle."""
        async with self.database.read() as reader:
            return await behind(reader, self.consumers)

    async def _settled(self) -> None:
        while True:
            ticket = self.database.appended.ticket()
            if not any((await self._despite_outages(lambda reader: behind(reader, self.consumers))).values()):
                return
            await woken(ticket, _LOOK_AGAIN_S)

    async def _consume_always(self) -> None:
        """Start the consumers, again after each failure: FastStream itself gives up when there is no broker."""
        condition, attempt = self.conditions["broker"], 0
        while True:
            broker = self._broker()
            # Until it has started: a client whose broker goes away meanwhile waits in there, without a word.
            condition.waiting_for = "broker"
            try:
                await provision(self.settings)
                await broker.start()
                attempt = 0
                while True:
                    condition.waiting_for = None if await broker.ping(_PING_EVERY_S) else "broker"
                    await asyncio.sleep(_PING_EVERY_S)
            except (KafkaError, BrokerAway, OSError) as error:
                condition.waiting_for = "broker"
                log.warning("broker.away", error=str(error))
                await asyncio.sleep(pause_s(attempt))
                attempt += 1
            finally:
                await asyncio.gather(*self._telling.values(), return_exceptions=True)
                self._telling.clear()
                await broker.stop()

    def _broker(self) -> KafkaBroker:
        broker = KafkaBroker(
            list(self.settings.bootstrap_servers),
            client_id="courseline",
            security=_security(self.settings),
            allow_auto_create_topics=False,
            graceful_timeout=5,
            logger=None,
        )
        for consumer in self.consumers:
            self._subscribe(broker, consumer)
        return broker

    def _subscribe(self, broker: KafkaBroker, consumer: Consumer) -> None:
        delivery = Delivery(self.database, consumer, self.conditions[consumer.name])

        async def parse(records: tuple[Any, ...]) -> KafkaAckableMessage:
            # The framework's own parser raises on headers that are no UTF-8, and the batch would be skipped.
            reader: Any = subscriber.consumer
            return KafkaAckableMessage(raw_message=records, body=b"", consumer=reader)

        subscriber = broker.subscriber(
            *(self.settings.topic(topic.name) for topic in consumer.topics),
            group_id=f"{self.settings.topic_prefix}{consumer.name}",
            batch=True,
            max_records=consumer.batch,
            batch_timeout_ms=20,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            ack_policy=AckPolicy.MANUAL,
            max_poll_interval_ms=_MAX_POLL_MS,
            listener=_FromStoredOffsets(self, consumer, lambda: subscriber.consumer),
            parser=parse,
            decoder=_as_it_is,
        )

        @subscriber
        async def consume(message: KafkaMessage) -> None:
            batch: Any = message.raw_message
            try:
                records = await self._records(batch)
                if records:
                    self._handled += (await delivery.deliver([decode(record) for record in records])).handled
            except Exception as error:
                # Nothing may be passed over: the next acknowledgement would commit past it.
                delivery.condition.waiting_for = "repair"
                log.error("delivery.stuck", consumer=consumer.name, error=f"{type(error).__name__}: {error}"[:500])
                await asyncio.sleep(random.uniform(1, 3))  # noqa: S311
                with contextlib.suppress(IllegalStateError):
                    await message.nack()
                return
            await self._acknowledge(consumer, message)

    async def _acknowledge(self, consumer: Consumer, message: KafkaMessage) -> None:
        """Tell the broker what is handled, beside the next batch: it is the database that knows."""

        async def tell() -> None:
            try:
                await message.ack()
            except KafkaError as error:
                # The partitions have gone to another member.
                log.info("offset.not_committed", consumer=consumer.name, error=type(error).__name__)

        if (before := self._telling.get(consumer.name)) is not None:
            await before
        self._telling[consumer.name] = asyncio.create_task(tell())

    async def _records(self, batch: Sequence[Any]) -> list[Record]:
        """What came, without what another log's relay left on a topic of the same name."""
        if self._identity is None:
            self._identity = await self._despite_outages(identity)
        return [
            Record(
                one.topic.removeprefix(self.settings.topic_prefix),
                one.partition,
                position,
                one.offset,
                one.value or b"",
            )
            for one in batch
            if (position := _position(one, self._identity)) is not None
        ]

    async def _despite_outages(self, read: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async def attempt() -> T:
            async with self.database.read() as reader:
                return await read(reader)

        return await despite_outages(attempt, who="stream")

    async def stored_offsets(self, consumer: Consumer, assigned: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Where to read each partition from, once what the embedded stream had handled is marked on it too."""

        async def read() -> dict[TopicPartition, int]:
            async with self.database.write() as uow:
                return await _take_over(uow, consumer, self.settings, assigned)

        condition = self.conditions[consumer.name]
        offsets = await despite_outages(read, who=f"consumer {consumer.name}", on_outage=condition.wait_for_database)
        if condition.waiting_for == "database":
            condition.waiting_for = None
        return offsets


class _FromStoredOffsets(ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads each newly assigned partition from where the database says that it was handled to."""

    def __init__(self, stream: KafkaStream, consumer: Consumer, client: Callable[[], Any]) -> None:
        self._stream = stream
        self._consumer = consumer
        self._client = client

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Whoever reads them next starts at the stored offset, and the fence stops a batch that is still under way."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        offsets = await self._stream.stored_offsets(self._consumer, sorted(assigned))
        for partition, offset in offsets.items():
            with contextlib.suppress(IllegalStateError):  # taken away again meanwhile
                self._client().seek(partition, offset)


async def _take_over(
    uow: UnitOfWork, consumer: Consumer, settings: KafkaSettings, assigned: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    table = tables.positions
    own = table.c.consumer == consumer.name
    rows = (await uow.connection.execute(select(table).where(own).with_for_update())).all()
    known = {(row.topic, row.partition): row for row in rows}
    offsets, raised = {}, []
    for partition in assigned:
        topic = partition.topic.removeprefix(settings.topic_prefix)
        row, whole = known.get((topic, partition.partition)), known.get((topic, WHOLE))
        offsets[partition] = row.offset if row else 0
        if whole and whole.position > (row.position if row else 0):
            raised.append(
                {
                    "consumer": consumer.name,
                    "topic": topic,
                    "partition": partition.partition,
                    "position": whole.position,
                    "offset": offsets[partition],
                    "updated_at": uow.now,
                }
            )
    await uow.upsert(table, raised, replace=("position",))
    return offsets


def _position(record: Any, own_log: str | None) -> int | None:
    """The record's position in our log; a negative one for what others sent; None for what is another log's."""
    log_, position = None, b""
    for name, value in record.headers:
        if name == "log":
            log_ = value
        elif name == "position":
            position = value
    if log_ is None:
        return -(int(record.offset) + 1)
    if log_.decode(errors="replace") != own_log:
        return None
    try:
        return int(position)
    except ValueError:
        return -(int(record.offset) + 1)


async def _as_it_is(message: Any) -> Any:
    return message.raw_message


def _security(settings: KafkaSettings) -> BaseSecurity | None:
    arguments = connection(settings)
    context = arguments.get("ssl_context")
    if "sasl_mechanism" in arguments:
        return _SASL[arguments["sasl_mechanism"]](
            arguments["sasl_plain_username"], arguments["sasl_plain_password"], ssl_context=context
        )
    return BaseSecurity(ssl_context=context) if context else None
