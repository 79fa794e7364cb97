"""Any schedule of faults and of changes, on boards and off them, ends equal to what boards and issues say.

Each seed is a small world of its own, as in `tests.spine.test_metamorphic`; ``COURSELINE_SEEDS`` says how many.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest

from services.simulator import vendor_faults as vendors
from services.simulator.boards import Entry, ProjectBoard, add_board
from services.simulator.faults import Fault, by_lot
from services.simulator.model import Item
from services.storage.database import Database
from tests.ingest.conftest import Reader, Trackers
from tests.spine.people import worlds
from tests.spine.truth import told_once

SEEDS = int(os.environ.get("COURSELINE_SEEDS", "40"))
ROUNDS = 4
MOST_QUIET_PASSES = 8


class Planners:
    """Whatever people do to two boards and to the issues and pull requests on them, by dice."""

    def __init__(self, trackers: Trackers, reader: Reader, seed: int) -> None:
        self.trackers = trackers
        self.reader = reader
        self.world = trackers.world
        self.dice = Random(seed)
        self.done = Counter[str]()
        self.boards = [self._board(number) for number in (7, 8)]
        self.deeds: dict[str, Callable[[], object]] = {
            "put": self._put,
            "clear": lambda: self._any_board().put(self._item(), Goal=None, Estimate=None, Status=None),
            "remove": lambda: self._on_board(lambda board, item: board.remove(item)),
            "archive": lambda: self._on_board(lambda board, item: board.archive(item)),
            "drag": lambda: self._on_board(lambda board, item: board.raise_to_top(item)),
            "rename": self._rename,
            "edit": lambda: self.world.edit(self._item(), title=f"Title {self.dice.randint(1, 999)}"),
            "close": lambda: self.world.finish(self._item()),
            "reopen": self._reopen,
            "create": self._create,
            "delete": lambda: self.world.delete(self._item()) if len(self.items()) > 5 else None,
            "hide": lambda: self.trackers.github.graphql.hidden.add(self._item().id),
            "show": lambda: self.trackers.github.graphql.hidden.clear(),
        }

    def act(self) -> None:
        """One deed, a second after the last."""
        with self.world.lock:
            self.trackers.later(seconds=1)
            name = self.dice.choice(["put", "put", "put", *self.deeds])
            self.deeds[name]()
            self.done[name] += 1

    def items(self) -> list[Item]:
        return [item for place in (self.reader.here, self.reader.there) for item in place.items]

    def entries(self, item: Item) -> list[tuple[ProjectBoard, Entry]]:
        """The entries of an item in the order in which they count."""
        found = [(board, one) for board in self.boards for one in board.entries if one.item == item.id]
        return sorted(found, key=lambda pair: pair[1].archived)

    def _board(self, number: int) -> ProjectBoard:
        made = add_board(self.world, "acme", number)
        made.add_field("Goal", "SINGLE_SELECT", options=("Growth", "Trust"))
        made.add_field("Estimate", "NUMBER")
        made.add_field("Iteration", "ITERATION")
        for place in range(3):
            made.add_iteration(f"Sprint {place}", date(2026, 11, 2 + 7 * place), 7)
        return made

    def _any_board(self) -> ProjectBoard:
        return self.dice.choice(self.boards)

    def _item(self) -> Item:
        return self.dice.choice(self.items())

    def _put(self) -> None:
        board = self._any_board()
        values: dict[str, Any] = {
            "Goal": self.dice.choice(list(board.field("Goal").options.values())),
            "Estimate": self.dice.choice((None, 0.0, 1.5, 8.0)),
            "Status": self.dice.choice(("Todo", "In Progress", "Done")),
            "Iteration": self.dice.choice((None, "Sprint 0", "Sprint 1", "Sprint 2")),
        }
        board.put(self._item(), **dict(self.dice.sample(sorted(values.items(), key=str), 2)))

    def _on_board(self, deed: Callable[[ProjectBoard, Item], None]) -> None:
        board = self._any_board()
        there = [item for item in self.items() if any(one.item == item.id for one in board.entries)]
        if there:
            deed(board, self.dice.choice(there))

    def _rename(self) -> None:
        field = self._any_board().field("Goal")
        option = self.dice.choice(list(field.options))
        field.options[option] = f"{field.options[option].split('!')[0]}!{self.dice.randint(1, 99)}"

    def _reopen(self) -> None:
        closed = [item for item in self.items() if item.done and not item.merged]
        if closed:
            self.world.reopen(self.dice.choice(closed))

    def _create(self) -> None:
        item = self.world.create(self.reader.here, "New", pull_request=self.dice.random() < 0.4)
        if self.dice.random() < 0.5:
            self._any_board().put(item, Goal=None, Estimate=3.0)


def trouble(planners: Planners) -> list[Fault]:
    """All that may happen to a request: much of it to queries."""
    queries, anything = "/graphql", "/"
    faults = [
        vendors.server_error(queries, 502),
        vendors.graphql_secondary_limit(),
        vendors.points_used_up(planners.world.now, resets_in=20),
        vendors.empty_body(queries),
        vendors.empty_body(queries, b"null"),
        vendors.empty_body(queries, b"{}"),
        vendors.empty_body(queries, b'{"data": {"node": null, "repositoryOwner": null}}'),
        vendors.login_page(queries),
        vendors.too_heavy(2),
        vendors.partly_forbidden(1),
        vendors.sso_required(queries),
        vendors.github_unauthorized(queries),
        vendors.server_error(anything, 500),
    ]
    faults += [Fault(when=anything, kind=kind) for kind in ("reset", "cut", "truncated")]
    return faults + [Fault(when=anything, kind="pass", act=planners.act)] * 6


@pytest.mark.timeout(120 + 10 * SEEDS)
async def test_any_schedule_of_faults_and_changes_ends_equal_to_the_boards(
    sqlite_template: Path, tmp_path: Path
) -> None:
    """Seed by seed: what is stored in the end is what issues and boards say, and the log tells every step once."""
    met, deeds = Counter[str](), Counter[str]()
    for seed, trackers in worlds(SEEDS):
        file = tmp_path / f"{seed}.db"
        shutil.copy(sqlite_template, file)
        database = Database(f"sqlite:///{file}", now=lambda: trackers.world.now)  # noqa: B023 - closed in this turn
        reader = Reader("github", trackers, database)
        try:
            deeds.update(await _one(seed, trackers, reader))
            await told_once(database, seed)
        finally:
            await reader.connector.close()
            await database.close()
        met.update(one.fault.kind for one in trackers.faults.asked if one.fault is not None)
    if SEEDS >= 40:
        assert min(deeds.values()) > SEEDS / 4
        assert met["answer"] > SEEDS


async def _one(seed: int, trackers: Trackers, reader: Reader) -> Counter[str]:
    trackers.fill(reader.here, 8)
    trackers.fill(reader.there, 4)
    planners = Planners(trackers, reader, seed)
    dice = Random(seed)
    for number in range(ROUNDS):
        await reader.only(project_boards=("acme/7", "acme/8"), fields={"Goal": "Goal"})
        trackers.faults.unruly(by_lot(seed * 100 + number, trouble(planners), rate=0.3, most=25))
        await reader.sync(full=dice.random() < 0.1)
        trackers.faults.clear()
        for _ in range(dice.randint(0, 8)):
            planners.act()
        trackers.later(minutes=dice.choice((1, 2, 7, 20, 61)))
    trackers.github.graphql.hidden.clear()
    await _quiet(reader, seed)
    stored = await reader.stored()
    for item in planners.items():
        assert _told(stored[reader.uid(item)]) == _truth(planners, item), (seed, reader.uid(item))
    return planners.done


def _told(item: Any) -> tuple[Any, ...]:
    iterations = {uid.rpartition(":")[2] for uid in item.milestones if ":iteration:" in uid}
    return item.title, item.fields["Goal"], item.estimate_points, iterations, item.status, item.status_category


def _truth(planners: Planners, item: Item) -> tuple[Any, ...]:
    goal = estimate = status = None
    iterations = set[str]()
    for board, entry in planners.entries(item):
        fields = [board.field(name) for name in ("Goal", "Estimate", "Status", "Iteration")]
        chosen = [entry.values.get(one.id, "") for one in fields]
        goal = goal if goal is not None else fields[0].options.get(chosen[0])
        estimate = estimate if estimate is not None else (None if chosen[1] == "" else chosen[1])
        status = status if status is not None else fields[2].options.get(chosen[2])
        iterations |= {f"{fields[3].id}.{chosen[3]}"} if chosen[3] else set()
    if item.done:
        return item.title, goal, estimate, iterations, "closed", "done"
    begun = item.pull_request or status in ("In Progress", "Done")
    return item.title, goal, estimate, iterations, status or "open", "in_progress" if begun else "todo"


async def _quiet(reader: Reader, seed: int) -> None:
    """Passes, an hour apart, until two in a row change nothing."""
    still = 0
    for _ in range(MOST_QUIET_PASSES):
        reader.trackers.later(minutes=61)
        before = await reader.stored()
        assert (await reader.sync()).error is None, seed
        still = still + 1 if await reader.stored() == before else 0
        if still == 2:
            assert not [name for name in await reader.gaps() if name.startswith("board")], seed
            return
    pytest.fail(f"seed {seed}: still changing after {MOST_QUIET_PASSES} passes without faults")
