"""Any schedule of faults and of changes ends equal to the tracker.

Each seed is a small world of its own: people edit, delete, move and archive between and during passes while requests
fail by lot. When the faults stop, passes go on until nothing changes any more; then what is stored is what is there.
``COURSELINE_SEEDS`` says how many seeds are tried.
"""

import os
import shutil
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from services.simulator import vendor_faults as vendors
from services.simulator.faults import Fault, by_lot
from services.storage.database import Database
from tests.ingest.conftest import Reader, Trackers
from tests.spine.people import People, worlds
from tests.spine.truth import equals_the_tracker, told_once

SEEDS = int(os.environ.get("COURSELINE_SEEDS", "100"))
ROUNDS = 4
#: The longest chain: a container that is gone is asked for twice, its items are looked at, and looked at once more.
MOST_QUIET_PASSES = 12


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
    for seed, trackers in worlds(SEEDS):
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
            await equals_the_tracker(reader, seed)
        await told_once(database, seed)
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
