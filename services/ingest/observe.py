"""Pure: what a tracker's answer changes about what we know of an item."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import msgspec

from schemas.work import Milestone, Transition, TransitionField, WorkItem

_ENCODER = msgspec.json.Encoder(order="deterministic")
#: Transitions that we saw happen ourselves, where the tracker keeps no history of the field.
SEEN = "seen:"
#: Fields whose past matters to rules or the ledger, in the order in which changes of one instant are kept.
_TRACKED: tuple[TransitionField, ...] = (
    "status",
    "resolution",
    "labels",
    "parent",
    "components",
    "milestones",
    "type",
    "container",
    "team",
    "fields",
    "estimate_points",
    "original_estimate_s",
    "time_spent_s",
    "availability",
)
#: What is renamed in the tracker without any item's change.
_NAMED = frozenset({"status", "resolution", "labels", "components", "type"})
#: A later look at the same state may differ in these without anything having happened.
_UNREMARKABLE = frozenset({"updated_at"})


def fingerprint(thing: WorkItem | Milestone) -> bytes:
    """A hash of all that matters; equal for equal states, whenever they were looked at."""
    content = {name: getattr(thing, name) for name in thing.__struct_fields__ if name not in _UNREMARKABLE}
    if isinstance(thing, WorkItem):
        content["history"] = [change for change in thing.history if not change.id.startswith(SEEN)]
    return hashlib.sha256(_ENCODER.encode(content)).digest()


def changed_fields(before: WorkItem | None, after: WorkItem) -> tuple[str, ...]:
    """The names of the fields that differ, in the order of the schema; none for a new item."""
    if before is None:
        return ()
    return tuple(
        name
        for name in after.__struct_fields__
        if name not in _UNREMARKABLE and getattr(before, name) != getattr(after, name)
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _latest(history: Iterable[Transition], field: str) -> Transition | None:
    found = None
    for change in history:
        if change.field == field:
            found = change
    return found


def observed(
    before: WorkItem | None,
    seen: WorkItem,
    revision: int,
    *,
    now: datetime | None = None,
    dated: Mapping[str, datetime] = MappingProxyType({}),
) -> WorkItem:
    """The item as seen, with the history that only we know.

    Where a tracked field differs from what we had and the tracker's own history has no newer change of it, the
    change is dated by the item's ``updated_at`` and kept as a transition of our own; those of earlier looks stay.
    Coming back is dated ``now``, since no tracker changes the item for it, and so is what is called otherwise though
    nobody changed the item: a label, a status or its category. ``dated`` are the times of fields that
    change apart from the item, as far as they are known; no change is dated before the last one of its field.
    """
    if seen.links is None:
        seen = msgspec.structs.replace(seen, links=before.links if before is not None else ())
    if before is None:
        return seen
    told, seen = seen, _as_it_was(before, seen)
    apart = now is not None and seen.updated_at == before.updated_at
    remapped = _has_categories(seen) and before.status == seen.status and before.status_category != seen.status_category
    ours = [change for change in before.history if change.id.startswith(SEEN)]
    theirs = {change.id for change in before.history}
    at = max(seen.updated_at, before.updated_at)
    for field in _TRACKED:
        old, new = getattr(before, field), getattr(seen, field)
        if old == new and not (field == "status" and remapped):
            continue
        latest = _latest(seen.history, field)
        if latest is not None and latest.id not in theirs:
            continue
        past = (one.at for one in before.history if one.field == field)
        changed_at = max((dated[field], before.created_at, *past)) if field in dated else at
        if apart and now is not None and field in _NAMED and field not in dated:
            changed_at = max(at, now)
        ours.append(
            Transition(
                id=f"{SEEN}{field}:{revision}",
                field=field,
                at=max(at, now) if now is not None and (field, new) == ("availability", "present") else changed_at,
                before=_plain(old),
                after=_plain(new),
                before_category=before.status_category if field == "status" else None,
                after_category=seen.status_category if field == "status" else None,
                origin="inferred",
            )
        )
    if remapped or seen is not told:
        seen = _timed(seen, sorted_history((*seen.history, *ours)))
    keys = tuple(dict.fromkeys((*before.previous_keys, *seen.previous_keys, before.key)))
    return msgspec.structs.replace(
        seen,
        history=sorted_history((*seen.history, *ours)),
        previous_keys=tuple(key for key in keys if key != seen.key),
    )


def _has_categories(item: WorkItem) -> bool:
    """Whether an administrator may map its status to another category: Jira's, whose keys have no ``#``."""
    return "#" not in item.key


def _as_it_was(before: WorkItem, seen: WorkItem) -> WorkItem:
    """The item as seen, its past statuses of the categories that they had when we first read of them."""
    if not _has_categories(seen):
        return seen
    known = {
        change.id: (change.before_category, change.after_category) for change in before.history
        if change.field == "status" and not change.id.startswith(SEEN)
    }  # fmt: skip
    history = [
        change
        if (were := known.get(change.id)) in (None, (change.before_category, change.after_category))
        else msgspec.structs.replace(change, before_category=were[0], after_category=were[1])
        for change in seen.history
    ]
    if all(one is other for one, other in zip(history, seen.history, strict=True)):
        return seen
    return msgspec.structs.replace(seen, history=tuple(history))


def _timed(item: WorkItem, history: Sequence[Transition]) -> WorkItem:
    """The item with the times of its work by its history, where that tells them."""
    steps = [change for change in history if change.field == "status"]
    started = next((step.at for step in steps if step.after_category == "in_progress"), None)
    done = next((step.at for step in reversed(steps) if step.after_category == "done" != step.before_category), None)
    if item.status_category != "done":
        return msgspec.structs.replace(item, started_at=started or item.started_at, done_at=None)
    return msgspec.structs.replace(item, started_at=started or item.started_at, done_at=done or item.done_at)


def sorted_history(history: Iterable[Transition]) -> tuple[Transition, ...]:
    """By time, then id, each once."""
    return tuple(sorted({change.id: change for change in history}.values(), key=lambda change: (change.at, change.id)))


def gone(before: WorkItem, availability: Any, at: datetime, revision: int) -> WorkItem:
    """The item after it left, dated; its other state stays as we last saw it."""
    seen = msgspec.structs.replace(before, availability=availability, updated_at=max(at, before.updated_at))
    return observed(before, seen, revision)
