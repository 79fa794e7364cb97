"""A pass that is stopped goes on from its last stored page, and ends where an undisturbed one ends."""

import asyncio
from datetime import timedelta

from connectors.base import Page, Unreachable
from connectors.jira.sync import JiraConnector
from services.simulator.faults import Fault
from tests.connectors.jira.conftest import Site, items, read, seen


async def stopped_after(connector: JiraConnector, site: Site, count: int, checkpoint: bytes | None) -> list[Page]:
    """The first pages of a pass that is let go of."""
    pages = []
    reading = connector.read(site.there, checkpoint)
    async for page in reading:
        pages.append(page)
        if len(pages) == count:
            await reading.aclose()  # type: ignore[attr-defined]
            break
    return pages


async def test_a_stopped_backfill_goes_on_to_the_same_set(site: Site) -> None:
    """Stopped after every third page, with a connector of its own each time, it ends where one pass ends."""
    site.fill(450)
    whole = site.connector()
    undisturbed = items(await read(whole, site.there))
    await whole.close()
    found: list[Page] = []
    checkpoint: bytes | None = None
    while not (found and found[-1].complete):
        connector = site.connector()
        found += await stopped_after(connector, site, 3, checkpoint)
        checkpoint = bytes(found[-1].checkpoint)
        await connector.close()
        assert len(found) < 40
    assert items(found) == undisturbed


async def test_a_failing_request_at_any_place_changes_nothing(site: Site) -> None:
    """Whichever request fails for good, what was stored and the next pass make the same set."""
    site.fill(230)
    for place in range(18):
        connector = site.connector()
        site.faults.clear()
        site.faults.add(Fault(when="/rest/api/", kind="answer", status=502, skip=place, times=None))
        pages: list[Page] = []
        try:
            await read(connector, site.there, on_page=pages.append)
        except Unreachable:
            assert not any(page.complete for page in pages)
        site.faults.clear()
        again = await read(connector, site.there, bytes(pages[-1].checkpoint) if pages else None)
        assert seen(pages) | seen(again) == site.truth()
        await connector.close()


async def test_what_changed_while_it_was_stopped_is_read(site: Site, connector: JiraConnector) -> None:
    """Between the stop and the continuation an issue that was read already changes: the next poll has it."""
    site.fill(350)
    first = await stopped_after(connector, site, 4, None)
    site.world.advance(site.world.now + timedelta(days=1))
    site.world.finish(site.project.items[0])
    rest = await read(connector, site.there, bytes(first[-1].checkpoint))
    last = await read(connector, site.there, bytes(rest[-1].checkpoint))
    assert seen(first) | seen(rest) | seen(last) == site.truth()


async def test_a_reader_that_goes_leaves_nothing_running(site: Site, connector: JiraConnector) -> None:
    """What the lanes had begun is let go of."""
    site.fill(450)
    before = len(asyncio.all_tasks())
    await stopped_after(connector, site, 3, None)
    assert len(asyncio.all_tasks()) == before
