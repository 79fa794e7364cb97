"""Align what changed: a batch of touched items becomes alignments, postings and balances, in one transaction.

Everything that is written is a function of the stored items and strategies alone; an event only says where to
look. So the order, duplication or replay of events cannot change a byte. What hangs on another item is looked at
again through an event of its own: children when what they inherit changed, parents when what weighs on them did.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import Table, select

from schemas import wire
from schemas.events import ItemTouched, LedgerPosted, MilestoneChanged, WorkItemChanged, WorkItemRemoved
from schemas.work import WorkItem
from services.align.answers import Answers
from services.align.rules import compile_rules
from services.align.state import (
    Bequest,
    Booked,
    Course,
    ItemState,
    Version,
    book,
    broken_down_days,
    course,
    parents_of,
    segments,
)
from services.ledger.history import Snapshot, Timeline, lifetime, moment
from services.ledger.postings import AMOUNTS, Amounts, PostingKey, difference, plus
from services.ledger.strategies import AppliedStrategy, applied_strategies
from services.storage import tables
from services.storage.bulk import Rows
from services.storage.unit_of_work import UnitOfWork

_ITEM: msgspec.json.Decoder[WorkItem] = msgspec.json.Decoder(WorkItem)
_STATE: msgspec.json.Decoder[ItemState] = msgspec.json.Decoder(ItemState)
_ENCODER = msgspec.json.Encoder(order="deterministic")
_CHUNK = 1_000
_NEW = ItemState()
_NOTHING_YET = _ENCODER.encode(_NEW)
#: Tables of counts that are sums over items, by the names that they have in an item's state too.
_COUNTS = ("activity", "baseline_done", "estimates", "headcounts")
_POSTING = ("item", "day", "node", "type", "kind", *AMOUNTS, "recorded_at")


#: A revision of an item, and how an event of our own log says that it was stored.
_Told = tuple[int, WorkItem]


@dataclass
class _Batch:
    """The items in hand, with everything their computation needs and everything it gives."""

    items: dict[str, WorkItem] = field(default_factory=dict)
    lives: dict[str, Timeline[Snapshot]] = field(default_factory=dict)
    states: dict[str, ItemState] = field(default_factory=dict)
    parents: dict[str, set[str]] = field(default_factory=dict)
    bequests: dict[str, Timeline[Bequest]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    children: dict[str, dict[date, int]] = field(default_factory=dict)
    baseline: dict[str, list[tuple[int, str, int]]] = field(default_factory=dict)
    courses: dict[str, Course] = field(default_factory=dict)
    touched: dict[str, str] = field(default_factory=dict)
    posted: dict[str, date] = field(default_factory=dict)


@dataclass(frozen=True)
class Aligned:
    """What is left to do: items to look at again with the cause, nodes whose ledger changed and since which day."""

    touched: dict[str, str] = field(default_factory=dict)
    posted: dict[str, date] = field(default_factory=dict)


class Aligner:
    """The align stage. ``folds`` names the sources (GitHub) whose keys and labels fold case."""

    def __init__(self, folds: Iterable[str]) -> None:
        self._folds = frozenset(folds)
        self._compiled: dict[int, Version] = {}

    async def handle(self, uow: UnitOfWork, events: Sequence[wire.Event]) -> None:
        """Align every item that these events are about, or that hangs on a milestone they renamed."""
        told: dict[str, _Told | None] = {}
        renamed: list[str] = []
        for event in events:
            match event.data:
                case WorkItemChanged(after=item, revision=revision) | WorkItemRemoved(after=item, revision=revision):
                    told[item.uid] = (revision, item) if event.ours else None
                case ItemTouched(uid=uid):
                    told.setdefault(uid, None)
                case MilestoneChanged(before=before, after=after):
                    if before is None or before.title != after.title:
                        renamed.append(after.uid)
        await _touch_items_of(uow, renamed)
        aligned = await self.align(uow, told)
        for uid, cause in sorted(aligned.touched.items()):
            uow.emit(ItemTouched(uid=uid, cause=cause))
        for node, day in sorted(aligned.posted.items()):
            uow.emit(LedgerPosted(node=node, day=day))

    async def align_all(self, uow: UnitOfWork, on_progress: Callable[[int], None] = lambda _: None) -> dict[str, date]:
        """Compute every item anew, until nothing hangs on anything older; the nodes whose ledger changed."""
        rows = await uow.connection.execute(select(tables.items.c.uid).order_by(tables.items.c.uid))
        waiting = [row.uid for row in rows]
        posted: dict[str, date] = {}
        while waiting:
            touched: dict[str, str] = {}
            for start in range(0, len(waiting), _CHUNK):
                aligned = await self.align(uow, dict.fromkeys(waiting[start : start + _CHUNK]))
                touched |= aligned.touched
                for node, day in aligned.posted.items():
                    posted[node] = min(day, posted.get(node, day))
                on_progress(min(start + _CHUNK, len(waiting)))
            waiting = sorted(touched)
        return posted

    async def align(self, uow: UnitOfWork, told: Mapping[str, _Told | None]) -> "Aligned":
        """Compute these items anew and book the differences. Does nothing before the first ``apply``."""
        applied = await applied_strategies(uow.connection)
        if not applied or not told:
            return Aligned()
        versions = self._versions(applied)
        zone = applied[-1].zone
        batch = await _load(uow, told)
        order = _parents_first(batch)
        answers = Answers(batch.titles)
        for uid in order:
            item = batch.items[uid]
            above = {parent: batch.bequests[parent] for parent in batch.parents[uid] if parent in batch.bequests}
            batch.courses[uid] = course(item, batch.lives[uid], versions, above, answers, zone)
            batch.bequests[uid] = batch.courses[uid].bequests
        await _touch_heirs(uow, batch, order)
        written = _Written(uow)
        elsewhere = {
            uid: broken_down_days(days.items()) for uid, days in batch.children.items() if uid not in batch.items
        }
        for uid in reversed(order):
            booked = book(batch.items[uid], batch.courses[uid], _children(batch, uid), zone)
            state = _state(batch, uid, booked)
            old = batch.states.get(uid, _NEW)
            _raise_to_parents(batch, old, state, done=written.done)
            if state.cycle != old.cycle:
                batch.touched[uid] = "cycle"
            written.add(uid, old, state, batch.posted)
        batch.touched.update(dict.fromkeys(_broken_down_otherwise(batch, elsewhere), "children"))
        await written.flush()
        await uow.upsert(
            tables.parenthoods,
            [{"parent": parent, "child": uid} for uid in order for parent in sorted(batch.parents[uid])],
        )
        return Aligned(batch.touched, batch.posted)

    def _versions(self, applied: Sequence[AppliedStrategy]) -> list[Version]:
        for strategy in applied:
            known = self._compiled.get(strategy.version)
            if known is None or known.since != strategy.since:
                rules = compile_rules(strategy.file, folds=self._folds)
                self._compiled[strategy.version] = Version(strategy.version, strategy.since, rules)
        return [self._compiled[strategy.version] for strategy in applied]


async def _touch_items_of(uow: UnitOfWork, milestones: Sequence[str]) -> None:
    if not milestones:
        return
    ties = tables.item_milestones.c
    rows = await uow.connection.execute(select(ties.item).where(ties.milestone.in_(milestones)).order_by(ties.item))
    for row in rows:
        uow.emit(ItemTouched(uid=row.item, cause="milestone"))


async def _rows(
    uow: UnitOfWork, table: Table, column: str, values: Collection[str], *names: str, lock: bool = False
) -> Sequence[Any]:
    """The rows with one of these values in a column, in its order: the named columns, or all."""
    if not values:
        return ()
    key = table.c[column]
    columns = [column for column in table.c if not names or column.name in names]
    statement = select(*columns).where(uow.among(key, values)).order_by(key)
    return (await uow.connection.execute(statement.with_for_update() if lock else statement)).all()


async def _load(uow: UnitOfWork, told: Mapping[str, _Told | None]) -> _Batch:
    batch = _Batch()
    parents = _take_in(batch, await _stored(uow, told))
    while parents:
        # A parent that was never aligned comes along: else its children would be looked at twice.
        parents = _take_in(batch, [_ITEM.decode(row.content) for row in await _never_aligned(uow, parents)])
    await _load_states(uow, batch)
    milestones = {uid for life in batch.lives.values() for _, state in life for uid in state.milestones}
    if milestones:
        titles = await _rows(uow, tables.milestones, "uid", milestones, "uid", "title")
        batch.titles = {row.uid: row.title for row in titles}
    for row in await _rows(uow, tables.activity, "parent", _weighed_on(batch).union(*batch.parents.values())):
        batch.children.setdefault(row.parent, {})[row.day] = row.children
    for row in await _rows(uow, tables.baseline_items, "item", batch.items):
        batch.baseline.setdefault(row.item, []).append((row.version, row.node, row.weight))
    return batch


async def _stored(uow: UnitOfWork, told: Mapping[str, _Told | None]) -> list[WorkItem]:
    """These items as they are stored: as an event told of them where that is the stored revision, else read."""
    known = {uid: what for uid, what in told.items() if what is not None}
    table = tables.items.c
    outdated = await uow.others(table.uid, table.revision, {uid: revision for uid, (revision, _) in known.items()})
    items = {uid: item for uid, (_, item) in known.items() if uid not in outdated}
    for row in await _rows(uow, tables.items, "uid", told.keys() - items.keys(), "uid", "content"):
        items[row.uid] = _ITEM.decode(row.content)
    return [items[uid] for uid in sorted(items)]


def _take_in(batch: _Batch, items: Iterable[WorkItem]) -> list[str]:
    """Take stored items into the batch; their parents that are not in it."""
    parents: set[str] = set()
    for item in items:
        life = lifetime(item)
        batch.items[item.uid] = item
        batch.lives[item.uid] = life
        batch.parents[item.uid] = parents_of(life, item.uid)
        parents |= batch.parents[item.uid]
    return sorted(parents - batch.items.keys())


async def _never_aligned(uow: UnitOfWork, uids: Sequence[str]) -> Sequence[Any]:
    items, states = tables.items.c, tables.item_states.c
    statement = (
        select(items.uid, items.content)
        .select_from(tables.items.outerjoin(tables.item_states, items.uid == states.uid))
        .where(uow.among(items.uid, uids), states.uid.is_(None) | (states.content == _NOTHING_YET))
        .order_by(items.uid)
    )
    return (await uow.connection.execute(statement)).all()


async def _load_states(uow: UnitOfWork, batch: _Batch) -> None:
    wanted = set(batch.items).union(*batch.parents.values())
    rows = [*await _rows(uow, tables.item_states, "uid", wanted, lock=True)]
    if uow.connection.dialect.name == "postgresql":
        # An item that is not there yet cannot be locked; a placeholder can, and keeps parent and child from missing
        # each other in two transactions at once.
        missing = sorted(wanted - {row.uid for row in rows})
        await uow.upsert(tables.item_states, [{"uid": uid, "content": _NOTHING_YET} for uid in missing])
        rows += await _rows(uow, tables.item_states, "uid", missing, lock=True)
    for row in rows:
        state = _STATE.decode(row.content)
        batch.states[row.uid] = state
        if state.bequests:
            batch.bequests[row.uid] = state.bequests


def _weighed_on(batch: _Batch) -> set[str]:
    # On a cycle, what weighs on one member weighs on all.
    wanted = set(batch.items)
    for uid in batch.items:
        if uid in batch.states:
            wanted.update(batch.states[uid].cycle)
    return wanted


def _parents_first(batch: _Batch) -> list[str]:
    order: dict[str, None] = {}
    for start in sorted(batch.items):
        path: list[str] = []
        uid: str | None = start
        while uid is not None and uid in batch.items and uid not in order and uid not in path:
            path.append(uid)
            uid = batch.items[uid].parent
        order.update(dict.fromkeys(reversed(path)))
    return list(order)


async def _touch_heirs(uow: UnitOfWork, batch: _Batch, order: Sequence[str]) -> None:
    place = {uid: index for index, uid in enumerate(order)}
    changed = [uid for uid in order if batch.courses[uid].bequests != batch.states.get(uid, _NEW).bequests]
    for row in await _rows(uow, tables.parenthoods, "parent", changed):
        if place.get(row.child, -1) < place[row.parent]:
            batch.touched[row.child] = "parent"
    for uid in order:
        for parent in batch.parents[uid]:
            # A parent computed after its child in this very batch: only on a cycle, or where a parent was replaced.
            if place.get(parent, -1) > place[uid] and parent in changed:
                batch.touched[uid] = "parent"


def _children(batch: _Batch, uid: str) -> dict[str, list[tuple[date, int]]]:
    members = (uid, *batch.courses[uid].companions)
    return {member: sorted(batch.children[member].items()) for member in members if member in batch.children}


def _state(batch: _Batch, uid: str, booked: Booked) -> ItemState:
    path = batch.courses[uid]
    return ItemState(
        bequests=path.bequests,
        cycle=path.companions,
        unbroken=booked.unbroken,
        alignment=segments(path.decided),
        postings=sorted([(*key, amounts) for key, amounts in booked.postings.items()]),
        headcounts=sorted([(*key, count) for key, count in booked.headcounts.items() if count]),
        estimates=sorted([(*key, count) for key, count in booked.estimates.items() if count]),
        activity=sorted([(*key, count) for key, count in booked.activity.items() if count]),
        baseline_done=_baseline_done(batch.baseline.get(uid, ()), booked),
    )


def _baseline_done(frozen: Sequence[tuple[int, str, int]], booked: Booked) -> list[tuple[int, str, date, int]]:
    rows = []
    for version, node, weight in sorted(frozen):
        before = False
        for day, finished in booked.finished:
            if finished != before and weight:
                rows.append((version, node, day, weight if finished else -weight))
            before = finished
    return rows


def _raise_to_parents(batch: _Batch, old: ItemState, new: ItemState, *, done: set[str]) -> None:
    for (parent, day), change in _changes(new.activity, old.activity).items():
        counts = batch.children.setdefault(parent, {})
        counts[day] = counts.get(day, 0) + change
        if parent in done:
            batch.touched[parent] = "children"
        if above := batch.states.get(parent):
            batch.touched.update(dict.fromkeys(above.cycle, "children"))


def _broken_down_otherwise(batch: _Batch, before: dict[str, list[tuple[date, bool]]]) -> Iterator[str]:
    """Parents beyond the batch in whose place children count on other days than ``before``."""
    for uid, days in batch.children.items():
        if uid not in batch.items and broken_down_days(days.items()) != before.get(uid, []):
            yield uid


def _changes(new: Sequence[tuple[Any, ...]], old: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], int]:
    changes: dict[tuple[Any, ...], int] = {row[:-1]: row[-1] for row in new}
    if not old:
        return changes
    for row in old:
        key = row[:-1]
        changes[key] = changes.get(key, 0) - row[-1]
    return {key: change for key, change in changes.items() if change}


@dataclass
class _Written:
    """The rows of a batch, added up before they are written."""

    uow: UnitOfWork
    done: set[str] = field(default_factory=set)
    states: list[tuple[str, bytes]] = field(default_factory=list)
    realigned: list[tuple[str]] = field(default_factory=list)
    alignments: list[tuple[Any, ...]] = field(default_factory=list)
    unposted: list[tuple[Any, ...]] = field(default_factory=list)
    posted: list[tuple[Any, ...]] = field(default_factory=list)
    balances: dict[tuple[Any, ...], Amounts] = field(default_factory=dict)
    counts: dict[str, dict[tuple[Any, ...], int]] = field(default_factory=lambda: {name: {} for name in _COUNTS})

    def add(self, uid: str, old: ItemState, new: ItemState, posted: dict[str, date]) -> None:
        """Take in one item: what it contributes now, less what it contributed before."""
        self.done.add(uid)
        if new == old:
            return
        self.states.append((uid, _ENCODER.encode(new)))
        if new.alignment != old.alignment or new.unbroken != old.unbroken:
            if old.alignment:
                self.realigned.append((uid,))
            self.alignments += _alignment_rows(uid, new)
        if new.postings != old.postings:
            self._post(uid, _keyed(new), _keyed(old), posted)
        for name, total in self.counts.items():
            after, before = getattr(new, name), getattr(old, name)
            if after != before:
                for key, change in _changes(after, before).items():
                    total[key] = total.get(key, 0) + change
        if new.baseline_done != old.baseline_done:
            for version, node, day in _changes(new.baseline_done, old.baseline_done):
                if version:
                    posted[node] = min(day, posted.get(node, day))

    def _post(
        self, uid: str, new: dict[PostingKey, Amounts], old: dict[PostingKey, Amounts], posted: dict[str, date]
    ) -> None:
        now = self.uow.now
        for key, change in (difference(new, old) if old else new).items():
            day, node, kind, what = key
            if key in new:
                self.posted.append((uid, *key, *new[key], now))
            else:
                self.unposted.append((uid, *key))
            balance = (node, day, kind, what)
            total = self.balances.get(balance)
            self.balances[balance] = change if total is None else plus(total, change)
            if node not in posted or day < posted[node]:
                posted[node] = day

    async def flush(self) -> None:
        """Write everything, keys in order, so that writers side by side never wait for each other in a ring."""
        uow = self.uow
        await uow.upsert(tables.item_states, Rows(("uid", "content"), sorted(self.states)), replace=("content",))
        await uow.delete(tables.alignments, Rows(("item",), sorted(self.realigned)))
        await uow.insert(tables.alignments, Rows(_ALIGNMENT, self.alignments))
        await uow.delete(tables.postings, Rows(_POSTING[:5], self.unposted))
        await uow.upsert(tables.postings, Rows(_POSTING, self.posted), replace=(*AMOUNTS, "recorded_at"))
        await uow.accumulate(tables.balances, self.balances)
        for name, totals in self.counts.items():
            await uow.accumulate(tables.metadata.tables[name], {key: (change,) for key, change in totals.items()})


def _keyed(state: ItemState) -> dict[PostingKey, Amounts]:
    return {(day, node, kind, what): tuple(amounts) for day, node, kind, what, amounts in state.postings}  # type: ignore[misc]


_ALIGNMENT = tuple(tables.alignments.columns.keys())


def _alignment_rows(uid: str, state: ItemState) -> list[tuple[Any, ...]]:
    """Rows of `alignments`, in the order of its columns."""
    began = [moment(segment.since) for segment in state.alignment]
    ended: list[datetime | None] = [*began[1:], None]
    rows: list[tuple[Any, ...]] = []
    for segment, since, until in zip(state.alignment, began, ended, strict=True):
        for row in segment.rows:
            result = (uid, len(rows), row.node, row.share, row.level, row.rule, row.inherited_from)
            rows.append((*result, since, until, segment.ambiguous, segment.rule_error, state.unbroken))
    return rows
