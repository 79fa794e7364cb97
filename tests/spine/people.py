"""People who change what both trackers hold, by dice, and a stage on which one world after the other is shown."""

from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

from starlette.types import ASGIApp, Receive, Scope, Send

from services.simulator.model import Container, ContainerState, Item
from services.simulator.serve import serve_in_thread
from tests.ingest.conftest import Trackers


class People:
    """Whatever people do to the items and containers of both trackers, by dice."""

    def __init__(self, trackers: Trackers, seed: int) -> None:
        self.trackers = trackers
        self.world = trackers.world
        self.dice = Random(seed)
        self.done = Counter[str]()
        self._deeds: dict[str, tuple[int, Callable[[], None]]] = {
            "edit": (8, self._edit),
            "finish": (4, lambda: self.world.finish(self._item())),
            "reopen": (2, lambda: self.world.reopen(self._item())),
            "touch": (2, lambda: self.world.touch(self._item())),
            "create": (3, self._create),
            "delete": (4, lambda: self.world.delete(self._item())),
            "move": (4, self._move),
            "link": (3, self._link),
            "rename_label": (2, self._rename_label),
            "close_container": (1, self._close),
            "open_container": (2, self._open),
        }

    def act(self) -> None:
        """One deed, a second after the last; none where there is nothing left to do it to."""
        with self.world.lock:
            self.trackers.later(seconds=1)
            names = list(self._deeds)
            name = self.dice.choices(names, [weight for weight, _ in self._deeds.values()])[0]
            if name in ("create", "open_container", "close_container", "rename_label") or self._living():
                self._deeds[name][1]()
                self.done[name] += 1

    def _containers(self) -> list[Container]:
        return [one for one in self.world.containers.values() if one.state == "live"]

    def _living(self) -> list[Item]:
        return [item for one in self._containers() for item in one.items]

    def _item(self) -> Item:
        return self.dice.choice(self._living())

    def _edit(self) -> None:
        item = self._item()
        labels = tuple(sorted(self.dice.sample(("run", "growth", "debt", "security"), self.dice.randint(0, 3))))
        self.world.edit(item, title=f"{item.title.split('!')[0]}!{self.dice.randint(1, 999)}", labels=labels)

    def _create(self) -> None:
        if places := self._containers():
            place = self.dice.choice(places)
            pull = place.tracker == "github" and self.dice.random() < 0.3
            self.world.create(place, "New", pull_request=pull)

    def _move(self) -> None:
        item = self._item()
        targets = [one for one in self._containers() if one.tracker == item.tracker and one.id != item.container]
        if not targets or item.pull_request:
            return
        if item.tracker == "jira":
            self.world.move(item, targets[0])
        else:
            self.world.transfer(item, targets[0])

    def _link(self) -> None:
        """Tie an issue of Jira's to another, or untie one of its links."""
        jira = [item for item in self._living() if item.tracker == "jira"]
        if len(jira) < 2:
            return
        one, other = self.dice.sample(jira, 2)
        if ties := self.world.ties.of(one.id):
            self.world.unlink(self.dice.choice(ties))
        else:
            self.world.link(self.dice.choice(("Blocks", "Relates")), one, other)

    def _rename_label(self) -> None:
        """Call a label of a repository otherwise, or take it away: no issue changes by it."""
        places = [one for one in self._containers() if one.tracker == "github" and one.labels]
        if places:
            place = self.dice.choice(places)
            label = self.dice.choice(sorted(place.labels))
            gone = self.dice.random() < 0.3
            self.world.rename_label(place, label, None if gone else f"{label}~{self.dice.randint(1, 10**6)}")

    def _close(self) -> None:
        place = self.dice.choice(list(self.world.containers.values()))
        states: tuple[ContainerState, ...] = (
            ("archived", "trashed", "hidden") if place.tracker == "jira" else ("hidden",)
        )
        self.world.set_container(place.key, self.dice.choice(states))

    def _open(self) -> None:
        self.world.set_container(self.dice.choice(list(self.world.containers.values())).key, "live")


class Stage:
    """Two addresses at which one world after the other is shown."""

    def __init__(self) -> None:
        self._apps: tuple[ASGIApp, ...] = ()

    def show(self, trackers: Trackers) -> None:
        self._apps = tuple(trackers.faults.around(one.app()) for one in (trackers.jira, trackers.github))

    def app(self, place: int) -> ASGIApp:
        async def shown(scope: Scope, receive: Receive, send: Send) -> None:
            await self._apps[place](scope, receive, send)

        return shown


def worlds(seeds: int) -> Iterator[tuple[int, Trackers]]:
    """One world after the other, each by its seed, all at the same two addresses."""
    stage = Stage()
    stage.show(Trackers())
    with serve_in_thread(stage.app(0), stage.app(1)) as urls:
        for seed in range(seeds):
            trackers = Trackers()
            trackers.urls = dict(zip(("jira", "github"), urls, strict=True))
            stage.show(trackers)
            yield seed, trackers
