"""The host's clock is not ours, and may be set back: nothing is lost, and nobody sleeps for hours."""

from datetime import timedelta
from email.utils import format_datetime

import pytest

from connectors.github.sync import GitHubConnector
from services.simulator.faults import Fault
from tests.connectors.github.conftest import Host, read, seen


def tells(host: Host, minutes: int) -> None:
    """From now on every answer is dated so many minutes off the host's own times."""
    said = format_datetime((host.world.now + timedelta(minutes=minutes)).replace(microsecond=0), usegmt=True)
    host.faults.clear()
    host.faults.add(Fault(when=".", kind="rewrite", times=None, headers={"date": said}))


@pytest.mark.parametrize("offsets", [(10, 10, 10), (-10, -10, -10), (0, -10, 0), (10, -10, 10), (0, -600, 0)])
async def test_dates_that_are_off_or_jump_back_lose_nothing(
    host: Host, connector: GitHubConnector, offsets: tuple[int, ...]
) -> None:
    """Changes just before, while and after the clock is wrong are all seen by the polls."""
    host.fill(30)
    tells(host, offsets[0])
    pages = await read(connector, host.there)
    state = seen(pages)
    for number, offset in enumerate((*offsets, *offsets)):
        for item in host.repository.items[number * 3 : number * 3 + 3]:
            host.world.advance(host.world.now + timedelta(minutes=2))
            host.world.edit(item, labels=("run", f"round {number}"))
        tells(host, offset)
        pages = await read(connector, host.there, bytes(pages[-1].checkpoint))
        state |= seen(pages)
        assert state == host.truth(), number
    assert sum(host.clock.slept) < 60
