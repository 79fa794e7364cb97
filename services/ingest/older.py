"""Answers older than what is stored: a replica that lags is not believed, a tracker restored from a backup is."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select

from services.storage import tables
from services.storage.unit_of_work import UnitOfWork

#: So many equal answers over so long a time: no replica lags like that.
READS = 3
OVER = timedelta(minutes=10)


async def agreed(uow: UnitOfWork, source: str, older: Mapping[str, bytes]) -> set[str]:
    """Of items (with their fingerprints) that were answered as older than stored, those that are now to be believed.

    Each call is one read. An answer that differs from the one before begins anew.
    """
    if not older:
        return set()
    table = tables.older_answers
    known = {row.uid: row for row in await uow.connection.execute(select(table).where(table.c.uid.in_(sorted(older))))}
    believed, rows = set[str](), list[dict[str, Any]]()
    for uid, digest in older.items():
        row = known.get(uid)
        same = row is not None and row.hash == digest
        reads, first_at = (row.reads + 1, row.first_at) if row is not None and same else (1, uow.now)
        if reads >= READS and uow.now - first_at >= OVER:
            believed.add(uid)
        rows.append({"uid": uid, "source": source, "hash": digest, "reads": reads, "first_at": first_at})
    await uow.upsert(table, rows, replace=("hash", "reads", "first_at"))
    await settled(uow, believed)
    return believed


async def settled(uow: UnitOfWork, uids: Collection[str]) -> None:
    """Nothing is doubted about these items any more."""
    if uids:
        await uow.connection.execute(delete(tables.older_answers).where(tables.older_answers.c.uid.in_(sorted(uids))))
