"""Project boards of a source: read in each pass, and laid over the items that are stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import select

from connectors.base import Board, Connector
from schemas.boards import BoardItem
from schemas.events import WorkItemChanged
from schemas.work import Gap, WorkItem
from services.ingest.apply import (
    LEFT,
    Applied,
    apply_milestones,
    close_gap,
    item_row,
    open_gaps,
    store_items,
    stored_items,
)
from services.ingest.board_entries import ENTRY, adopt, held, shown_to
from services.ingest.observe import changed_fields, fingerprint, observed
from services.ingest.overlay import overlaid, plain, recounted
from services.storage import tables
from services.storage.database import Database
from services.storage.outages import despite_outages
from services.storage.unit_of_work import UnitOfWork

_ITEM: msgspec.json.Decoder[WorkItem] = msgspec.json.Decoder(WorkItem)
_ENCODER = msgspec.json.Encoder(order="deterministic")
_CHUNK = 500
#: The fields of an item that boards may change.
_SHOWN = ("fields", "team", "estimate_points", "milestones", "status")


@dataclass
class _Touched:
    """Items whose entries changed, and when: as the board dates it, or now where it does not."""

    at: dict[str, datetime] = field(default_factory=dict)
    status_at: dict[str, datetime] = field(default_factory=dict)

    def note(self, old: BoardItem | None, new: BoardItem | None, uid: str, now: datetime) -> None:
        told = new.updated_at if new is not None else None
        fresh = old is None or old.updated_at is None or (told is not None and told > old.updated_at)
        at = min(told, now) if told is not None and fresh else now
        self.at[uid] = max(at, self.at.get(uid, at))
        chosen = new.status_at if new is not None else None
        if chosen is not None and (old is None or chosen != old.status_at):
            self.status_at[uid] = min(chosen, now)

    def of(self, uid: str) -> dict[str, datetime]:
        dated = dict.fromkeys(_SHOWN, self.at[uid])
        return dated | ({"status": self.status_at[uid]} if uid in self.status_at else {})


class BoardReader:
    """The boards of one source, in one pass."""

    def __init__(self, database: Database, connector: Connector) -> None:
        self._database = database
        self._connector = connector
        self._source = connector.source
        self._who = f"source {connector.source}"
        self.gaps: list[Gap] = []

    async def read(self) -> Applied:
        """Read every board and store what differs. Raises what the connector raises."""
        known = await despite_outages(self._known, who=self._who)
        boards = await self._connector.boards({name: content for name, (_, content) in known.items()})
        applied = Applied()
        names = [board.name for board in boards]
        for name in known.keys() - set(names):
            applied += await self._forget(name)
        for place, board in enumerate(boards):
            if board.name in known and known[board.name][0] != place:
                applied += await despite_outages(partial(self._replace, board.name, place), who=self._who)
            applied += await self._store(board, place)
            self.gaps += [board.gap] if board.gap is not None else []
        return applied

    async def _known(self) -> dict[str, tuple[int, bytes]]:
        table = tables.boards
        async with self._database.read() as connection:
            rows = await connection.execute(select(table).where(table.c.source == self._source))
            return {row.board: (row.place, bytes(row.content)) for row in rows}

    # -- one board ---------------------------------------------------------------------------------------------

    async def _store(self, board: Board, place: int) -> Applied:
        if board.items is None:
            await despite_outages(partial(self._end, board, place), who=self._who)
            return Applied()
        applied = Applied()
        await despite_outages(partial(self._begin, board, place), who=self._who)
        stored = await despite_outages(partial(self._stored, board.name), who=self._who)
        changed = [one for one in board.items if stored.get(one.id) != _ENCODER.encode(one)]
        for start in range(0, len(changed), _CHUNK):
            entries = changed[start : start + _CHUNK]
            applied += await despite_outages(partial(self._set, board.name, entries), who=self._who)
        if board.complete:
            gone = stored.keys() - {one.id for one in board.items} - set(board.unseen)
            applied += await self._remove_all(board.name, sorted(gone))
        await despite_outages(partial(self._end, board, place), who=self._who)
        return applied

    async def _stored(self, name: str) -> dict[str, bytes]:
        table = tables.board_items
        async with self._database.read() as connection:
            mine = (table.c.source == self._source) & (table.c.board == name)
            rows = await connection.execute(select(table.c.entry, table.c.content).where(mine))
            return {row.entry: bytes(row.content) for row in rows}

    async def _begin(self, board: Board, place: int) -> None:
        """The board is known, and its iterations are, before any item names them."""
        async with self._database.write() as uow:
            row = {"source": self._source, "board": board.name, "place": place, "content": b"{}", "read_at": None}
            await uow.upsert(tables.boards, [row])
            await apply_milestones(uow, board.milestones)

    async def _end(self, board: Board, place: int) -> None:
        async with self._database.write() as uow:
            if board.items is not None:
                row = {
                    "source": self._source,
                    "board": board.name,
                    "place": place,
                    "content": bytes(board.known),
                    "read_at": uow.now,
                }
                await uow.upsert(tables.boards, [row], replace=("place", "content", "read_at"))
            if board.gap is not None:
                await open_gaps(uow, (board.gap,))
            elif board.complete:
                await close_gap(uow, self._source, gap_name(board.name))

    async def _set(self, name: str, entries: Sequence[BoardItem]) -> Applied:
        table = tables.board_items
        async with self._database.write() as uow:
            mine = await held(uow, self._source, name)
            query = select(table.c.entry, table.c.item, table.c.content).where(
                mine & uow.among(table.c.entry, sorted(one.id for one in entries))
            )
            known = {row.entry: row for row in await uow.connection.execute(query)}
            touched, rows, keys = _Touched(), list[dict[str, Any]](), set[str]()
            for one in entries:
                row, content = known.get(one.id), _ENCODER.encode(one)
                if row is not None and bytes(row.content) == content:
                    continue
                old = ENTRY.decode(row.content) if row is not None else None
                uid = one.uid or (row.item if row is not None else None)  # a pull request never is another one
                if uid is None:
                    keys.add(one.key)
                if row is not None and row.item is not None and row.item != uid:
                    touched.note(old, None, row.item, uow.now)
                rows.append(
                    {"source": self._source, "board": name, "entry": one.id, "item": uid, "key": one.key,
                     "content": content}
                )  # fmt: skip
                if uid is not None:
                    touched.note(old, one, uid, uow.now)
            await uow.upsert(table, rows, replace=("item", "key", "content"))
            for uid, one in (await self._named(uow, name, keys)).items():
                touched.note(None, one, uid, uow.now)
            return await self._lay_over(uow, touched)

    async def _named(self, uow: UnitOfWork, name: str, keys: set[str]) -> dict[str, BoardItem]:
        """The stored pull requests that entries name by their keys only, with the entry of each."""
        if not keys:
            return {}
        items, table = tables.items, tables.board_items
        query = select(items.c.key, items.c.uid).where(
            (items.c.source == self._source) & (items.c.kind == "pull_request") & uow.among(items.c.key, sorted(keys))
        )
        uids = {row.key: row.uid for row in await uow.connection.execute(query)}
        await adopt(uow, self._source, uids)
        mine = (table.c.source == self._source) & (table.c.board == name) & uow.among(table.c.item, uids.values())
        rows = await uow.connection.execute(select(table.c.item, table.c.content).where(mine))
        return {row.item: ENTRY.decode(row.content) for row in rows}

    async def _remove_all(self, name: str, gone: Sequence[str]) -> Applied:
        applied = Applied()
        for start in range(0, len(gone), _CHUNK):
            entries = gone[start : start + _CHUNK]
            applied += await despite_outages(partial(self._remove, name, entries), who=self._who)
        return applied

    async def _remove(self, name: str, gone: Sequence[str]) -> Applied:
        table = tables.board_items
        async with self._database.write() as uow:
            mine = await held(uow, self._source, name) & uow.among(table.c.entry, gone)
            rows = list(await uow.connection.execute(select(table.c.item, table.c.content).where(mine)))
            await uow.connection.execute(table.delete().where(mine))
            touched = _Touched()
            for row in rows:
                if row.item is not None:
                    touched.note(ENTRY.decode(row.content), None, row.item, uow.now)
            return await self._lay_over(uow, touched)

    # -- boards that come, go and change places ----------------------------------------------------------------

    async def _forget(self, name: str) -> Applied:
        """A board that is not configured any more says nothing."""
        boards = tables.boards
        gone = await despite_outages(partial(self._stored, name), who=self._who)
        applied = await self._remove_all(name, sorted(gone))

        async def forget() -> None:
            async with self._database.write() as uow:
                await close_gap(uow, self._source, gap_name(name))
                mine = (boards.c.source == self._source) & (boards.c.board == name)
                await uow.connection.execute(boards.delete().where(mine))

        await despite_outages(forget, who=self._who)
        return applied

    async def _replace(self, name: str, place: int) -> Applied:
        """The configured order changed: what stands first may be another board's now."""
        boards, table = tables.boards, tables.board_items
        async with self._database.write() as uow:
            entries = await held(uow, self._source, name)
            mine = (boards.c.source == self._source) & (boards.c.board == name)
            await uow.connection.execute(boards.update().where(mine).values(place=place))
            query = select(table.c.item).where(entries & table.c.item.is_not(None))
            touched = _Touched(dict.fromkeys((await uow.connection.execute(query)).scalars(), uow.now))
            return await self._lay_over(uow, touched)

    # -- items -------------------------------------------------------------------------------------------------

    async def _lay_over(self, uow: UnitOfWork, touched: _Touched) -> Applied:
        """Set items to what boards say of them now; an event where that changes anything."""
        uids = sorted(touched.at)
        if not uids:
            return Applied()
        shown = await shown_to(uow, self._source, uids)
        stored = await stored_items(uow, uids)
        rows, written = list[dict[str, Any]](), list[WorkItem]()
        for uid, row in stored.items():
            before = _ITEM.decode(row.content)
            if before.availability in LEFT:
                continue  # it is laid over when it comes back
            seen = overlaid(plain(before), shown.get(uid))
            revision = row.revision + 1
            after = recounted(observed(before, seen, revision, dated=touched.of(uid)))
            changed = changed_fields(before, after)
            if changed:
                known = {"updated_at": row.updated_at}  # of the last look at the item itself
                rows.append(item_row(after, uow, revision, fingerprint(seen)) | known)
                written.append(after)
                uow.emit(WorkItemChanged(before=before, after=after, changed=changed, revision=revision))
        await store_items(uow, rows, written)
        return Applied(changed=len(written))


def gap_name(board: str) -> str:
    """What a gap of a board is called: a repository may have the same name."""
    return f"board {board}"
