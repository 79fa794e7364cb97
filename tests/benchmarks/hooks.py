"""From a tracker's hook to the committed event of the item that it hinted at."""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import httpx2

from services.bootstrap import App
from services.simulator.acme import acme
from services.simulator.faults import Faults
from services.simulator.github_host import github_host
from services.simulator.jira_site import jira_site
from services.simulator.model import Item
from services.simulator.serve import serve_in_thread
from tests.benchmarks.parts import said
from tests.spine.conftest import Organisation
from tests.spine.test_hooks import a_hook, post, serving, some

_HOOKS = 200


async def run(count: int) -> None:
    """Print p50 and p99, in milliseconds, from the POST of a hook to the commit, for both trackers."""
    async with AsyncExitStack() as stack:
        world = acme(now=datetime.now(UTC), days=120)
        urls = stack.enter_context(serve_in_thread(jira_site(world), github_host(world)))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        organisation = Organisation(world, urls[0], urls[1], Faults(), Path(folder))
        running, client = await stack.enter_async_context(serving(organisation))
        await running.sync()
        for tracker in ("jira", "github"):
            connector = running.connectors[f"acme-{tracker}"]
            working = asyncio.create_task(running.inbox.work(connector))
            items = some(organisation, tracker, 20)
            waits = sorted([await _one(running, client, organisation, items[n % len(items)], n) for n in range(_HOOKS)])
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            median, worst = waits[len(waits) // 2] * 1000, waits[int(len(waits) * 0.99)] * 1000
            said(f"{tracker} hook to committed event: p50 {median:.0f} ms, p99 {worst:.0f} ms ({_HOOKS} hooks)")


async def _one(running: App, client: httpx2.AsyncClient, organisation: Organisation, item: Item, number: int) -> float:
    organisation.world.edit(item, title=f"Title {number}")
    hook = a_hook(organisation.world, item, "updated", f"{item.tracker}-{number}")
    ticket = running.database.appended.ticket()
    start = perf_counter()
    assert await post(client, hook) == 200
    await ticket.wait()
    return perf_counter() - start
