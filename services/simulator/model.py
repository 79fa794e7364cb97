"""What the simulated trackers hold: containers, milestones, items, and the changes of items."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

Tracker = Literal["jira", "github"]
ContainerState = Literal["live", "archived", "trashed", "hidden"]
"""``hidden`` is a container whose permission our account has lost."""

TO_DO, IN_PROGRESS, IN_REVIEW, DONE = "To Do", "In Progress", "In Review", "Done"
OPEN, CLOSED = "open", "closed"
CATEGORIES = {TO_DO: "new", IN_PROGRESS: "indeterminate", IN_REVIEW: "indeterminate", DONE: "done"}
"""The key of Jira's status category for each status of the site."""
JIRA_TYPES = ("Epic", "Story", "Task", "Bug", "Incident", "Sub-task")
JIRA_RESOLUTIONS = (DONE, "Won't Do", "Duplicate", "Cannot Reproduce")
GITHUB_TYPES = ("Task", "Bug", "Feature")


class Edit(NamedTuple):
    """One field of an item, before and after; the values have the shape that the attribute of `Item` has."""

    field: str
    before: Any
    after: Any


class Change(NamedTuple):
    """What one person did to an item in one go: a history of Jira's, or the cause of GitHub's events."""

    id: int
    at: datetime
    author: int
    edits: tuple[Edit, ...]


class Worklog(NamedTuple):
    """Time that somebody spent on an item, and said so later."""

    id: int
    started: datetime
    seconds: int
    logged: datetime


@dataclass(slots=True, eq=False)
class Item:
    """A Jira issue, a GitHub issue or a pull request. Folding ``history`` onto its first state gives its state."""

    id: int  #: immutable, and unique in the world
    tracker: Tracker
    container: int
    number: int  #: ``PAY-7`` has number 7, and so has ``acme/pay#7``
    title: str
    type: str | None
    status: str
    created: datetime
    updated: datetime
    reporter: int
    pull_request: bool = False
    resolution: str | None = None  #: a name of Jira's, or GitHub's state_reason
    resolved: datetime | None = None
    merged: datetime | None = None
    labels: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    milestones: tuple[int, ...] = ()
    sprints: tuple[int, ...] = ()
    parent: int | None = None
    points: float | None = None
    estimate_s: int | None = None
    spent_s: int | None = None
    worklogs: list[Worklog] = field(default_factory=list)  #: where they are known, their sum is ``spent_s``
    due: date | None = None
    assignee: int | None = None
    goal: str | None = None
    team: str | None = None
    effort: str = ""  #: which part of the simulated work it belongs to; no tracker shows this
    former: tuple[tuple[int, int], ...] = ()  #: containers and numbers that it had before
    history: list[Change] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return self.status in (DONE, CLOSED)


@dataclass(slots=True, eq=False)
class Milestone:
    """A Jira version or a GitHub milestone."""

    id: int
    container: int
    number: int
    title: str
    created: datetime
    updated: datetime
    start: date | None = None
    due: date | None = None
    closed: datetime | None = None  #: released, or closed
    archived: bool = False


@dataclass(slots=True, eq=False)
class Sprint:
    """A stretch of work on a Scrum board; ``completed`` is when somebody closed it."""

    id: int
    container: int  #: whose board it is on
    title: str
    start: datetime | None = None
    end: datetime | None = None
    completed: datetime | None = None

    @property
    def state(self) -> str:
        return "closed" if self.completed else "active" if self.start else "future"


@dataclass(slots=True, eq=False)
class Container:
    """A Jira project or a GitHub repository. ``items`` is sorted by id, which is the order of creation."""

    id: int
    tracker: Tracker
    key: str
    title: str
    created: datetime
    updated: datetime
    state: ContainerState = "live"
    team_managed: bool = False  #: a Jira project with statuses and a points field of its own
    former_keys: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    next_number: int = 1
    items: list[Item] = field(default_factory=list)
    milestones: list[Milestone] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)  #: name to id


def fold(item: Item) -> dict[str, Any]:
    """The state that an item's history leads to, for each field that ever changed.

    Raises ValueError where a change does not begin at what the one before it left.
    """
    state: dict[str, Any] = {}
    for change in item.history:
        for edit in change.edits:
            if edit.field in state and state[edit.field] != edit.before:
                raise ValueError(f"change {change.id} of item {item.id}: {edit.field} did not hold {edit.before!r}")
            state[edit.field] = edit.after
    return state


def first_state(item: Item, name: str) -> Any:
    """The value that a field had when the item was created."""
    for change in item.history:
        for edit in change.edits:
            if edit.field == name:
                return edit.before
    return getattr(item, name)
