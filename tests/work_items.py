"""Builders of work items with defaults, so that a test shows only what matters."""

from datetime import UTC, datetime
from typing import Any

from schemas.work import Kind, Milestone, Transition, TransitionField, WorkItem, item_uid, milestone_uid


def at(text: str) -> datetime:
    """``2026-03-01`` or ``2026-03-01 12:30`` as an aware UTC time."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def an_item(number: int, *, source: str = "acme-jira", kind: Kind = "issue", **fields: Any) -> WorkItem:
    """A story in project PAY, created at the start of 2026, to do."""
    defaults: dict[str, Any] = {
        "uid": item_uid(source, kind, number),
        "source": source,
        "external_id": str(number),
        "key": f"PAY-{number}",
        "container": "PAY",
        "kind": kind,
        "type": "Story",
        "title": f"Story {number}",
        "status": "To Do",
        "status_category": "todo",
        "created_at": at("2026-01-05 09:00"),
        "updated_at": at("2026-01-05 09:00"),
    }
    return WorkItem(**(defaults | fields))


def a_change(field: TransitionField, when: str, before: Any, after: Any, number: int = 1, **more: Any) -> Transition:
    """One dated change."""
    return Transition(id=f"{field}:{when}:{number}", field=field, at=at(when), before=before, after=after, **more)


def to_done(when: str, before: str = "todo") -> Transition:
    """The change of status that finished an item."""
    return a_change("status", when, "To Do", "Done", before_category=before, after_category="done")


def done(number: int, when: str, **fields: Any) -> WorkItem:
    """An item that was finished and delivered."""
    return an_item(
        number,
        status="Done",
        status_category="done",
        resolution="delivered",
        history=(
            to_done(when),
            a_change("resolution", when, None, "delivered"),
        ),
        **({"updated_at": at(when), "done_at": at(when)} | fields),
    )


def a_milestone(number: int, title: str, *, source: str = "acme-jira", **fields: Any) -> Milestone:
    """A version of project PAY."""
    defaults: dict[str, Any] = {
        "uid": milestone_uid(source, "version", number),
        "source": source,
        "external_id": str(number),
        "kind": "version",
        "title": title,
        "container": "PAY",
    }
    return Milestone(**(defaults | fields))
