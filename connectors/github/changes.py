"""Pure: what became of an issue's type and of its parent, by its events.

API facts: GitHub's OpenAPI description, schemas ``issue-type-*-issue-event`` and ``parent-issue-*-issue-event``.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.text import clean
from schemas.work import Transition, TransitionField

TYPED = ("issue_type_added", "issue_type_changed", "issue_type_removed")
PARENTED = ("parent_issue_added", "parent_issue_removed")

#: An event with its time and its id, as they are in order.
Step = tuple[datetime, int, Mapping[str, Any]]


def types_of(steps: Sequence[Step]) -> list[Transition]:
    """The types that an issue had, by their names then.

    Nothing where an event does not say which type it was, as hosts did at first: half a past is a wrong one.
    """
    changes = []
    for at, id_, event in steps:
        what = event.get("event")
        if what not in TYPED:
            continue
        before = None if what == "issue_type_added" else _name(event.get("prev_issue_type"))
        after = None if what == "issue_type_removed" else _name(event.get("issue_type"))
        if (before is None) is not (what == "issue_type_added") or (after is None) is not (what == TYPED[2]):
            return []
        changes.append(_change("type", at, id_, before, after))
    return changes


def parents_of(steps: Sequence[Step], uids: Mapping[str, str]) -> list[Transition]:
    """The parents that an issue had, by their uids. Nothing where one of them is not told, or not ours to read."""
    changes = []
    for at, id_, event in steps:
        what = event.get("event")
        if what not in PARENTED:
            continue
        name = event.get("parent_issue")
        uid = uids.get(name) if isinstance(name, str) else None
        if uid is None:
            return []
        added = what == PARENTED[0]
        changes.append(_change("parent", at, id_, None if added else uid, uid if added else None))
    return changes


def _change(field: TransitionField, at: datetime, id_: int, before: str | None, after: str | None) -> Transition:
    return Transition(id=f"{id_}:{field}", field=field, at=at, before=before, after=after, origin="event")


def _name(value: Any) -> str | None:
    return (clean(value.get("name")) or None) if isinstance(value, Mapping) else None
