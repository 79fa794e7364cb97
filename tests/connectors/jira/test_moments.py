"""How a site reads moments is asked of it once; whatever it says, no time zone and no clock hides an issue."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from connectors.base import Container, Page
from services.simulator.faults import Asked
from services.simulator.jira_data_center import JiraDataCenter
from services.simulator.jira_site import EMAIL, JiraSite
from services.simulator.serve import serve_in_thread
from tests.connectors.jira.conftest import Site, read, seen

KINDS = ["cloud", "data-center"]
#: What a bare number is taken for: a moment in milliseconds, no date at all, one in seconds, one of the account's zone.
EPOCHS: dict[str, Callable[[int], int] | None] = {
    "understood": lambda number: number,
    "refused": None,
    "too early": lambda number: number // 1000,
    "too late": lambda number: number + 9 * 3_600_000,
}
#: Both clocks are turned back in New York in this hour: 01:30 is there twice. In Tokyo it is the next afternoon.
TWICE = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


class Zoned(Site):
    """A site of either kind whose account lives somewhere."""

    def __init__(self, kind: str, zone: str, epoch: str) -> None:
        super().__init__()
        self.site = (JiraDataCenter if kind == "data-center" else JiraSite)(self.world, time_zone=zone)
        self.site.search.epoch = EPOCHS[epoch]
        self.email = None if kind == "data-center" else EMAIL

    async def pages(self, checkpoint: bytes | None = None, *, most: int = 10_000) -> list[Page]:
        """What a process of its own reads, until it is let go of after so many pages."""
        connector = self.connector(email=self.email)
        reading, found = connector.read(self.there, checkpoint), list[Page]()
        async for page in reading:
            found.append(page)
            if len(found) == most:
                break
        await reading.aclose()  # type: ignore[attr-defined]
        await connector.close()
        return found


@contextmanager
def zoned(kind: str, zone: str = "Asia/Tokyo", epoch: str = "understood") -> Iterator[Zoned]:
    made = Zoned(kind, zone, epoch)
    with serve_in_thread(made.faults.around(made.site.app())) as (url,):
        made.url = url
        yield made


def probes(site: Site) -> int:
    """Questions about how the site reads moments."""
    return sum(
        b"NOT updated" in one.body or (b"ORDER BY updated" in one.body and b'"maxResults":1,' in squeezed(one))
        for one in site.faults.asked
    )


def squeezed(asked: Asked) -> bytes:
    return asked.body.replace(b" ", b"").replace(b"}", b",")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize("epoch", EPOCHS)
async def test_nothing_is_lost_over_the_hour_that_comes_twice(kind: str, zone: str, epoch: str) -> None:
    """F31: issues are created and changed every few seconds of it, read in windows and by polls of new processes."""
    with zoned(kind, zone, epoch) as site:
        site.world.advance(TWICE)
        site.fill(130, apart=timedelta(minutes=1))
        pages = await site.pages()
        assert seen(pages) == site.truth()
        for turn in range(4):
            for item in site.project.items[:120]:
                site.world.advance(site.world.now + timedelta(seconds=10))
                site.world.edit(item, labels=("run", f"x{turn}"))
            pages += await site.pages(bytes(pages[-1].checkpoint))
            assert seen(pages) == site.truth()
        connector = site.connector(email=site.email)
        assert len((await connector.census(site.there)).present) == 130
        await connector.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epoch", EPOCHS)
async def test_a_stopped_pass_goes_on_however_moments_are_read(kind: str, epoch: str) -> None:
    """Windows begun while epochs were read go on where they are not; each process ends after its third page."""
    with zoned(kind) as site:
        site.fill(450)
        pages = await site.pages(most=4)
        site.site.search.epoch = EPOCHS[epoch]
        while not pages[-1].complete:
            pages += await site.pages(bytes(pages[-1].checkpoint), most=6)
            assert len(pages) < 60
        assert seen(pages) == site.truth()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epoch", EPOCHS)
async def test_it_costs_two_requests_once(kind: str, epoch: str) -> None:
    """A backfill, a poll and a census of two projects by one process; an empty project is asked nothing."""
    with zoned(kind, epoch=epoch) as site:
        connector = site.connector(email=site.email)
        await read(connector, site.there)
        assert probes(site) == 0
        site.fill(250)
        other = site.world.add_container("jira", "OPS", "Operations")
        site.fill(250, where=other)
        for where in (site.there, Container(id=str(other.id), key="OPS")):
            first = await read(connector, where)
            await read(connector, where, bytes(first[-1].checkpoint))
            await connector.census(where)
        assert probes(site) == 2
        await connector.close()


@pytest.mark.parametrize("epoch", EPOCHS)
async def test_a_search_that_does_not_reach_far_is_read_on_by_minutes(epoch: str) -> None:
    """A Data Center whose search reaches 500 issues: the query goes on where it ended, whatever bounds it reads."""
    with zoned("data-center", epoch=epoch) as site:
        assert isinstance(site.site, JiraDataCenter)
        site.site.window = 500
        site.fill(1_300, apart=timedelta(seconds=2))
        assert seen(await site.pages()) == site.truth()
