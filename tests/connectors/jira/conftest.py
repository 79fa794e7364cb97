"""A Jira Cloud site with one project behind HTTP, faults before it, and the connector on a clock of the test's."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.base import Container, Page
from connectors.jira.client import JiraConfig
from connectors.jira.sync import JiraConnector
from schemas.work import WorkItem
from services.simulator.faults import Asked, Faults
from services.simulator.jira_site import EMAIL, TOKEN, JiraSite
from services.simulator.model import Container as Project
from services.simulator.serve import serve_in_thread
from services.simulator.world import World
from tests.connectors.clock import FakeClock

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
SEARCH = "/search/jql"
COUNT = "/approximate-count"
HISTORY = "/changelog/bulkfetch"


class Site:
    """A world with the project ``WEB``, its address, and what goes wrong before it."""

    def __init__(self) -> None:
        self.world = World(seed=1, start=NOW - timedelta(days=300), watched=NOW)
        self.clock = FakeClock()
        self.faults = Faults(monotonic=self.clock.monotonic)
        self.site = JiraSite(self.world)
        self.project = self.world.add_container("jira", "WEB", "Web")
        self.url = ""

    def fill(self, count: int, *, apart: timedelta = timedelta(minutes=7), where: Project | None = None) -> None:
        """So many issues, each with a label; every second one is finished at once."""
        for number in range(count):
            self.world.advance(self.world.now + apart)
            item = self.world.create(where or self.project, f"Piece {number}", type="Story", labels=("run",))
            if number % 2:
                self.world.finish(item)

    def connector(self, **more: Any) -> JiraConnector:
        settings: dict[str, Any] = {"name": "j", "url": self.url, "email": EMAIL, "token": TOKEN, "projects": ("WEB",)}
        return JiraConnector(JiraConfig(**settings | more), self.clock)

    @property
    def there(self) -> Container:
        return Container(id=str(self.project.id), key=self.project.key)

    def truth(self) -> dict[str, tuple[str, tuple[str, ...], datetime]]:
        return {
            str(item.id): (item.status, tuple(sorted(item.labels)), to_millisecond(item.updated))
            for item in self.project.items
        }


def to_millisecond(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def later_page(asked: Asked) -> bool:
    """A page of issues that an earlier page gave the token of."""
    return SEARCH in asked.path and b"nextPageToken" in asked.body


def page_of_issues(asked: Asked) -> bool:
    """A page of whole issues: not the probes for the first and the last one."""
    return SEARCH in asked.path and b"timespent" in asked.body


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    with serve_in_thread(made.faults.around(made.site.app())) as (url,):
        made.url = url
        yield made


@pytest.fixture
async def connector(site: Site) -> AsyncIterator[JiraConnector]:
    made = site.connector()
    yield made
    await made.close()


def seen(pages: list[Page]) -> dict[str, tuple[str, tuple[str, ...], datetime]]:
    """What the pages came to: the last state of every item."""
    return {one.external_id: (one.status, one.labels, one.updated_at) for page in pages for one in page.items}


def items(pages: list[Page]) -> dict[str, WorkItem]:
    return {one.external_id: one for page in pages for one in page.items}


async def read(
    connector: JiraConnector,
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
