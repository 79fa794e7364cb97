"""What an item was at every moment of its life: its history folded back from how it is now."""

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec

from schemas.work import Availability, FieldValue, Past, Resolution, StatusCategory, Transition, WorkItem

V = TypeVar("V")
#: A value and when it began, oldest first; neighbours differ. Times are microseconds since 1970, UTC.
Timeline = list[tuple[int, V]]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: Long before any tracker: the first strategy covers all history.
BEGINNING = -(2**62)


def micros(moment: datetime) -> int:
    """Microseconds since 1970, UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """The aware UTC time of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


def day_of(microseconds: int, zone: ZoneInfo) -> date:
    """The calendar day of a moment in a zone."""
    return datetime.fromtimestamp(microseconds // 1_000_000, zone).date()


class Snapshot(msgspec.Struct, frozen=True):
    """What rules and the ledger look at, as it was at one moment."""

    status_category: StatusCategory
    resolution: Resolution | None
    type: str | None
    labels: tuple[str, ...]
    components: tuple[str, ...]
    milestones: tuple[str, ...]
    parent: str | None
    container: str
    team: str | None
    fields: dict[str, FieldValue]
    estimate_points: float | None
    original_estimate_s: float | None
    time_spent_s: float | None
    availability: Availability

    @property
    def cancelled(self) -> bool:
        """Resolved as something other than delivered, whatever the status."""
        return self.resolution in ("not_delivered", "duplicate")

    @property
    def finished(self) -> bool:
        """Done in itself, whether or not it counts."""
        return self.status_category == "done" and not self.cancelled

    @property
    def in_scope(self) -> bool:
        """Present or suspect and not cancelled; archived only if it was done."""
        if self.cancelled:
            return False
        if self.availability == "archived":
            return self.status_category == "done"
        return self.availability in ("present", "suspect")


_VALUES = attrgetter(*Snapshot.__struct_fields__)
_NAMES = frozenset(Snapshot.__struct_fields__)
_replace = msgspec.structs.replace
_TEXTS = frozenset({"labels", "components", "milestones"})


def snapshot(item: WorkItem) -> Snapshot:
    """The item as it is now."""
    return Snapshot(*_VALUES(item))


def _before(state: Snapshot, change: Transition) -> Snapshot:
    """The state that a change came upon."""
    field, before = change.field, change.before
    if field == "status":
        return _replace(state, status_category=change.before_category or "unknown")
    if field not in _NAMES:
        return state
    if field in _TEXTS:
        before = tuple(sorted(map(str, before))) if isinstance(before, list) else ()  # type: ignore[assignment]
    elif field == "fields" and not isinstance(before, dict):
        before = {}
    return _replace(state, **{field: before})


def lifetime(item: WorkItem) -> Timeline[Snapshot]:
    """Every state the item was in, from its creation on.

    Starts from how it is now and undoes its history backwards, so that the last entry is always the present
    state; what carries no history holds for all of its life. Changes of one instant count as one.
    """
    state, born = snapshot(item), micros(item.created_at)
    if not item.history:
        return [(born, state)]
    states: Timeline[Snapshot] = []
    at: int | None = None
    for change in reversed(item.history):
        changed_at = max(born, micros(change.at))
        if at != changed_at:
            states.append((changed_at, state))
            at = changed_at
        state = _before(state, change)
    if at != born:
        states.append((born, state))
    states.reverse()
    return merged(states)


def merged(timeline: Timeline[V]) -> Timeline[V]:
    """The timeline without entries that change nothing."""
    kept: Timeline[V] = []
    for at, value in timeline:
        if not kept or kept[-1][1] != value:
            kept.append((at, value))
    return kept


def value_at(timeline: Timeline[V], at: int) -> V | None:
    """The value in force at a moment; None before the first."""
    found: V | None = None
    for began, value in timeline:
        if began > at:
            break
        found = value
    return found


def day_ends(timeline: Timeline[V], zone: ZoneInfo) -> list[tuple[date, V]]:
    """The value at the end of each day on which it changed: a day's figures are those of its end."""
    days = {day_of(at, zone): value for at, value in timeline}
    kept: list[tuple[date, V]] = []
    for day, value in days.items():
        if not kept or kept[-1][1] != value:
            kept.append((day, value))
    return kept


def status_at(item: WorkItem, at: int) -> Past:
    """The name of the status at a moment."""
    changes = [change for change in item.history if change.field == "status"]
    passed = bisect_right([micros(change.at) for change in changes], at)
    return item.status if passed == len(changes) else changes[passed].before


def updated_at(item: WorkItem, at: int) -> datetime:
    """When it had last changed, up to a moment."""
    passed = [change.at for change in item.history if micros(change.at) <= at]
    return item.updated_at if len(passed) == len(item.history) else (passed or [item.created_at])[-1]


def finished_at(item: WorkItem, at: int) -> int | None:
    """When it last became done, up to a moment at which it is: as the tracker says, else by its history."""
    if item.done_at is not None and micros(item.done_at) <= at:
        return micros(item.done_at)
    moves: Timeline[bool] = [
        (micros(change.at), change.before_category != "done")
        for change in item.history
        if change.field == "status" and change.after_category == "done" and micros(change.at) <= at
    ]
    return next((on for on, became in reversed(moves) if became), None)


def item_at(item: WorkItem, at: int) -> WorkItem | None:
    """The item as it was at a moment; None before it was created. What carries no history is as it is now."""
    state = value_at(lifetime(item), at)
    if state is None or not item.history or micros(item.history[-1].at) <= at:
        return None if state is None else item
    done = finished_at(item, at) if state.status_category == "done" else None
    status = status_at(item, at)
    return _replace(
        item,
        **{name: getattr(state, name) for name in _NAMES},
        status=status if isinstance(status, str) else item.status,
        resolution_name=item.resolution_name if state.resolution == item.resolution else None,
        updated_at=updated_at(item, at),
        started_at=item.started_at if item.started_at is not None and micros(item.started_at) <= at else None,
        done_at=None if done is None else moment(done),
    )
