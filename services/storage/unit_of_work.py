"""One transaction: projections, the mark "handled" and the events they cause, all or nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Table, and_, bindparam, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas import wire
from schemas.events import EventData
from services.storage import tables

#: Any constant will do; it names the lock under which the log grows.
_APPEND_LOCK = 0x6C6F67


@dataclass
class UnitOfWork:
    """A transaction in progress and the events it will leave in the log."""

    connection: AsyncConnection
    now: datetime
    pending: list[wire.Event] = field(default_factory=list)

    def emit(self, data: EventData, *, event_id: str | None = None) -> wire.Event:
        """Say what happened; it reaches the log when the transaction commits."""
        event = wire.an_event(data, at=self.now, event_id=event_id)
        self.pending.append(event)
        return event

    async def upsert(
        self, table: Table, rows: Sequence[Mapping[str, Any]], *, replace: Iterable[str] = (), add: Iterable[str] = ()
    ) -> None:
        """Insert the rows; where the key is taken, replace some columns and add to others."""
        if not rows:
            return
        insert: Any = sqlite_insert if self.connection.dialect.name == "sqlite" else postgresql_insert
        statement = insert(table)
        changes = {name: statement.excluded[name] for name in replace}
        changes |= {name: table.c[name] + statement.excluded[name] for name in add}
        key = list(table.primary_key.columns)
        statement = (
            statement.on_conflict_do_update(index_elements=key, set_=changes)
            if changes
            else statement.on_conflict_do_nothing(index_elements=key)
        )
        await self.connection.execute(statement, list(rows))

    async def drop_zeros(self, table: Table, keys: Sequence[Mapping[str, Any]], amounts: Sequence[str]) -> None:
        """Delete those of the keyed rows whose amounts are all nought, so that no trace of a detour remains."""
        if not keys:
            return
        condition = and_(
            *(column == bindparam(f"key_{column.name}") for column in table.primary_key.columns),
            *(table.c[name] == 0 for name in amounts),
        )
        await self.connection.execute(
            table.delete().where(condition), [{f"key_{name}": value for name, value in key.items()} for key in keys]
        )


async def append(connection: AsyncConnection, pending: Sequence[wire.Event]) -> bool:
    """Write events to the log, in order; True if there were any."""
    if not pending:
        return False
    if connection.dialect.name == "postgresql":
        # Positions are given before commit; without the lock a reader could pass one that commits later.
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _APPEND_LOCK})
    await connection.execute(
        tables.log.insert(),
        [
            {
                "id": event.id,
                "topic": event.topic.name,
                "key": event.key,
                "type": event.type,
                "time": event.time,
                "value": wire.encode(event),
            }
            for event in pending
        ],
    )
    return True
