"""Stored entries of project boards: what they come to for single items."""

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import select

from schemas.boards import BoardItem
from schemas.work import WorkItem
from services.ingest.overlay import Shown, together
from services.storage import tables
from services.storage.unit_of_work import UnitOfWork

ENTRY: msgspec.json.Decoder[BoardItem] = msgspec.json.Decoder(BoardItem)


async def shown_of(uow: UnitOfWork, items: Iterable[WorkItem]) -> dict[str, Shown]:
    """What boards say of these items of one source, by uid; nothing for one that is on no board.

    An entry of which only the key was known finds its item here, and keeps to it.
    """
    by_key = {item.key: item for item in items}
    if not by_key:
        return {}
    source = next(iter(by_key.values())).source
    boards = tables.boards
    # entries stay as they are until this transaction ends; a board that is being stored goes first or waits
    known = select(boards.c.board).where(boards.c.source == source).with_for_update(read=True)
    if (await uow.connection.execute(known)).first() is None:
        return {}
    pulls = {item.key: item.uid for item in by_key.values() if item.kind == "pull_request"}
    await adopt(uow, source, pulls)
    return await shown_to(uow, source, [item.uid for item in by_key.values()])


async def held(uow: UnitOfWork, source: str, board: str) -> Any:
    """The condition that names a board's entries, after it was locked against all who look at them."""
    boards, table = tables.boards, tables.board_items
    mine = (boards.c.source == source) & (boards.c.board == board)
    await uow.connection.execute(select(boards.c.board).where(mine).with_for_update())
    return (table.c.source == source) & (table.c.board == board)


async def shown_to(uow: UnitOfWork, source: str, uids: Iterable[str]) -> dict[str, Shown]:
    """What boards say of items by their uids."""
    boards, table = tables.boards, tables.board_items
    query = (
        select(table.c.item, table.c.content, boards.c.place)
        .join(boards, (boards.c.source == table.c.source) & (boards.c.board == table.c.board))
        .where((table.c.source == source) & uow.among(table.c.item, sorted(set(uids))))
    )
    entries: dict[str, list[tuple[int, BoardItem]]] = {}
    for row in await uow.connection.execute(query):
        entries.setdefault(row.item, []).append((row.place, ENTRY.decode(row.content)))
    return {uid: together(found) for uid, found in entries.items()}


async def adopt(uow: UnitOfWork, source: str, uids: dict[str, str]) -> None:
    """Tie entries that only have a key to the items, given by their keys."""
    if not uids:
        return
    table = tables.board_items
    waiting = select(table.c.key).where(
        (table.c.source == source) & table.c.item.is_(None) & uow.among(table.c.key, sorted(uids))
    )
    for key in sorted(set((await uow.connection.execute(waiting)).scalars())):
        mine: Any = (table.c.source == source) & table.c.item.is_(None) & (table.c.key == key)
        await uow.connection.execute(table.update().where(mine).values(item=uids[key]))
