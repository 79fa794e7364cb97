"""Any schedule of faults and of changes ends equal to the tracker.

Each seed is a small world of its own: people edit, delete, move and archive between and during passes while requests
fail by lot. When the faults stop, passes go on until nothing changes any more; then what is stored is what is there.
``COURSELINE_SEEDS`` says how many seeds are tried.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from starlette.types import ASGIApp, Receive, Scope, Send

from schemas import wire
from schemas.events import WorkItemChanged, WorkItemRemoved
from services.simulator import vendor_faults as vendors
from services.simulator.faults import Fault, by_lot
from services.simulator.model import Container, ContainerState, Item
from services.simulator.serve import serve_in_thread
from services.storage import tables
from services.storage.database import Database
from tests.ingest.conftest import Reader, Trackers

SEEDS = int(os.environ.get("COURSELINE_SEEDS", "100"))
ROUNDS = 4
#: The longest chain: a container that is gone is asked for twice, its items are looked at, and looked at once more.
MOST_QUIET_PASSES = 12


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
            "close_container": (1, self._close),
            "open_container": (2, self._open),
        }

    def act(self) -> None:
        """One deed, a second after the last; none where there is nothing left to do it to."""
        with self.world.lock:
            self.trackers.later(seconds=1)
            names = list(self._deeds)
            name = self.dice.choices(names, [weight for weight, _ in self._deeds.values()])[0]
            if name in ("create", "open_container", "close_container") or self._living():
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


def trouble(people: People) -> list[Fault]:
    """All that may happen to a request of either tracker."""
    anything = "/"
    faults = [
        vendors.server_error(anything, 500),
        vendors.server_error(anything, 502),
        vendors.limited(anything, status=429, retry_after="2"),
        vendors.limited(anything, status=503, retry_after="1"),
        vendors.secondary_limit(r"/repositories/"),
        vendors.empty_body(anything),
        vendors.empty_body(anything, b"null"),
        vendors.empty_body(anything, b"{}"),
        vendors.login_page(anything),
        vendors.jira_unauthorized("/rest/api"),
        vendors.jira_anonymous(),
        vendors.github_unauthorized("/repositories/"),
        vendors.sso_required("/repositories/"),
        Fault(when="/repositories/", kind="answer", status=404, body=b'{"message": "Not Found"}'),
        Fault(when="/rest/api/3/issue/", kind="answer", status=404, body=b'{"errorMessages": ["no"]}'),
    ]
    faults += [Fault(when=anything, kind=kind) for kind in ("reset", "cut", "chunked_cut", "truncated")]
    faults += [Fault(when=r"/search|/issues\?", kind="short_page", size=2)]
    return faults + [Fault(when=anything, kind="pass", act=people.act)] * 6


@pytest.mark.timeout(120 + 10 * SEEDS)
async def test_any_schedule_of_faults_and_changes_ends_equal_to_the_tracker(
    sqlite_template: Path, tmp_path: Path
) -> None:
    """Seed by seed: what is stored in the end is what the trackers hold, and the log tells every step of it once."""
    met, deeds = Counter[str](), Counter[str]()
    stage = Stage()
    stage.show(Trackers())
    with serve_in_thread(stage.app(0), stage.app(1)) as urls:
        for seed in range(SEEDS):
            trackers = Trackers()
            trackers.urls = dict(zip(("jira", "github"), urls, strict=True))
            stage.show(trackers)
            people = People(trackers, seed)
            await _one(seed, trackers, people, sqlite_template, tmp_path / f"{seed}.db")
            met.update(one.fault.kind for one in trackers.faults.asked if one.fault is not None)
            deeds.update(people.done)
    if SEEDS >= 50:
        assert min(deeds[name] for name in ("edit", "delete", "move", "close_container", "open_container")) > SEEDS / 4
        assert met["answer"] > SEEDS
        assert met["pass"] > SEEDS


async def _one(seed: int, trackers: Trackers, people: People, template: Path, file: Path) -> None:
    shutil.copy(template, file)
    dice = Random(seed)
    database = Database(f"sqlite:///{file}", now=lambda: trackers.world.now)
    readers = [Reader(kind, trackers, database) for kind in ("jira", "github")]
    try:
        for reader in readers:
            trackers.fill(reader.here, 12)
            trackers.fill(reader.there, 5)
        for number in range(ROUNDS):
            trackers.faults.unruly(by_lot(seed * 100 + number, trouble(people), rate=0.25, most=25))
            for reader in readers:
                await reader.sync(full=dice.random() < 0.1)
            trackers.faults.clear()
            for _ in range(dice.randint(0, 6)):
                people.act()
            trackers.later(minutes=dice.choice((1, 2, 7, 20, 61)))
        await _quiet(readers, seed)
        for reader in readers:
            await _equal(reader, seed)
        await _told_once(database, seed)
    finally:
        for reader in readers:
            await reader.connector.close()
        await database.close()


async def _quiet(readers: list[Reader], seed: int) -> None:
    """Passes, an hour apart, until two in a row change nothing."""
    still = 0
    for _ in range(MOST_QUIET_PASSES):
        readers[0].trackers.later(minutes=61)
        before = await readers[0].stored()
        for reader in readers:
            assert (await reader.sync()).error is None, seed
        still = still + 1 if await readers[0].stored() == before else 0
        if still == 2:
            return
    pytest.fail(f"seed {seed}: still changing after {MOST_QUIET_PASSES} passes without faults")


#: What became of the items of a project; one that was archived or trashed before it went out of sight stays so, and
#: an issue that went to a project that went out of sight looks as deleted as it can.
AVAILABLE = {"archived": ("archived",), "trashed": ("trashed",), "hidden": ("access_lost", "archived", "trashed")}


async def _equal(reader: Reader, seed: int) -> None:
    stored = {uid: item for uid, item in (await reader.stored()).items() if item.source == reader.kind}
    world = reader.world
    truth = {reader.uid(item): item for item in world.items.values() if item.tracker == reader.kind}
    present = {uid for uid, item in stored.items() if item.availability == "present"}
    live = {uid for uid, item in truth.items() if world.containers[item.container].state == "live"}
    assert present == live, (seed, {uid: stored[uid].availability for uid in (present ^ live) & stored.keys()})
    for uid in live:
        item, held = truth[uid], stored[uid]
        assert (held.key, held.container) == (world.key(item), world.containers[item.container].key), (seed, uid)
        assert (held.title, held.labels) == (item.title, tuple(sorted(item.labels))), (seed, uid)
        assert held.status == item.status, (seed, uid)
    for uid in truth.keys() & stored.keys() - live:
        state = world.containers[truth[uid].container].state
        allowed = {*AVAILABLE[state], *(("deleted", "moved", "access_lost") if truth[uid].former else ())}
        assert stored[uid].availability in allowed, (seed, uid, state)


async def _told_once(database: Database, seed: int) -> None:
    """Revisions of an item are 1, 2, 3… in the log, and the last one is what is stored."""
    last: dict[str, Any] = {}
    revisions: dict[str, list[int]] = {}
    async with database.read() as connection:
        rows = await connection.execute(select(tables.log.c.value).order_by(tables.log.c.position))
        for row in rows:
            match wire.decode(row.value).data:
                case WorkItemChanged(after=item, revision=revision) | WorkItemRemoved(after=item, revision=revision):
                    revisions.setdefault(item.uid, []).append(revision)
                    last[item.uid] = item
        stored = {row.uid: (row.revision, bytes(row.content)) for row in await connection.execute(select(tables.items))}
    assert revisions == {uid: list(range(1, revision + 1)) for uid, (revision, _) in stored.items()}, seed
    assert {uid: msgspec.json.encode(item, order="deterministic") for uid, item in last.items()} == {
        uid: content for uid, (_, content) in stored.items()
    }, seed
