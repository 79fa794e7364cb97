"""Compare and set: a page of a tracker's answer becomes stored state, and an event only where that really changed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import select

from connectors.base import Container, Page
from schemas.events import MilestoneChanged, SourceGap, WorkItemChanged, WorkItemRemoved
from schemas.work import Gap, Milestone, Quarantined, RemovalReason, WorkItem
from services.ingest.board_entries import shown_of
from services.ingest.observe import changed_fields, fingerprint, observed
from services.ingest.older import agreed, settled
from services.ingest.overlay import first_seen, overlaid, recounted
from services.storage import tables
from services.storage.unit_of_work import UnitOfWork

_ITEM: msgspec.json.Decoder[WorkItem] = msgspec.json.Decoder(WorkItem)
_MILESTONE: msgspec.json.Decoder[Milestone] = msgspec.json.Decoder(Milestone)
_ENCODER = msgspec.json.Encoder(order="deterministic")
#: SQLite binds at most 32,766 values to a statement; PostgreSQL's protocol has the same bound.
_LOOKUP = 10_000
#: The reason of the gap that is open while more items are missing than are believed to be gone.
MASS_ABSENCE = "mass_absence"

#: Why an item is gone, and what the event says of it.
LEFT: dict[str, RemovalReason] = {
    "deleted": "deleted",
    "trashed": "deleted",
    "archived": "archived",
    "moved": "moved",
    "access_lost": "access_lost",
}


@dataclass(frozen=True)
class Applied:
    """What a page came to: items looked at, really changed, removed, and put into quarantine."""

    seen: int = 0
    changed: int = 0
    removed: int = 0
    quarantined: int = 0

    def __add__(self, other: "Applied") -> "Applied":
        return Applied(
            self.seen + other.seen,
            self.changed + other.changed,
            self.removed + other.removed,
            self.quarantined + other.quarantined,
        )


async def stored_items(uow: UnitOfWork, uids: Sequence[str]) -> dict[str, Any]:
    """The rows of these items that exist, by uid, locked against other writers."""
    rows: dict[str, Any] = {}
    for start in range(0, len(uids), _LOOKUP):
        statement = (
            select(
                tables.items.c.uid,
                tables.items.c.hash,
                tables.items.c.revision,
                tables.items.c.updated_at,
                tables.items.c.content,
            )
            .where(tables.items.c.uid.in_(uids[start : start + _LOOKUP]))
            .order_by(tables.items.c.uid)
            .with_for_update()
        )
        rows |= {row.uid: row for row in await uow.connection.execute(statement)}
    return rows


def item_row(item: WorkItem, uow: UnitOfWork, revision: int, digest: bytes) -> dict[str, Any]:
    """The item as a row of `items`."""
    return {
        "uid": item.uid,
        "source": item.source,
        "container": item.container,
        "key": item.key,
        "kind": item.kind,
        "parent": item.parent,
        "availability": item.availability,
        "updated_at": item.updated_at,
        "observed_at": uow.now,
        "revision": revision,
        "hash": digest,
        "content": _ENCODER.encode(item),
    }


_ITEM_COLUMNS = tuple(column.name for column in tables.items.columns if column.name != "uid")


async def store_items(uow: UnitOfWork, rows: Sequence[dict[str, Any]], items: Iterable[WorkItem]) -> None:
    """Write item rows with the names and milestones they are found by."""
    await uow.upsert(tables.items, rows, replace=_ITEM_COLUMNS)
    former, ties = [], []
    for item in items:
        former += [{"key": key, "item": item.uid} for key in item.previous_keys]
        ties += [{"milestone": uid, "item": item.uid} for uid in item.milestones]
    await uow.upsert(tables.former_keys, former)
    await uow.upsert(tables.item_milestones, ties)


async def apply_items(uow: UnitOfWork, items: Iterable[WorkItem], *, looked: bool = False) -> Applied:
    """Set what differs from the stored state; an equal answer has no effect.

    Nor has an older one, until it was given so often that it must be true (`services.ingest.older`). An item that
    is gone comes back with a later change, or when somebody ``looked`` for it itself: lists lag behind deletions.
    """
    latest: dict[str, WorkItem] = {}
    for item in items:
        known = latest.get(item.uid)
        if known is None or item.updated_at >= known.updated_at:
            latest[item.uid] = item
    shown = await shown_of(uow, latest.values())
    latest |= {uid: overlaid(latest[uid], one) for uid, one in shown.items()}
    stored = await stored_items(uow, sorted(latest))
    digests = {uid: fingerprint(seen) for uid, seen in latest.items()}
    befores = {uid: _ITEM.decode(row.content) for uid, row in stored.items() if row.hash != digests[uid]}
    left = {uid for uid, before in befores.items() if before.availability in LEFT}
    lagging = {uid for uid in left if befores[uid].updated_at >= latest[uid].updated_at}
    older = {
        uid: digests[uid] for uid, before in befores.items()
        if uid not in left and before.updated_at > latest[uid].updated_at
    }  # fmt: skip
    believed = await agreed(uow, latest[next(iter(older))].source, older) if older else set[str]()
    ignored = (older.keys() - believed) | (set() if looked else lagging)
    if looked:
        await settled(uow, latest.keys() - ignored)
    same = [seen for uid, seen in latest.items() if uid in stored and uid not in befores]
    await _touch(uow, same, stored, looked=looked)
    rows, written, removed = [], [], 0
    for uid, seen in latest.items():
        row, digest, before = stored.get(uid), digests[uid], befores.get(uid)
        if uid in ignored or (row is not None and before is None):
            continue
        revision = row.revision + 1 if row is not None else 1
        after = observed(before, seen, revision, now=uow.now)
        after = recounted(after if before is not None else first_seen(after, shown.get(uid)))
        if row is not None and before is not None and not changed_fields(before, after):
            rows.append(item_row(after, uow, row.revision, digest))  # rebuilt from the log: only the hash is new
            continue
        rows.append(item_row(after, uow, revision, digest))
        written.append(after)
        reason = LEFT.get(after.availability)
        if reason is not None and (before is None or before.availability != after.availability):
            removed += 1
            uow.emit(WorkItemRemoved(after=after, revision=revision, reason=reason))
        else:
            uow.emit(
                WorkItemChanged(before=before, after=after, changed=changed_fields(before, after), revision=revision)
            )
    await store_items(uow, rows, written)
    return Applied(seen=len(latest), changed=len(written) - removed, removed=removed)


async def _touch(uow: UnitOfWork, same: Iterable[WorkItem], stored: dict[str, Any], *, looked: bool) -> None:
    """Remember the times of items in which nothing else changed, so that a census need not ask for them again."""
    for item in same:
        known = stored[item.uid].updated_at
        if item.updated_at > known or (looked and item.updated_at != known):
            change = tables.items.update().where(tables.items.c.uid == item.uid).values(updated_at=item.updated_at)
            await uow.connection.execute(change)


def milestone_row(milestone: Milestone, uow: UnitOfWork, revision: int, digest: bytes) -> dict[str, Any]:
    """The milestone as a row of `milestones`."""
    return {
        "uid": milestone.uid,
        "source": milestone.source,
        "container": milestone.container,
        "title": milestone.title,
        "revision": revision,
        "hash": digest,
        "observed_at": uow.now,
        "content": _ENCODER.encode(milestone),
    }


_MILESTONE_COLUMNS = tuple(column.name for column in tables.milestones.columns if column.name != "uid")


async def apply_milestones(uow: UnitOfWork, milestones: Iterable[Milestone]) -> int:
    """Set the milestones that differ; the number that did."""
    latest = {milestone.uid: milestone for milestone in milestones}
    if not latest:
        return 0
    statement = select(tables.milestones).where(tables.milestones.c.uid.in_(sorted(latest))).with_for_update()
    stored = {row.uid: row for row in await uow.connection.execute(statement)}
    rows = []
    for uid, after in latest.items():
        row, digest = stored.get(uid), fingerprint(after)
        if row is not None and row.hash == digest:
            continue
        before = _MILESTONE.decode(row.content) if row is not None else None
        revision = row.revision + 1 if row is not None else 1
        rows.append(milestone_row(after, uow, revision, digest))
        uow.emit(MilestoneChanged(before=before, after=after, revision=revision))
    await store_milestones(uow, rows)
    return len(rows)


async def store_milestones(uow: UnitOfWork, rows: Sequence[dict[str, Any]]) -> None:
    """Write milestone rows."""
    await uow.upsert(tables.milestones, rows, replace=_MILESTONE_COLUMNS)


async def open_gaps(uow: UnitOfWork, gaps: Iterable[Gap]) -> None:
    """Remember what cannot be read; a gap that is already known says nothing new."""
    for gap in gaps:
        row = (await uow.connection.execute(select(tables.gaps).where(_gap(gap.source, gap.container)))).first()
        if row is not None and row.closed_at is None and (row.reason, row.detail) == (gap.reason, gap.detail):
            continue
        opened = row.opened_at if row is not None and row.closed_at is None else uow.now
        await uow.upsert(
            tables.gaps,
            [
                {
                    "source": gap.source,
                    "container": gap.container,
                    "reason": gap.reason,
                    "detail": gap.detail,
                    "fix": gap.fix,
                    "opened_at": opened,
                    "closed_at": None,
                }
            ],
            replace=("reason", "detail", "fix", "opened_at", "closed_at"),
        )
        uow.emit(SourceGap(gap=gap, open=True))


async def close_gap(uow: UnitOfWork, source: str, container: str, *, counted: bool = False) -> None:
    """A container was read whole: its gap, if it had one, is filled. One of a census only when it was ``counted``."""
    row = (await uow.connection.execute(select(tables.gaps).where(_gap(source, container)))).first()
    if row is None or row.closed_at is not None or (row.reason == MASS_ABSENCE) is not counted:
        return
    await uow.connection.execute(tables.gaps.update().where(_gap(source, container)).values(closed_at=uow.now))
    gap = Gap(source=source, container=container, reason=row.reason, detail=row.detail, fix=row.fix)
    uow.emit(SourceGap(gap=gap, open=False))


def _gap(source: str, container: str) -> Any:
    return (tables.gaps.c.source == source) & (tables.gaps.c.container == container)


async def note_quarantined(uow: UnitOfWork, entries: Iterable[Quarantined]) -> None:
    """Keep what is no work item."""
    await uow.upsert(
        tables.quarantine,
        [
            {
                "source": entry.source,
                "container": entry.container,
                "ref": entry.ref[:255],
                "problem": entry.problem,
                "raw": entry.raw[:4000].replace("\x00", ""),
                "seen_at": uow.now,
            }
            for entry in entries
        ],
        replace=("problem", "raw", "seen_at"),
    )


async def apply_page(uow: UnitOfWork, source: str, container: Container, page: Page) -> Applied:
    """One durable step: items, milestones, gaps, quarantine and the checkpoint, all or nothing."""
    await apply_milestones(uow, page.milestones)
    applied = await apply_items(uow, page.items)
    await note_quarantined(uow, page.quarantined)
    await open_gaps(uow, page.gaps)
    if page.complete:
        await close_gap(uow, source, container.key)
    values = {
        "source": source,
        "container": container.id,
        "key": container.key,
        "content": bytes(page.checkpoint),
        "complete_at": uow.now if page.complete else None,
        "items_total": page.total,
        "updated_at": uow.now,
    }
    replace = ["content", "updated_at"]  # the key stays that of the stored items, until a census meets the new one
    replace += ["complete_at"] if page.complete else []
    replace += ["items_total"] if page.total is not None else []
    await uow.upsert(tables.checkpoints, [values], replace=replace)
    return Applied(applied.seen, applied.changed, applied.removed, len(page.quarantined))
