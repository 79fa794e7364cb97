"""How work flows: items come, are begun, reviewed, finished, reopened, given up and changed on the way."""

from collections import deque
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from services.simulator.model import IN_PROGRESS, IN_REVIEW, OPEN, TO_DO, Container, Item, Milestone
from services.simulator.world import Step, World

_WEEK = 40.0  #: hours of work
_VERBS = ("Add", "Simplify", "Repair", "Speed up", "Test", "Explain", "Rework")
_PLACES = ("on the phone", "for new customers", "in the back office", "for partners", "at night", "under load")
_POINTS = (1.0, 2.0, 2.0, 3.0, 3.0, 5.0, 8.0)
_RELEASE_DAYS = 60
_FURTHER_LABELS = ("customer-wish", "technical-debt", "needs-design", "quick-win")

# What happens on the way, as a share of items
_ESTIMATED, _TIMED, _BROKEN_DOWN, _GIVEN_UP, _SENT_BACK, _REOPENED = 0.8, 0.5, 0.08, 0.06, 0.08, 0.04
_REESTIMATED, _RELABELLED, _POSTPONED, _BY_PULL_REQUEST = 0.10, 0.10, 0.06, 0.45


@dataclass(kw_only=True, eq=False)
class Flow:
    """One stream of items through one team; everything it does is a step in the world's schedule."""

    container: str
    tag: str
    team: tuple[int, ...]
    team_name: str
    size: int
    pace: float | None
    stretch: float
    growth: float
    grows_from: datetime
    subjects: tuple[str, ...]
    epics: tuple[str, ...]
    milestone: str | None
    due: date | None
    components: tuple[str, ...]
    labels: tuple[str, ...]
    types: tuple[str, ...]
    goal: str | None
    _waiting: deque[Item] = field(default_factory=deque)
    _parents: list[Item] = field(default_factory=list)

    def begin(self, world: World, start: datetime) -> None:
        if self.size:
            world.schedule(world.hours.after(start, 0.5), self._open)
        if self.growth:
            self._expect(world, max(self.grows_from, world.now))

    # -- items come --------------------------------------------------------------------------------------------

    def _open(self, world: World, at: datetime) -> None:
        """The start: milestone and epics at once, most items within weeks."""
        where = world.container(self.container)
        if self.milestone:
            self._milestone(world, where)
        for title in self.epics:
            type = "Epic" if where.tracker == "jira" else None
            epic = world.create(where, title, type=type, due=self.due, **self._marks(world, where))
            self._parents.append(epic)
        coming = at
        for _ in range(self.size):
            coming = world.hours.after(coming, world.random.expovariate(self.size / (4 * _WEEK * self.stretch)))
            world.schedule(coming, self._come)
        if self.pace:
            self._pull_later(world, world.hours.after(at, 4.0))

    def _expect(self, world: World, at: datetime) -> None:
        world.schedule(world.hours.after(at, world.random.expovariate(self.growth / _WEEK)), self._grow)

    def _grow(self, world: World, at: datetime) -> None:
        self._come(world, at)
        self._expect(world, at)

    def _come(self, world: World, at: datetime) -> None:
        where = world.container(self.container)
        dice = world.random
        jira = where.tracker == "jira"
        title = f"{dice.choice(_VERBS)} {dice.choice(self.subjects)} {dice.choice(_PLACES)}"
        estimates: dict[str, float | int] = {}
        if jira and dice.random() < _ESTIMATED:
            estimates["points"] = dice.choice(_POINTS)
        if jira and dice.random() < _TIMED:
            estimates["estimate_s"] = int(estimates.get("points", 3) * 2) * 3600
        parent = dice.choice(self._parents) if self._parents else None
        if parent is not None and parent.done:
            world.reopen(parent)
        item = world.create(
            where,
            title,
            type=dice.choice(self.types),
            parent=parent.id if parent else None,
            reporter=dice.choice(self.team),
            **self._marks(world, where),
            **estimates,
        )
        self._waiting.append(item)
        if self.pace is None:
            urgent = item.type == "Incident"
            self._later(world, at, 1.0 if urgent else 30.0, lambda w, t: self._start(w, t, item))
        if dice.random() < _GIVEN_UP:
            self._later(world, at, 60.0, lambda w, t: self._give_up(w, item))
        if dice.random() < _REESTIMATED and jira:
            self._later(world, at, 50.0, lambda w, t: self._estimate_again(w, item))
        if dice.random() < _RELABELLED:
            self._later(world, at, 40.0, lambda w, t: self._label(w, item))
        if dice.random() < _POSTPONED:
            self._later(world, at, 120.0, lambda w, t: self._postpone(w, item))

    def _marks(self, world: World, where: Container) -> dict[str, object]:
        """What an item of this stream carries from the beginning."""
        marks: dict[str, object] = {"effort": self.tag, "labels": tuple(sorted(self.labels))}
        if self.milestone:
            marks["milestones"] = (self._milestone(world, where).id,)
        if where.tracker == "jira":
            marks |= {"components": self.components, "goal": self.goal, "team": self.team_name}
            if not self.milestone and not where.team_managed:
                marks["milestones"] = (_release(world, where).id,)
        return marks

    def _milestone(self, world: World, where: Container) -> Milestone:
        for one in where.milestones:
            if one.title == self.milestone:
                return one
        return world.add_milestone(where, self.milestone or "", start=world.now.date(), due=self.due)

    # -- items are worked on ---------------------------------------------------------------------------------------

    def _pull_later(self, world: World, at: datetime) -> None:
        # steadier than a Poisson flow, so that a pace shows within months whatever the seed
        gap = world.random.gammavariate(4.0, _WEEK / (self.pace or 1.0) / 4.0)
        world.schedule(world.hours.after(at, gap), self._pull)

    def _pull(self, world: World, at: datetime) -> None:
        """A hand is free: begin what has waited longest."""
        while self._waiting:
            item = self._waiting.popleft()
            if item.id in world.items and not item.done:
                self._start(world, at, item)
                break
        self._pull_later(world, at)

    def _start(self, world: World, at: datetime, item: Item) -> None:
        if item.id not in world.items or item.done or item.status == IN_PROGRESS:
            return
        dice = world.random
        who = dice.choice(self.team)
        if item.tracker == "github":
            world.edit(item, author=who, assignee=who)
            if dice.random() < _BY_PULL_REQUEST:
                self._later(world, at, 10.0, lambda w, t: self._propose(w, t, item, who))
        else:
            world.edit(item, author=who, assignee=who, status=IN_PROGRESS)
            if item.type == "Story" and dice.random() < _BROKEN_DOWN:
                self._break_down(world, at, item, who)
                return
        urgent = item.type == "Incident"
        self._later(world, at, 4.0 if urgent else 12.0, lambda w, t: self._review(w, t, item, who))

    def _break_down(self, world: World, at: datetime, item: Item, who: int) -> None:
        where = world.containers[item.container]
        for part in ("the data", "the screen", "the tests")[: world.random.randint(2, 3)]:
            child = world.create(
                where, f"{item.title}: {part}", type="Sub-task", parent=item.id, reporter=who, effort=self.tag,
                team=item.team,
            )  # fmt: skip
            self._later(world, at, 10.0, partial(self._start, item=child))

    def _propose(self, world: World, at: datetime, item: Item, who: int) -> None:
        where = world.containers[item.container]
        request = world.create(
            where, f"{item.title} (#{item.number})", pull_request=True, reporter=who, assignee=who, effort=self.tag,
            labels=item.labels, milestones=item.milestones,
        )  # fmt: skip
        self._later(world, at, 8.0, lambda w, t: self._settle(w, request, who))

    def _settle(self, world: World, request: Item, who: int) -> None:
        if request.id not in world.items or request.done:
            return
        if world.random.random() < 0.9:
            world.merge(request, author=who)
        else:
            world.finish(request, author=who)

    def _review(self, world: World, at: datetime, item: Item, who: int) -> None:
        if item.id not in world.items or item.done:
            return
        if item.tracker == "jira":
            world.edit(item, author=who, status=IN_REVIEW)
            if world.random.random() < _SENT_BACK:
                self._later(world, at, 3.0, lambda w, t: self._send_back(w, t, item, who))
                return
        self._later(world, at, 5.0, lambda w, t: self._finish(w, t, item, who))

    def _send_back(self, world: World, at: datetime, item: Item, who: int) -> None:
        if item.id in world.items and not item.done:
            world.edit(item, author=who, status=IN_PROGRESS)
            self._later(world, at, 8.0, lambda w, t: self._review(w, t, item, who))

    def _finish(self, world: World, at: datetime, item: Item, who: int) -> None:
        if item.id not in world.items or item.done:
            return
        values: dict[str, Any] = (
            {"spent_s": _spent(item.estimate_s, world.random.lognormvariate(0.1, 0.4))} if item.estimate_s else {}
        )
        world.finish(item, author=who, **values)
        if world.random.random() < _REOPENED:
            self._later(world, at, 30.0, lambda w, t: self._reopen(w, t, item, who))
        elif item.parent is not None and item.parent in world.items:
            self._later(world, at, 16.0, lambda w, t: self._close_parent(w, t, item, who))

    def _reopen(self, world: World, at: datetime, item: Item, who: int) -> None:
        if item.id in world.items and item.done:
            world.reopen(item, author=who)
            self._later(world, at, 8.0, lambda w, t: self._finish(w, t, item, who))

    def _close_parent(self, world: World, at: datetime, item: Item, who: int) -> None:
        """A story ends with its last sub-task, an epic with its last item once all of them have come."""
        parent = world.items.get(item.parent or 0)
        if parent is None or parent.done:
            return
        children = [world.items[one] for one in world.children.get(parent.id, ())]
        growing = self.growth > 0 and parent in self._parents
        last = parent.type == "Story" or not (growing or self._waiting)
        if last and all(child.done for child in children):
            world.finish(parent, author=who)
            if parent in self._parents and all(one.done for one in self._parents):
                self._release_milestone(world)

    def _release_milestone(self, world: World) -> None:
        """The milestone of an initiative is over once all of its epics are."""
        where = world.container(self.container)
        if self.milestone:
            world.set_milestone(self._milestone(world, where), closed=world.now)

    # -- items change ----------------------------------------------------------------------------------------------

    def _give_up(self, world: World, item: Item) -> None:
        if item.id in world.items and item.status in (TO_DO, OPEN) and item.assignee is None:
            jira = item.tracker == "jira"
            rest = ("Won't Do", "Duplicate") if jira else ("not_planned", "duplicate")
            world.finish(item, world.random.choice((rest[0], *rest)), author=world.random.choice(self.team))

    def _estimate_again(self, world: World, item: Item) -> None:
        if item.id in world.items and item.points is not None:
            world.edit(item, author=world.random.choice(self.team), points=world.random.choice((*_POINTS, 13.0)))

    def _label(self, world: World, item: Item) -> None:
        if item.id in world.items:
            label = world.random.choice(_FURTHER_LABELS)
            labels = set(item.labels) ^ {label}
            world.edit(item, author=world.random.choice(self.team), labels=tuple(sorted(labels)))

    def _postpone(self, world: World, item: Item) -> None:
        """An item moves to the next release of its project; the milestone of an initiative keeps its own."""
        if item.id not in world.items or item.done or self.milestone or not item.milestones:
            return
        where = world.containers[item.container]
        if where.tracker == "jira":
            world.edit(item, author=world.random.choice(self.team), milestones=(_release(world, where, 1).id,))

    def _later(self, world: World, at: datetime, hours: float, step: Step) -> None:
        """Some time after ``at``: ``hours`` of work in the middle, with a long tail."""
        world.schedule(world.hours.after(at, hours * world.random.lognormvariate(0.0, 0.7)), step)


def _spent(estimate_s: int, factor: float) -> int:
    return max(900, int(estimate_s * factor) // 900 * 900)


def _release(world: World, where: Container, ahead: int = 0) -> Milestone:
    """The release that the project works towards now, or one after it; those that are over are released."""
    today = world.now.date()
    releases = [one for one in where.milestones if one.title.startswith(f"{where.key} ")]
    for one in releases:
        if one.closed is None and one.due is not None and one.due < today:
            world.set_milestone(one, closed=world.now)
    open_ = [one for one in releases if one.closed is None]
    while len(open_) <= ahead:
        start = (releases[-1].due or today) if releases else today
        start = max(start, today)
        title = f"{where.key} {len(releases) + 1}.0"
        added = world.add_milestone(where, title, start=start, due=start + timedelta(days=_RELEASE_DAYS))
        releases.append(added)
        open_.append(added)
    return open_[ahead]
