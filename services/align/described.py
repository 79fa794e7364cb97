"""Pure: what only expressions see of an item (title, status, estimates, times), as it was at a moment."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from schemas.work import WorkItem
from services.ledger.history import Snapshot, finished_at, micros, moment, status_at, updated_at


class Described(Mapping[str, Any]):
    """One item's values at a moment, gathered when an expression first asks, so that other rules pay nothing.

    Numbers are doubles, times are timestamps, dates plain text, absent values null. What carries no history (title,
    due date, address) is as it is now; what had not happened yet is null.
    """

    def __init__(self, item: WorkItem, state: Snapshot, at: int) -> None:
        self._item = item
        self._state = state
        self._at = at

    @property
    def asked(self) -> bool:
        """Whether an expression looked."""
        return "_values" in self.__dict__

    @cached_property
    def _values(self) -> dict[str, Any]:
        item, state = self._item, self._state
        done_at = finished_at(item, self._at) if state.status_category == "done" else None
        begun = item.started_at is not None and micros(item.started_at) <= self._at
        return {
            "external_id": item.external_id,
            "title": item.title,
            "status": status_at(item, self._at),
            "status_category": state.status_category,
            "resolution": state.resolution,
            "resolution_name": item.resolution_name if state.resolution == item.resolution else None,
            "estimate_points": _double(state.estimate_points),
            "original_estimate_s": _double(state.original_estimate_s),
            "time_spent_s": _double(state.time_spent_s),
            "created_at": item.created_at,
            "updated_at": updated_at(item, self._at),
            "started_at": item.started_at if begun else None,
            "done_at": None if done_at is None else moment(done_at),
            "due_date": None if item.due_date is None else item.due_date.isoformat(),
            "availability": state.availability,
            "url": item.url,
        }

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def renamings(item: WorkItem) -> list[int]:
    """When the status changed: expressions see its name, where the ledger sees its category only."""
    return [micros(change.at) for change in item.history if change.field == "status"]


def _double(value: float | None) -> float | None:
    return None if value is None else float(value)
