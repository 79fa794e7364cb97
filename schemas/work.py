"""What trackers hold, in one shape for all of them: work items, their history, milestones, gaps."""

from datetime import UTC, date, datetime
from typing import Literal

import msgspec

Kind = Literal["issue", "pull_request"]
MilestoneKind = Literal["version", "milestone", "sprint", "iteration"]
StatusCategory = Literal["todo", "in_progress", "done", "unknown"]
Resolution = Literal["delivered", "not_delivered", "duplicate", "unknown"]
Availability = Literal["present", "suspect", "deleted", "archived", "trashed", "moved", "access_lost", "unobserved"]
RemovalReason = Literal["deleted", "moved", "archived", "access_lost"]
TransitionField = Literal[
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
]
LinkKind = Literal["blocks", "closes", "duplicates", "clones", "relates", "other"]
"""What one end of a link does to the other; ``closes`` is a pull request that ends an issue when it is merged."""
FieldValue = str | float | bool | list[str] | None
"""A custom field as rules and the feed see it: text, number, truth, several texts, or nothing."""
Past = str | float | list[str] | dict[str, FieldValue] | None


def item_uid(source: str, kind: Kind, external_id: str | int) -> str:
    """The identity of a work item: ``{source}:{kind}:{the tracker's immutable id}``."""
    return f"{source}:{kind}:{external_id}"


def milestone_uid(source: str, kind: MilestoneKind, external_id: str | int) -> str:
    """The identity of a milestone: ``{source}:{kind}:{the tracker's immutable id}``."""
    return f"{source}:{kind}:{external_id}"


class Transition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One dated change of one field, as the tracker's history tells it or as we saw it happen.

    ``before`` and ``after`` have the shape that the field has in `WorkItem`: a status is its name (its
    category stands beside it), labels, components and milestones are lists, a parent and a milestone are
    uids, estimates are numbers, ``fields`` is the whole mapping.
    """

    id: str  #: the tracker's own id of the change, or ``inferred:…``; unique within the item
    field: TransitionField
    at: datetime
    before: Past = None
    after: Past = None
    before_category: StatusCategory | None = None
    after_category: StatusCategory | None = None
    origin: Literal["changelog", "event", "inferred"] = "changelog"


class Link(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tie of an item to another one, as the tracker tells it at the item; the other end has it turned round."""

    id: str  #: the tracker's own id of the tie, the same at both ends; else one made of its two ends
    kind: LinkKind
    to: str  #: the other item's uid, also where that one is not ours to read
    inward: bool = False  #: the other item does it to this one: it blocks this one, closes it, …
    name: str = ""  #: the tracker's words for it, read from this end


class WorkItem(msgspec.Struct, frozen=True, kw_only=True):
    """A Jira issue, a GitHub issue or a pull request; ``history`` is sorted by time, then id.

    Times are aware and UTC. Estimates are finite and at least 0, or None. ``labels``, ``components`` and
    ``milestones`` (uids) are sorted and without duplicates; ``links`` are sorted by id, then by the other end.
    """

    uid: str
    source: str
    external_id: str
    key: str  #: ``PAY-18`` or ``acme/web#7``
    container: str  #: Jira project key or GitHub ``owner/name``
    kind: Kind
    title: str
    status: str
    status_category: StatusCategory
    created_at: datetime
    updated_at: datetime
    type: str | None = None
    previous_keys: tuple[str, ...] = ()
    resolution: Resolution | None = None
    resolution_name: str | None = None
    labels: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    milestones: tuple[str, ...] = ()
    parent: str | None = None
    links: tuple[Link, ...] | None = ()  #: None from a connector that cannot tell them now; never stored so
    estimate_points: float | None = None
    original_estimate_s: int | None = None
    time_spent_s: int | None = None
    started_at: datetime | None = None
    done_at: datetime | None = None
    due_date: date | None = None
    fields: dict[str, FieldValue] = {}
    team: str | None = None
    availability: Availability = "present"
    url: str = ""
    truncated: bool = False  #: text or a list was longer than we keep
    history: tuple[Transition, ...] = ()


class Milestone(msgspec.Struct, frozen=True, kw_only=True):
    """A Jira version, a GitHub milestone, a sprint or an iteration. Dates are plain days."""

    uid: str
    source: str
    external_id: str
    kind: MilestoneKind
    title: str
    container: str | None = None
    state: Literal["planned", "active", "done", "cancelled"] = "active"
    start_date: date | None = None
    due_date: date | None = None
    closed_at: datetime | None = None
    url: str = ""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Something a source holds that we could not read: never silence."""

    source: str
    container: str  #: a project key, ``owner/name``, or ``*`` for the whole source
    reason: str  #: a short code: ``forbidden``, ``not_found``, ``incomplete``, ``unreadable``
    detail: str = ""
    fix: str = ""


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """An item the tracker gave us that is no work item: kept, counted, and the rest goes on."""

    source: str
    container: str
    ref: str  #: the best name we have for it: id, key or position in the page
    problem: str
    raw: str = ""  #: the start of what came, at most 4,000 characters


_REQUIRED_UTC = "a time must be aware; naive times are refused"


def utc(moment: datetime) -> datetime:
    """The same moment in UTC. Raises ValueError for a naive time."""
    if moment.tzinfo is None:
        raise ValueError(_REQUIRED_UTC)
    return moment.astimezone(UTC)
