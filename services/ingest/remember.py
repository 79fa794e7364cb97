"""Items and milestones as the log tells them: the stored state can be forgotten and rebuilt."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from sqlalchemy import delete, select

from schemas import wire
from schemas.events import MilestoneChanged, WorkItemChanged, WorkItemRemoved
from schemas.work import Milestone, WorkItem
from services.ingest.apply import item_row, milestone_row, store_items, store_milestones, stored_items
from services.ingest.observe import fingerprint
from services.storage import tables
from services.storage.unit_of_work import UnitOfWork

_CHUNK = 2_000


async def remember(uow: UnitOfWork, on_progress: Callable[[int], None] = lambda _: None) -> int:
    """Forget items and milestones, and store them again from the log; the number of events read.

    Of each the highest revision stands, so that the order in the log does not matter.
    """
    for table in (tables.items, tables.former_keys, tables.item_milestones, tables.milestones):
        await uow.connection.execute(delete(table))
    read = 0
    async for rows in _pages(uow):
        items: dict[str, tuple[int, WorkItem]] = {}
        milestones: dict[str, tuple[int, Milestone]] = {}
        for row in rows:
            match wire.decode(row.value).data:
                case WorkItemChanged(after=item, revision=revision) | WorkItemRemoved(after=item, revision=revision):
                    if revision > items.get(item.uid, (0, item))[0]:
                        items[item.uid] = (revision, item)
                case MilestoneChanged(after=milestone, revision=revision):
                    if revision > milestones.get(milestone.uid, (0, milestone))[0]:
                        milestones[milestone.uid] = (revision, milestone)
                case _:
                    continue
        await _store(uow, items, milestones)
        read += len(rows)
        on_progress(read)
    return read


async def _store(
    uow: UnitOfWork, items: dict[str, tuple[int, WorkItem]], milestones: dict[str, tuple[int, Milestone]]
) -> None:
    known = {uid: row.revision for uid, row in (await stored_items(uow, sorted(items))).items()}
    newer = [(revision, item) for uid, (revision, item) in items.items() if revision > known.get(uid, 0)]
    rows = [item_row(item, uow, revision, fingerprint(item)) for revision, item in newer]
    await store_items(uow, rows, [item for _, item in newer])
    statement = select(tables.milestones.c.uid, tables.milestones.c.revision)
    held = {row.uid: row.revision for row in await uow.connection.execute(statement)} if milestones else {}
    await store_milestones(
        uow,
        [
            milestone_row(one, uow, revision, fingerprint(one))
            for uid, (revision, one) in milestones.items()
            if revision > held.get(uid, 0)
        ],
    )


async def _pages(uow: UnitOfWork) -> AsyncIterator[list[Any]]:
    position = 0
    while True:
        statement = (
            select(tables.log.c.position, tables.log.c.value)
            .where((tables.log.c.topic == wire.WORK.name) & (tables.log.c.position > position))
            .order_by(tables.log.c.position)
            .limit(_CHUNK)
        )
        rows = list(await uow.connection.execute(statement))
        if not rows:
            return
        yield rows
        position = rows[-1].position
