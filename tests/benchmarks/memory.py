"""A backfill of any size takes the same memory, and each ten thousand issues the time of the ten thousand before."""

import asyncio
import resource
import sys
import tempfile
from datetime import timedelta
from itertools import pairwise
from math import ceil
from pathlib import Path
from time import perf_counter

from services.ingest.poller import SyncProgress, sync_source
from services.storage import migrate
from services.storage.database import Database
from tests.benchmarks.backfill import SHARES, connector_to, trackers
from tests.benchmarks.parts import said

_STEP = 10_000


async def run(items: int) -> None:
    """Print peak memory and how time grew, for both trackers, each read by a process of its own."""
    for kind, share in SHARES.items():
        with trackers(ceil(items / share), 0) as addresses, tempfile.TemporaryDirectory() as folder:
            url = addresses[0] if kind == "jira" else addresses[1]
            command = (sys.executable, "-m", "tests.benchmarks.memory", kind, url, folder)
            assert await (await asyncio.create_subprocess_exec(*command)).wait() == 0


async def read(kind: str, url: str, folder: Path) -> None:
    """One backfill in this process, and its figures."""
    began, at, seen = perf_counter(), [0.0], dict[str, int]()

    def note(progress: SyncProgress) -> None:
        seen[progress.container] = progress.seen
        if sum(seen.values()) >= len(at) * _STEP:
            at.append(perf_counter() - began)

    database = Database(f"sqlite:///{folder}/courseline.db")
    await migrate.upgrade(database)
    connector = connector_to(kind, url)
    found = await sync_source(database, connector, poll_every=timedelta(seconds=60), kind=kind, on_progress=note)
    await connector.close()
    await database.close()
    assert found.error is None, found.error
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    steps = [end - start for start, end in pairwise(at)]
    parts = max(len(steps) // 5, 1)
    first, last = sum(steps[:parts]) / parts, sum(steps[-parts:]) / parts
    said(
        f"memory of a {kind} backfill of {found.seen:,} issues: {peak:,.0f} MB at the peak; "
        f"10,000 issues took {first:.1f} s in the first fifth, {last:.1f} s in the last: ratio {last / first:.2f}"
    )


if __name__ == "__main__":
    from services.cli.app import collect_seldom

    collect_seldom()
    asyncio.run(read(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
