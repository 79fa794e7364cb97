"""What a look at single items changes: they are there, elsewhere, or gone for a reason that is known."""

from collections.abc import Collection, Mapping

import msgspec

from connectors.base import Looked
from schemas.events import WorkItemRemoved
from schemas.work import Availability, WorkItem
from services.ingest.apply import LEFT, Applied, apply_items, item_row, note_quarantined, store_items, stored_items
from services.ingest.observe import fingerprint, gone
from services.storage.unit_of_work import UnitOfWork

_ITEM: msgspec.json.Decoder[WorkItem] = msgspec.json.Decoder(WorkItem)


async def apply_looked(uow: UnitOfWork, looked: Looked, readable: Collection[str]) -> Applied:
    """Store what a look found. ``readable`` are the keys of the containers that are read.

    An item that is there and had left is present again, dated. One that is in a container we do not read has moved.
    """
    here = [item for item in looked.items if item.container in readable]
    elsewhere = [item for item in looked.items if item.container not in readable]
    known = await stored_items(uow, sorted(item.uid for item in elsewhere))
    moved = [msgspec.structs.replace(item, availability="moved") for item in elsewhere if item.uid in known]
    applied = await apply_items(uow, [*here, *moved], looked=True)
    await note_quarantined(uow, looked.quarantined)
    removed = await apply_left(uow, looked.left)
    return Applied(applied.seen, applied.changed, applied.removed + removed, len(looked.quarantined))


async def apply_left(uow: UnitOfWork, left: Mapping[str, Availability]) -> int:
    """Items are gone from now on, each for its reason; the number of those that were not before."""
    stored = await stored_items(uow, sorted(left))
    rows, items = [], []
    for uid, row in stored.items():
        before, why = _ITEM.decode(row.content), left[uid]
        if before.availability == why:
            continue
        after = gone(before, why, uow.now, row.revision + 1)
        rows.append(item_row(after, uow, row.revision + 1, fingerprint(after)))
        items.append(after)
        uow.emit(WorkItemRemoved(after=after, revision=row.revision + 1, reason=LEFT[why]))
    await store_items(uow, rows, items)
    return len(items)
