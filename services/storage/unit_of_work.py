"""One transaction: projections, the mark "handled" and the events they cause, all or nothing."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ARRAY, ColumnElement, String, Table, and_, any_, bindparam, func, select, text
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
    appended: bool = False  #: the log grew already, by other means than `emit`

    def emit(self, data: EventData, *, event_id: str | None = None) -> wire.Event:
        """Say what happened; it reaches the log when the transaction commits."""
        event = wire.an_event(data, at=self.now, event_id=event_id)
        self.pending.append(event)
        return event

    async def upsert(self, table: Table, rows: Sequence[Mapping[str, Any]], *, replace: Iterable[str] = ()) -> None:
        """Insert the rows; where the key is taken, replace these columns (none: leave the row as it is)."""
        if rows:
            await self.connection.execute(self._insert(table, dict.fromkeys(replace, "replace")), list(rows))

    async def accumulate(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add the rows' amounts (all columns beside the key) to what is there; what comes to nought is deleted.

        Give the rows in the order of their keys, so that writers side by side never wait for each other in a ring.
        """
        if not rows:
            return
        key = list(table.primary_key.columns)
        amounts = [column for column in table.columns if not column.primary_key]
        statement = self._insert(table, {column.name: "add" for column in amounts})
        totals = await self.connection.execute(statement.returning(*key, *amounts), list(rows))
        spent = [row for row in totals if not any(row[len(key) :])]
        if spent:
            condition = and_(*(column == bindparam(f"key_{column.name}") for column in key))
            values = [{f"key_{column.name}": row[index] for index, column in enumerate(key)} for row in spent]
            await self.connection.execute(table.delete().where(condition), values)

    def among(self, column: ColumnElement[str], values: Collection[str]) -> ColumnElement[bool]:
        """That the column has one of these values, however many, as one parameter."""
        if self.connection.dialect.name == "sqlite":
            given = func.json_each(bindparam(None, json.dumps(list(values)), unique=True)).table_valued("value")
            return column.in_(select(given.c.value))
        return column == any_(bindparam(None, list(values), type_=ARRAY(String), unique=True))

    def _insert(self, table: Table, changes: Mapping[str, Literal["replace", "add"]]) -> Any:
        insert: Any = sqlite_insert if self.connection.dialect.name == "sqlite" else postgresql_insert
        statement = insert(table)
        new = {
            name: statement.excluded[name] if what == "replace" else table.c[name] + statement.excluded[name]
            for name, what in changes.items()
        }
        key = list(table.primary_key.columns)
        if not new:
            return statement.on_conflict_do_nothing(index_elements=key)
        return statement.on_conflict_do_update(index_elements=key, set_=new)


async def append(connection: AsyncConnection, pending: Sequence[wire.Event]) -> bool:
    """Write events to the log, in order; True if there were any."""
    await append_rows(
        connection,
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
    return bool(pending)


async def append_rows(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows to the log as they are. Append last: on PostgreSQL the log is locked until the commit."""
    if not rows:
        return
    await lock_log(connection)
    await connection.execute(tables.log.insert(), list(rows))


async def lock_log(connection: AsyncConnection) -> None:
    """Hold the log (and the dead letters, which are read by number too) until the commit."""
    if connection.dialect.name == "postgresql":
        # Numbers are given before commit; without the lock a reader could pass one that commits later.
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _APPEND_LOCK})
