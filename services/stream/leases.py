"""Leases: of several processes that could do a thing, one does it, until it stops saying that it lives."""

from datetime import timedelta

from sqlalchemy import select

from services.storage import tables
from services.storage.database import Database


async def hold(database: Database, name: str, holder: str, lasts: timedelta) -> bool:
    """Take or prolong a lease; False while another holder's has not run out."""
    table = tables.leases
    async with database.write() as uow:
        await uow.upsert(table, [{"name": name, "holder": holder, "until": uow.now}])
        row = (await uow.connection.execute(select(table).where(table.c.name == name).with_for_update())).one()
        if row.holder != holder and row.until > uow.now:
            return False
        await uow.connection.execute(
            table.update().where(table.c.name == name).values(holder=holder, until=uow.now + lasts)
        )
    return True


async def release(database: Database, name: str, holder: str) -> None:
    """Give a lease back, so that the next holder need not wait for it to run out."""
    table = tables.leases
    async with database.write() as uow:
        await uow.connection.execute(table.delete().where((table.c.name == name) & (table.c.holder == holder)))
