"""A reading that was stopped anywhere goes on from its checkpoint to the same set."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from connectors.base import Page, Unreachable
from connectors.github.sync import GitHubConnector
from services.simulator.faults import Fault
from tests.connectors.github.conftest import Host, items, read, seen


async def stopped_after(connector: GitHubConnector, host: Host, count: int, checkpoint: bytes | None) -> list[Page]:
    """The first so many pages; then the reader goes, as a killed process does."""
    pages: list[Page] = []
    reading = connector.read(host.there, checkpoint)
    async for page in reading:
        pages.append(page)
        if len(pages) == count:
            await reading.aclose()  # type: ignore[attr-defined]
            break
    return pages


async def test_a_stopped_backfill_goes_on_to_the_same_set(host: Host) -> None:
    """Stopped after every third page, with a connector of its own each time, it ends where one pass ends."""
    host.fill(450)
    whole = host.connector()
    undisturbed = items(await read(whole, host.there))
    await whole.close()
    found: list[Page] = []
    checkpoint: bytes | None = None
    while not (found and found[-1].complete):
        connector = host.connector()
        found += await stopped_after(connector, host, 3, checkpoint)
        checkpoint = bytes(found[-1].checkpoint)
        await connector.close()
        assert len(found) < 30
    assert items(found) == undisturbed


async def test_a_failing_request_at_any_place_changes_nothing(host: Host) -> None:
    """Whichever request fails for good, what was stored and the next pass make the same set."""
    host.fill(230)
    for place in range(12):
        connector = host.connector()
        host.faults.clear()
        host.faults.add(Fault(when="/repositories/", kind="answer", status=502, skip=place, times=None))
        pages: list[Page] = []
        try:
            await read(connector, host.there, on_page=pages.append)
        except Unreachable:
            assert not any(page.complete for page in pages)
        host.faults.clear()
        again = await read(connector, host.there, bytes(pages[-1].checkpoint) if pages else None)
        assert seen(pages) | seen(again) == host.truth()
        await connector.close()


async def test_what_changed_while_it_was_stopped_is_read(host: Host, connector: GitHubConnector) -> None:
    """Between the stop and the continuation an issue that was read already changes: it is read once more."""
    host.fill(350)
    first = await stopped_after(connector, host, 3, None)
    host.world.advance(host.world.now + timedelta(days=1))
    host.world.finish(host.repository.items[0])
    rest = await read(connector, host.there, bytes(first[-1].checkpoint))
    assert seen(first) | seen(rest) == host.truth()


async def test_a_reader_that_goes_leaves_nothing_running(host: Host, connector: GitHubConnector) -> None:
    """What was read ahead is let go of."""
    host.fill(450)
    before = len(asyncio.all_tasks())
    await stopped_after(connector, host, 2, None)
    assert len(asyncio.all_tasks()) == before


@pytest.mark.parametrize("broken", ["events", "issues"])
async def test_an_error_ahead_comes_after_the_pages_before_it(
    host: Host, connector: GitHubConnector, broken: str
) -> None:
    """Pages that were read before the one that fails are handed on first."""
    host.fill(350)
    pages: list[Any] = []
    when = r"/issues\?.*since=" if broken == "issues" else r"/issues/events"
    host.faults.add(Fault(when=when, kind="answer", status=502, skip=1, times=None))
    with pytest.raises(Unreachable):
        await read(connector, host.there, on_page=pages.append)
    assert len(seen(pages)) == (199 if broken == "issues" else 0)  # the second page begins with the first one's last
