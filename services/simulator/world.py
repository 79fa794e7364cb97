"""The simulated world: everything its trackers hold, what people may do to it, and what is due to happen next."""

import heapq
from bisect import insort
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import count
from random import Random
from threading import RLock
from typing import Any

from services.simulator.boards import ProjectBoard
from services.simulator.hours import Hours
from services.simulator.model import (
    CLOSED,
    DONE,
    OPEN,
    TO_DO,
    Change,
    Container,
    ContainerState,
    Edit,
    Item,
    Milestone,
    Sprint,
    Tracker,
    Worklog,
)
from services.simulator.ties import Tie, TieKind, Ties

Step = Callable[["World", datetime], None]
_ME = 1
_MILLISECOND = timedelta(milliseconds=1)


class World:
    """A Jira site and a GitHub host in memory, with a clock of their own that only `advance` moves.

    ``watched`` is the moment from which on work goes on at any hour (see `Hours`). Whoever reads it from another
    thread holds ``lock``. Everything is decided by ``seed`` and the order of calls, never by the real clock.
    """

    def __init__(self, *, seed: int, start: datetime, watched: datetime) -> None:
        if start.tzinfo is None or watched.tzinfo is None:
            raise ValueError("a world begins at an aware time; naive times are refused")
        self.now = start.astimezone(UTC)
        self.seed = seed
        self.random = Random(seed)  # noqa: S311 - a simulation, no secret
        self.hours = Hours(watched)
        self.lock = RLock()
        self.revision = 0  #: grows with every change, so that readers can keep what they sorted
        self.containers: dict[int, Container] = {}
        self.milestones: dict[int, Milestone] = {}
        self.sprints: dict[int, Sprint] = {}
        self.items: dict[int, Item] = {}
        self.deleted: dict[tuple[int, int], int] = {}  #: container and number of what is gone, with its id
        self.transferred: dict[tuple[int, int], int] = {}  #: container and number to the id that it has now
        self.children: dict[int, set[int]] = {}
        self.ties = Ties()
        self.called: dict[str, dict[str, Any]] = {}  #: Jira's statuses and types, by kind and id
        self.boards: dict[tuple[str, int], ProjectBoard] = {}  #: by owner in lower case, and number
        self._numbers: dict[tuple[int, int], int] = {}
        self._ids = {"jira": count(10_001), "github": count(2_000_000_001)}
        self._changes = count(50_001)
        self._rows = count(101)
        self._order = count()
        self._due: list[tuple[datetime, int, Step]] = []

    # -- what happens by itself ------------------------------------------------------------------------------

    def schedule(self, at: datetime, step: Step) -> None:
        """Let something happen at a moment; what is due at the same moment happens in the order of scheduling."""
        heapq.heappush(self._due, (at, next(self._order), step))

    def advance(self, to: datetime) -> int:
        """Let everything happen that is due until ``to``, and set the clock to it; says how much happened.

        Two short advances do what one long one does. A moment that has passed changes nothing.
        """
        happened = 0
        with self.lock:
            while self._due and self._due[0][0] <= to:
                at, _, step = heapq.heappop(self._due)
                self.now = max(self.now, at)
                step(self, self.now)
                happened += 1
            self.now = max(self.now, to)
        return happened

    # -- containers and milestones ---------------------------------------------------------------------------

    def add_container(
        self, tracker: Tracker, key: str, title: str, *, components: Iterable[str] = (), team_managed: bool = False
    ) -> Container:
        found = Container(
            id=10_000 + len(self.containers) if tracker == "jira" else 900 + len(self.containers),
            tracker=tracker,
            key=key,
            title=title,
            created=self.now,
            updated=self.now,
            team_managed=team_managed,
            components=tuple(components),
        )
        self.containers[found.id] = found
        self.revision += 1
        return found

    def container(self, key: str) -> Container:
        """The container of a key. Raises KeyError."""
        for one in self.containers.values():
            if one.key == key:
                return one
        raise KeyError(f"the simulated world has no container {key}")

    def set_container(self, key: str, state: ContainerState) -> None:
        """Archive, trash, hide or bring back a container."""
        with self.lock:
            self.container(key).state = state
            self.revision += 1

    def rename_label(self, container: Container, label: str, to: str | None) -> None:
        """Give a label of a repository another name, or delete it; its issues do not change by it."""
        with self.lock:
            id_ = container.labels.pop(label)
            if to is not None:
                container.labels[to] = id_
            for item in container.items:
                if label in item.labels:
                    kept = [to if one == label else one for one in item.labels]
                    item.labels = tuple(one for one in kept if one is not None)
            self.revision += 1

    def rename_component(self, container: Container, component: str, to: str) -> None:
        """Give a component of a project another name."""
        with self.lock:
            container.components = tuple(to if one == component else one for one in container.components)
            for item in container.items:
                item.components = tuple(to if one == component else one for one in item.components)
            self.revision += 1

    def call(self, kind: str, id_: str, **values: Any) -> None:
        """From now on a status or a type of Jira's shows these values: its name, its category."""
        with self.lock:
            self.called.setdefault(f"{kind}:{id_}", {}).update(values)
            self.revision += 1

    def rename_container(self, key: str, to: str) -> None:
        """Give a container another key; the former one still leads to it, as both vendors do."""
        with self.lock:
            found = self.container(key)
            found.former_keys = (*found.former_keys, key)
            found.key = to
            self.revision += 1

    def add_milestone(
        self, container: Container, title: str, *, start: date | None = None, due: date | None = None
    ) -> Milestone:
        found = Milestone(
            id=next(self._rows),
            container=container.id,
            number=len(container.milestones) + 1,
            title=title,
            created=self.now,
            updated=self.now,
            start=start,
            due=due,
        )
        container.milestones.append(found)
        self.milestones[found.id] = found
        self.revision += 1
        return found

    def add_sprint(self, container: Container, title: str, **values: Any) -> Sprint:
        with self.lock:
            found = Sprint(next(self._rows), container.id, title, **values)
            self.sprints[found.id] = found
            self.revision += 1
            return found

    def set_sprint(self, sprint: Sprint, **values: Any) -> None:
        """Change title, start, end or completed; its issues are not touched by it."""
        with self.lock:
            for name, value in values.items():
                setattr(sprint, name, value)
            self.revision += 1

    def set_milestone(self, milestone: Milestone, **values: Any) -> None:
        """Change title, start, due, closed or archived; items are not touched by it, as with both vendors."""
        with self.lock:
            for name, value in values.items():
                setattr(milestone, name, value)
            milestone.updated = self.now
            self.revision += 1

    def delete_milestone(self, milestone: Milestone) -> None:
        with self.lock:
            self.containers[milestone.container].milestones.remove(milestone)
            del self.milestones[milestone.id]
            for item in self.containers[milestone.container].items:
                if milestone.id in item.milestones:
                    self.edit(item, milestones=tuple(one for one in item.milestones if one != milestone.id))
            self.revision += 1

    # -- items -----------------------------------------------------------------------------------------------

    def create(self, container: Container, title: str, *, type: str | None = None, **values: Any) -> Item:
        """A new item, open and without a history; ``values`` are attributes of `Item`."""
        with self.lock:
            item = Item(
                id=next(self._ids[container.tracker]),
                tracker=container.tracker,
                container=container.id,
                number=container.next_number,
                title=title,
                type=type,
                status=TO_DO if container.tracker == "jira" else OPEN,
                created=self._moment(container),
                updated=self._moment(container),
                reporter=values.pop("reporter", _ME),
                **values,
            )
            container.next_number += 1
            container.items.append(item)
            self._numbers[container.id, item.number] = item.id
            self.items[item.id] = item
            self._numbers[container.id, item.number] = item.id
            self._see_labels(container, item.labels)
            if item.parent is not None:
                self.children.setdefault(item.parent, set()).add(item.id)
            self.revision += 1
            return item

    def edit(self, item: Item, *, author: int = _ME, **values: Any) -> Change | None:
        """Change attributes of an item in one go; None where all of them held already."""
        with self.lock:
            edits = tuple(
                Edit(name, getattr(item, name), value) for name, value in values.items() if getattr(item, name) != value
            )
            if not edits:
                return None
            container = self.containers[item.container]
            for edit in edits:
                setattr(item, edit.field, edit.after)
                if edit.field == "parent":
                    self._reparent(item, edit.before, edit.after)
                elif edit.field == "labels":
                    self._see_labels(container, edit.after)
            change = Change(self.next_change(), self._moment(container), author, edits)
            item.history.append(change)
            item.updated = max(item.updated, change.at)
            self.revision += 1
            return change

    def next_change(self) -> int:
        return next(self._changes)

    def touch(self, item: Item) -> None:
        """Bump ``updated`` and nothing else, as a comment would."""
        with self.lock:
            item.updated = max(item.updated + _MILLISECOND, self._moment(self.containers[item.container]))
            self.revision += 1

    def link(self, kind: TieKind, subject: Item, object_: Item) -> Tie:
        """The one does it to the other; that both changed is told by Jira only."""
        with self.lock:
            tie = self.ties.add(kind, subject.id, object_.id)
            self._tied(subject, object_)
            return tie

    def unlink(self, tie: Tie) -> None:
        with self.lock:
            self.ties.remove(tie)
            self._tied(*(self.items[id_] for id_ in (tie.subject, tie.object) if id_ in self.items))

    def log_work(self, item: Item, seconds: int, started: datetime) -> Worklog:
        """Say that time was spent on an item from some moment on."""
        with self.lock:
            found = Worklog(next(self._rows), started, seconds, self._moment(self.containers[item.container]))
            item.worklogs.append(found)
            self.edit(item, spent_s=sum(one.seconds for one in item.worklogs))
            return found

    def unlog(self, item: Item, worklog: Worklog) -> None:
        """Take a worklog away again."""
        with self.lock:
            item.worklogs.remove(worklog)
            self.edit(item, spent_s=sum(one.seconds for one in item.worklogs) or None)

    def finish(self, item: Item, resolution: str | None = None, *, author: int = _ME, **values: Any) -> None:
        """Close an item; without a resolution it is delivered."""
        with self.lock:
            jira = item.tracker == "jira"
            values |= {"status": DONE if jira else CLOSED}
            if not item.pull_request:
                values |= {"resolution": resolution or (DONE if jira else "completed")}
            change = self.edit(item, author=author, **values)
            item.resolved = change.at if change else item.resolved

    def merge(self, item: Item, *, author: int = _ME) -> None:
        """Merge a pull request."""
        with self.lock:
            self.finish(item, author=author)
            item.merged = item.resolved

    def reopen(self, item: Item, *, author: int = _ME) -> None:
        with self.lock:
            item.resolved = None
            if item.tracker == "jira":
                self.edit(item, author=author, status="In Progress", resolution=None)
            else:
                self.edit(item, author=author, status=OPEN, resolution="reopened")

    def delete(self, item: Item) -> None:
        """An item goes, with its history; a child of it loses its parent without a word."""
        with self.lock:
            self._numbers.pop((item.container, item.number), None)
            self._leave(item)
            for child in self.children.pop(item.id, set()):
                self.items[child].parent = None
            self.revision += 1

    def move(self, item: Item, to: Container) -> None:
        """Move a Jira issue to another project: it keeps its id, and its former key leads to it."""
        with self.lock:
            old = self.containers[item.container]
            old.items.remove(item)
            item.former = (*item.former, (old.id, item.number))
            item.number, to.next_number = to.next_number, to.next_number + 1
            self._numbers[to.id, item.number] = item.id
            insort(to.items, item, key=lambda one: one.id)
            self.edit(item, container=to.id, milestones=(), components=())

    def transfer(self, item: Item, to: Container) -> Item:
        """Transfer a GitHub issue to another repository, where it gets a new number and a new id."""
        with self.lock:
            kept = {"labels": item.labels, "assignee": item.assignee, "reporter": item.reporter}
            new = self.create(to, item.title, type=item.type, pull_request=item.pull_request, **kept)
            new.created, new.status, new.resolution, new.resolved = (
                item.created,
                item.status,
                item.resolution,
                item.resolved,
            )
            self.transferred[item.container, item.number] = new.id
            self._numbers.pop((item.container, item.number), None)
            self._leave(item)
            return new

    def find(self, container: int, number: int) -> Item | None:
        """The item that has, or once had, this number in this container."""
        found = self._numbers.get((container, number))
        return self.items.get(found) if found is not None else None

    def key(self, item: Item) -> str:
        """``PAY-7`` or ``acme/pay#7``."""
        container = self.containers[item.container]
        return f"{container.key}{'-' if item.tracker == 'jira' else '#'}{item.number}"

    def of(self, tracker: Tracker) -> list[Item]:
        """The items of a tracker, by id."""
        return [item for item in self.items.values() if item.tracker == tracker]

    # -- within ----------------------------------------------------------------------------------------------

    def _moment(self, container: Container) -> datetime:
        # GitHub's times have whole seconds, Jira's milliseconds
        finest = 1_000_000 if container.tracker == "github" else 1000
        return self.now.replace(microsecond=self.now.microsecond // finest * finest)

    def _see_labels(self, container: Container, labels: Iterable[str]) -> None:
        for label in labels:
            if label not in container.labels:
                container.labels[label] = next(self._rows)

    def _reparent(self, item: Item, before: int | None, after: int | None) -> None:
        if before is not None:
            self.children.get(before, set()).discard(item.id)
        if after is not None:
            self.children.setdefault(after, set()).add(item.id)

    def _tied(self, *ends: Item) -> None:
        for item in ends:
            if item.tracker == "jira":
                self.touch(item)
        self.revision += 1

    def _leave(self, item: Item) -> None:
        self.ties.drop(item.id)
        self.containers[item.container].items.remove(item)
        del self.items[item.id]
        self.deleted[item.container, item.number] = item.id
        if item.parent is not None:
            self.children.get(item.parent, set()).discard(item.id)
