"""Findings become deliveries in the transaction that hears of them; a sender brings each to its channel.

What people acknowledged or snoozed is noted as well, as held back, and stays so.

A delivery is unique for an event and a channel, so a redelivered event tells nobody twice. A crash between sending
and marking may send a message again, with the same id.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import select

from schemas import wire
from schemas.events import DecisionRecorded, FindingClosed, FindingEased, FindingOpened, FindingWorsened
from services.alert.attention import delivery, hear, hear_decision, wake
from services.alert.channels import Channel, Message, Undelivered
from services.alert.policy import channels_for, is_told
from services.ledger.strategies import current_strategy
from services.storage import tables
from services.storage.database import Database
from services.storage.outages import despite_outages
from services.storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)
#: Seconds before each further try; then the delivery has failed.
SCHEDULE = (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
_AT_ONCE = 20
_LOOK_AGAIN_S = 1.0


@dataclass(frozen=True)
class Alerter:
    """The alert stage's consumer: which channels are to hear of which finding."""

    channels: Mapping[str, Channel]

    async def handle(self, uow: UnitOfWork, events: Sequence[wire.Event]) -> None:
        """Note a delivery for every channel that is to be told."""
        strategy = await current_strategy(uow.connection)
        rows: list[dict[str, Any]] = []
        for event in events:
            happened = event.data
            if isinstance(happened, DecisionRecorded):
                await hear_decision(uow, event.id, happened)
            if not isinstance(happened, FindingOpened | FindingWorsened | FindingEased | FindingClosed):
                continue
            held = await hear(uow, event, happened)
            if not is_told(happened):
                continue
            told = channels_for(happened.finding, strategy.file if strategy else None, self.channels)
            rows += [delivery(uow, event, happened.finding.id, channel, held=held) for channel in told]
        await uow.upsert(tables.deliveries, rows)
        uow.appended = uow.appended or bool(rows)


@dataclass(frozen=True)
class Sender:
    """Brings pending deliveries to their channels."""

    database: Database
    channels: Mapping[str, Channel]

    async def run(self) -> None:
        """Send for ever."""
        while True:
            if not await despite_outages(self.drain, who="sender"):
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def drain(self) -> int:
        """Send what is due; how many were tried. What a snooze that ended held back is due."""
        await wake(self.database, self.channels)
        table = tables.deliveries.c
        async with self.database.read() as connection:
            due = (table.state == "pending") & (table.next_at <= self.database.now())
            statement = select(tables.deliveries).where(due).order_by(table.next_at, table.id).limit(_AT_ONCE)
            rows = (await connection.execute(statement)).all()
        for row in rows:
            await self._deliver(row)
        return len(rows)

    async def _deliver(self, row: Any) -> None:
        channel = self.channels.get(row.channel)
        data: Any = wire.decode(row.content).data
        try:
            if channel is None:
                raise Undelivered("the channel is no longer configured", final=True)
            await channel.send(Message(row.id, data, row.content))
        except Undelivered as error:
            await self._postpone(row, error)
        else:
            await self._mark(row.id, state="sent", sent_at=self.database.now(), attempts=row.attempts + 1, error=None)

    async def _postpone(self, row: Any, error: Undelivered) -> None:
        attempts = row.attempts + 1
        over = error.final or attempts >= len(SCHEDULE)
        wait = 0.0 if over else max(SCHEDULE[attempts], error.wait_s or 0)
        log.warning("alert.undelivered", channel=row.channel, id=row.id, error=str(error), attempts=attempts)
        await self._mark(
            row.id,
            state="failed" if over else "pending",
            attempts=attempts,
            error=str(error),
            next_at=self.database.now() + timedelta(seconds=wait),
        )

    async def _mark(self, delivery: str, **values: Any) -> None:
        async with self.database.write() as uow:
            table = tables.deliveries
            await uow.connection.execute(table.update().where(table.c.id == delivery).values(**values))
