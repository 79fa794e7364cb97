"""Pure: what project boards say of an item, laid over what the item says of itself."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from schemas.boards import BoardItem
from schemas.work import FieldValue, StatusCategory, Transition, WorkItem
from services.ingest.observe import SEEN

_OPEN = "open"


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What all boards that an item is on say of it together."""

    status: str | None = None
    status_at: datetime | None = None
    begun: bool = False
    fields: dict[str, FieldValue] = {}
    team: str | None = None
    estimate: float | None = None
    iterations: tuple[str, ...] = ()


def together(entries: Iterable[tuple[int, BoardItem]]) -> Shown:
    """One item's entries on boards, each with the board's place in the configured order.

    Of each value the first that is there counts: unarchived entries before archived ones, then boards in their order.
    Iterations add up.
    """
    ranked = [one for _, one in sorted(entries, key=lambda entry: (entry[1].archived, entry[0], entry[1].id))]
    fields: dict[str, FieldValue] = {}
    for one in reversed(ranked):
        fields |= {name: value for name, value in one.fields.items() if value is not None or name not in fields}
    status = next((one for one in ranked if one.status is not None), None)
    return Shown(
        status=status.status if status else None,
        status_at=status.status_at if status else None,
        begun=status.begun if status else False,
        fields=dict(sorted(fields.items())),
        team=next((one.team for one in ranked if one.team is not None), None),
        estimate=next((one.estimate for one in ranked if one.estimate is not None), None),
        iterations=tuple(sorted({uid for one in ranked for uid in one.iterations})),
    )


def overlaid(item: WorkItem, shown: Shown | None) -> WorkItem:
    """The item with what boards say of it, and nothing of what they said before.

    An open item has the board's status; its category is ``in_progress`` where that says that it was begun, and else
    its own. What is closed is closed, and nothing else is.
    """
    shown = shown or Shown()
    status, category = _own_status(item)
    if category not in ("done", "unknown") and shown.status is not None:
        status, category = shown.status, "in_progress" if shown.begun else category
    return msgspec.structs.replace(
        item,
        status=status,
        status_category=category,
        fields=dict.fromkeys(item.fields) | shown.fields,
        team=shown.team,
        estimate_points=shown.estimate,
        milestones=tuple(sorted({*_without_iterations(item.source, item.milestones), *shown.iterations})),
    )


def _own_status(item: WorkItem) -> tuple[str, StatusCategory]:
    """An item's status by its state alone: a board never closes it, so an open one is told by its category."""
    if item.status_category in ("done", "unknown"):
        return item.status, item.status_category
    return _OPEN, "in_progress" if item.kind == "pull_request" else "todo"


def plain(item: WorkItem) -> WorkItem:
    """A stored item as its tracker would answer it: its history is the tracker's, and untouched by boards."""
    history = []
    for change in item.history:
        if change.id.startswith(SEEN):
            continue
        if change.field == "milestones":
            before, after = (_without_iterations(item.source, _texts(end)) for end in (change.before, change.after))
            change = msgspec.structs.replace(change, before=before, after=after)
        elif _ends_what_a_board_said(change):
            category: StatusCategory = "in_progress" if item.kind == "pull_request" else "todo"
            change = msgspec.structs.replace(change, before=_OPEN, before_category=category)
        history.append(change)
    return msgspec.structs.replace(overlaid(item, None), history=tuple(history), started_at=_started(item, history))


def _ends_what_a_board_said(change: Transition) -> bool:
    return change.field == "status" and change.origin == "event" and change.after_category == "done"


def _started(item: WorkItem, history: Iterable[Transition]) -> datetime | None:
    moves = (one.at for one in history if one.field == "status" and one.after_category == "in_progress")
    return next(moves, None)


def first_seen(item: WorkItem, shown: Shown | None) -> WorkItem:
    """A new item, begun when its board's status was chosen; everything else holds since its creation."""
    at = shown.status_at if shown is not None else None
    if at is None or item.kind != "issue" or item.status_category != "in_progress":
        return item
    begun = Transition(
        id=f"{SEEN}status:0", field="status", at=max(at, item.created_at), before=_OPEN, after=item.status,
        before_category="todo", after_category="in_progress", origin="inferred",
    )  # fmt: skip
    history = sorted((*item.history, begun), key=lambda change: (change.at, change.id))
    return msgspec.structs.replace(item, history=tuple(history))


def recounted(item: WorkItem) -> WorkItem:
    """The item whose history tells two stories, the tracker's and the boards', as one.

    The tracker's changes of milestones know no iterations, and its closings no board's status: each gets those that
    were in force then. A board's status that says so dates the beginning of the work.
    """
    ours = {change.field for change in item.history if change.id.startswith(SEEN)}
    if "#" not in item.key or not (ours & {"status", "milestones"} or item.milestones != _mine(item)):
        return item  # Jira has no boards, and its histories are whole
    history = _with_statuses(_with_iterations(item))
    started = item.started_at
    if started is None:
        started = _started(item, history)
    return msgspec.structs.replace(item, history=tuple(history), started_at=started)


def _mine(item: WorkItem) -> tuple[str, ...]:
    return tuple(_without_iterations(item.source, item.milestones))


def _with_iterations(item: WorkItem) -> list[Transition]:
    """Newest first, the iterations in force are put to the milestones that the tracker tells of."""
    prefix = _prefix(item.source)
    now = {uid for uid in item.milestones if uid.startswith(prefix)}
    told: list[Transition] = []
    for change in reversed(item.history):
        if change.field == "milestones" and change.id.startswith(SEEN):
            now = {uid for uid in _texts(change.before) if uid.startswith(prefix)}
        elif change.field == "milestones":
            before, after = (
                sorted({*_without_iterations(item.source, _texts(end)), *now}) for end in (change.before, change.after)
            )
            change = msgspec.structs.replace(change, before=before, after=after)
        told.append(change)
    return told[::-1]


def _with_statuses(history: list[Transition]) -> list[Transition]:
    """Oldest first, what a board last said of an open item is what its closing ends; of a closed one it says nothing.

    A board that moves what was closed to "Done" is often read before the issue is.
    """
    said: Transition | None = None
    closed = False
    told = []
    for change in history:
        if change.field == "status" and change.id.startswith(SEEN):
            if closed and change.after_category != "done" and change.before_category != "done":
                continue
            said = change
        elif change.field == "status":
            if said is not None and _ends_what_a_board_said(change):
                change = msgspec.structs.replace(change, before=said.after, before_category=said.after_category)
            said, closed = None, change.after_category == "done"
        told.append(change)
    return told


def _texts(value: Any) -> list[str]:
    return list(value) if isinstance(value, list | tuple) else []


def _without_iterations(source: str, uids: Iterable[str]) -> list[str]:
    prefix = _prefix(source)
    return [uid for uid in uids if not uid.startswith(prefix)]


def _prefix(source: str) -> str:
    return f"{source}:iteration:"
