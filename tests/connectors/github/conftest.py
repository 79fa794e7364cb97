"""A GitHub host with one repository behind HTTP, faults before it, and the connector on a clock of the test's."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.base import Container, Page
from connectors.github.config import GitHubConfig
from connectors.github.sync import GitHubConnector
from schemas.work import WorkItem
from services.simulator.faults import Faults
from services.simulator.github_host import TOKEN, GithubHost
from services.simulator.model import Container as Repository
from services.simulator.serve import serve_in_thread
from services.simulator.world import World
from tests.connectors.clock import FakeClock

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
ISSUES = r"/issues\?"
EVENTS = r"/issues/events"


class Host:
    """A world with the repository ``acme/web``, its address, and what goes wrong before it."""

    def __init__(self) -> None:
        self.world = World(seed=1, start=NOW - timedelta(days=300), watched=NOW)
        self.clock = FakeClock()
        self.faults = Faults(monotonic=self.clock.monotonic)
        self.site = GithubHost(self.world, hourly=None)
        self.repository = self.world.add_container("github", "acme/web", "Web")
        self.url = ""

    def fill(self, count: int, *, apart: timedelta = timedelta(minutes=7), where: Repository | None = None) -> None:
        """So many issues; every second one is closed at once, and each has a label."""
        for number in range(count):
            self.world.advance(self.world.now + apart)
            item = self.world.create(where or self.repository, f"Piece {number}", labels=("run",))
            if number % 2:
                self.world.finish(item)

    def connector(self, **more: Any) -> GitHubConnector:
        settings: dict[str, Any] = {"name": "g", "url": self.url, "token": TOKEN, "repositories": ("acme/web",)}
        return GitHubConnector(GitHubConfig(**settings | more), self.clock)

    @property
    def there(self) -> Container:
        return Container(id=str(self.repository.id), key=self.repository.key)

    def truth(self) -> dict[str, tuple[str, tuple[str, ...], datetime]]:
        return {str(item.id): (item.status, tuple(sorted(item.labels)), item.updated) for item in self.repository.items}


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    with serve_in_thread(made.faults.around(made.site.app())) as (url,):
        made.url = url
        yield made


@pytest.fixture
async def connector(host: Host) -> AsyncIterator[GitHubConnector]:
    made = host.connector()
    yield made
    await made.close()


def seen(pages: list[Page]) -> dict[str, tuple[str, tuple[str, ...], datetime]]:
    """What the pages came to: the last state of every item."""
    return {one.external_id: (one.status, one.labels, one.updated_at) for page in pages for one in page.items}


def items(pages: list[Page]) -> dict[str, WorkItem]:
    return {one.external_id: one for page in pages for one in page.items}


async def read(
    connector: GitHubConnector,
    where: Container,
    checkpoint: bytes | None = None,
    *,
    on_page: Callable[[Page], object] = lambda _: None,
) -> list[Page]:
    pages = []
    async for page in connector.read(where, checkpoint):
        pages.append(page)
        on_page(page)
    return pages
