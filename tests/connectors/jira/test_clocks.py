"""The site's clock is not ours, and may be set back: nothing is lost, and nobody sleeps for hours."""

from datetime import timedelta
from email.utils import format_datetime

import pytest

from connectors.jira.sync import JiraConnector
from services.simulator.faults import Fault
from tests.connectors.jira.conftest import Site, read, seen


def tells(site: Site, minutes: int) -> None:
    """From now on every answer is dated so many minutes off the site's own times."""
    said = format_datetime((site.world.now + timedelta(minutes=minutes)).replace(microsecond=0), usegmt=True)
    site.faults.clear()
    site.faults.add(Fault(when=".", kind="rewrite", times=None, headers={"date": said}))


@pytest.mark.parametrize("offsets", [(10, 10, 10), (-10, -10, -10), (0, -10, 0), (10, -10, 10), (0, -600, 0)])
async def test_dates_that_are_off_or_jump_back_lose_nothing(
    site: Site, connector: JiraConnector, offsets: tuple[int, ...]
) -> None:
    """Changes just before, while and after the clock is wrong are all seen by the polls."""
    site.fill(30)
    tells(site, offsets[0])
    pages = await read(connector, site.there)
    state = seen(pages)
    for number, offset in enumerate((*offsets, *offsets)):
        for item in site.project.items[number * 3 : number * 3 + 3]:
            site.world.advance(site.world.now + timedelta(minutes=2))
            site.world.edit(item, labels=("run", f"round {number}"))
        tells(site, offset)
        pages = await read(connector, site.there, bytes(pages[-1].checkpoint))
        state |= seen(pages)
        assert state == site.truth(), number
    assert sum(site.clock.slept) < 60
