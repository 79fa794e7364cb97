"""One transaction: projections, the mark "handled" and the events they cause, all or nothing."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ARRAY, BigInteger, Column, ColumnElement, Table, Text, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas import wire
from schemas.events import EventData
from services.storage import tables
from services.storage.bulk import Rows, delete_rows, insert_rows, rows_of

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

    async def insert(self, table: Table, rows: Rows) -> None:
        """Insert the rows, none of whose keys is taken."""
        await insert_rows(self.connection, table, rows)

    async def delete(self, table: Table, rows: Rows) -> None:
        """Delete what equals any of these rows in the columns that they name."""
        await delete_rows(self.connection, table, rows)

    async def upsert(
        self, table: Table, rows: Rows | Sequence[Mapping[str, Any]], *, replace: Iterable[str] = ()
    ) -> None:
        """Insert the rows; where the key is taken, replace these columns (none: leave the row as it is)."""
        rows = rows if isinstance(rows, Rows) else rows_of(rows)
        await insert_rows(self.connection, table, rows, dict.fromkeys(replace, "replace"))

    async def accumulate(self, table: Table, amounts: Mapping[tuple[Any, ...], tuple[int, ...]]) -> None:
        """Add amounts (all columns beside the key) by key to what is there; what comes to nought is deleted.

        In the order of the keys, so that writers side by side never wait for each other in a ring.
        """
        key = [column.name for column in table.columns if column.primary_key]
        added = [column.name for column in table.columns if not column.primary_key]
        nought = (0,) * len(added)
        changed = sorted([(taken, change) for taken, change in amounts.items() if any(change)])
        names = (*key, *added)
        rows = Rows(names, [(*taken, *change) for taken, change in changed])
        await insert_rows(self.connection, table, rows, dict.fromkeys(added, "add"))
        await delete_rows(self.connection, table, Rows(names, [(*taken, *nought) for taken, _ in changed]))

    def among(self, column: ColumnElement[str], values: Collection[str]) -> ColumnElement[bool]:
        """That the column has one of these values, however many, as one parameter."""
        if self.connection.dialect.name == "sqlite":
            listed = func.json_each(
                bindparam(None, msgspec.json.encode(list(values)).decode(), unique=True)
            ).table_valued("value")
            return column.in_(select(listed.c.value))
        # A table to join with: a plan made once for any array may compare every row with every value.
        return column.in_(select(func.unnest(bindparam(None, list(values), type_=ARRAY(Text), unique=True))))

    async def others(self, key: Column[str], number: ColumnElement[int], expected: Mapping[str, int]) -> set[str]:
        """Those of the keys whose row has another number than expected, or that have no row."""
        if not expected:
            return set()
        given: Any
        if self.connection.dialect.name == "sqlite":
            pairs = msgspec.json.encode(expected).decode()
            given = func.json_each(bindparam(None, pairs, unique=True)).table_valued("key", "value")
            name, wanted = given.c.key, given.c.value
        else:
            names = bindparam(None, list(expected), type_=ARRAY(Text()), unique=True)
            numbers = bindparam(None, list(expected.values()), type_=ARRAY(BigInteger()), unique=True)
            given = func.unnest(names, numbers).table_valued("name", "wanted").render_derived(name="expected")
            name, wanted = given.c.name, given.c.wanted
        met = given.join(key.table, (key == name) & (number == wanted))
        # As a rule all do, and their number is found sooner than their names.
        count = (await self.connection.execute(select(func.count()).select_from(met))).scalar_one()
        if count == len(expected):
            return set()
        return expected.keys() - {
            row.name for row in await self.connection.execute(select(key.label("name")).select_from(met))
        }


_LOG = ("id", "topic", "key", "type", "time", "value")


async def append(connection: AsyncConnection, pending: Sequence[wire.Event]) -> bool:
    """Write events to the log, in order; True if there were any."""
    rows = [(one.id, one.topic.name, one.key, one.type, one.time, wire.encode(one)) for one in pending]
    await append_rows(connection, Rows(_LOG, rows))
    return bool(pending)


async def append_rows(connection: AsyncConnection, rows: Rows) -> None:
    """Write rows to the log as they are. Append last: on PostgreSQL the log is locked until the commit."""
    if not rows.values:
        return
    await lock_log(connection)
    await insert_rows(connection, tables.log, rows)


async def lock_log(connection: AsyncConnection) -> None:
    """Hold the log (and the dead letters, which are read by number too) until the commit."""
    if connection.dialect.name == "postgresql":
        # Numbers are given before commit; without the lock a reader could pass one that commits later.
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _APPEND_LOCK})
