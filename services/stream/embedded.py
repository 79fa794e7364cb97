"""The embedded stream: consumers read the log table itself. One machine, no broker, the same handlers.

A local durable log, not Kafka: one partition a topic, all consumers in as many processes as you like, but only one
of them makes progress on a topic at a time.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from services.storage.database import Database, woken
from services.storage.outages import despite_outages
from services.stream.delivery import Condition, Consumer, Delivery, Record, decode
from services.stream.log import lag, positions_of, read_after

#: How long a reader waits before it looks for what other processes wrote; its own process wakes it at once.
_LOOK_AGAIN_S = 0.5


@dataclass
class EmbeddedStream:
    """All consumers over one database's log."""

    database: Database
    consumers: Sequence[Consumer]

    def __post_init__(self) -> None:
        self.conditions = {consumer.name: Condition() for consumer in self.consumers}

    async def run(self) -> None:
        """Deliver for ever."""
        async with asyncio.TaskGroup() as group:
            for consumer in self.consumers:
                group.create_task(self._follow(consumer), name=f"consumer {consumer.name}")

    async def settle(self) -> int:
        """Deliver until every consumer is at the end of the log and caused nothing new; the events handled."""
        total = 0
        while True:
            handled = 0
            for consumer in self.consumers:
                handled += await self._catch_up(consumer)
            total += handled
            if not handled:
                return total

    async def lag(self) -> dict[str, int]:
        """How many records each consumer has yet to handle."""
        async with self.database.read() as connection:
            return await lag(connection, self.consumers)

    async def _follow(self, consumer: Consumer) -> None:
        while True:
            ticket = self.database.appended.ticket()
            if not await self._catch_up(consumer):
                await woken(ticket, _LOOK_AGAIN_S)

    async def _catch_up(self, consumer: Consumer) -> int:
        """Deliver until there is nothing left; the number of records."""
        condition, total = self.conditions[consumer.name], 0
        while batch := await self._read(consumer):
            await Delivery(self.database, consumer, condition).deliver([decode(record) for record in batch])
            total += len(batch)
        condition.waiting_for = None
        return total

    async def _read(self, consumer: Consumer) -> list[Record]:
        """The next records after where the consumer stands."""

        async def read() -> list[Record]:
            async with self.database.read() as connection:
                return await read_after(connection, await positions_of(connection, consumer), consumer.batch)

        wait = self.conditions[consumer.name].wait_for_database
        return await despite_outages(read, who=f"consumer {consumer.name}", on_outage=wait)
