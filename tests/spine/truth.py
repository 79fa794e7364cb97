"""What is stored, held against what the trackers hold and against the log."""

from typing import Any

import msgspec
from sqlalchemy import select

from schemas import wire
from schemas.events import WorkItemChanged, WorkItemRemoved
from services.storage import tables
from services.storage.database import Database
from tests.ingest.conftest import Reader

#: What became of the items of a project; one that was archived or trashed before it went out of sight stays so.
AVAILABLE = {"archived": {"archived"}, "trashed": {"trashed"}, "hidden": {"access_lost", "archived", "trashed"}}
#: An issue that went to a project that is out of sight looks as gone as where it was, or as deleted as it can.
GONE = {"access_lost", "archived", "deleted", "moved", "trashed"}


async def equals_the_tracker(reader: Reader, seed: int) -> None:
    stored = {uid: item for uid, item in (await reader.stored()).items() if item.source == reader.kind}
    world = reader.world
    truth = {reader.uid(item): item for item in world.items.values() if item.tracker == reader.kind}
    present = {uid for uid, item in stored.items() if item.availability == "present"}
    live = {uid for uid, item in truth.items() if world.containers[item.container].state == "live"}
    assert present == live, (seed, {uid: stored[uid].availability for uid in (present ^ live) & stored.keys()})
    for uid in live:
        item, held = truth[uid], stored[uid]
        assert (held.key, held.container) == (world.key(item), world.containers[item.container].key), (seed, uid)
        assert (held.title, held.labels) == (item.title, tuple(sorted(item.labels))), (seed, uid)
        assert held.status == item.status, (seed, uid)
        ends = {(tie.id, tie.object == item.id) for tie in world.ties.of(item.id) if tie.kind != "closes"}
        links = {(int(link.id), link.inward) for link in held.links or () if link.to in truth}
        assert links == ends, (seed, uid)
    for uid in truth.keys() & stored.keys() - live:
        state = world.containers[truth[uid].container].state
        allowed = GONE if truth[uid].former else AVAILABLE[state]
        assert stored[uid].availability in allowed, (seed, uid, state)


async def told_once(database: Database, seed: int) -> None:
    """Revisions of an item are 1, 2, 3… in the log, and the last one is what is stored."""
    last: dict[str, Any] = {}
    revisions: dict[str, list[int]] = {}
    async with database.read() as connection:
        rows = await connection.execute(select(tables.log.c.value).order_by(tables.log.c.position))
        for row in rows:
            match wire.decode(row.value).data:
                case WorkItemChanged(after=item, revision=revision) | WorkItemRemoved(after=item, revision=revision):
                    revisions.setdefault(item.uid, []).append(revision)
                    last[item.uid] = item
        stored = {row.uid: (row.revision, bytes(row.content)) for row in await connection.execute(select(tables.items))}
    assert revisions == {uid: list(range(1, revision + 1)) for uid, (revision, _) in stored.items()}, seed
    assert {uid: msgspec.json.encode(item, order="deterministic") for uid, item in last.items()} == {
        uid: content for uid, (_, content) in stored.items()
    }, seed
