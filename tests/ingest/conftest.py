"""A Jira site and a GitHub host with real connectors before a database, on the simulated world's clock."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from connectors.base import Connector
from connectors.github.config import GitHubConfig
from connectors.github.sync import GitHubConnector
from connectors.jira.client import JiraConfig
from connectors.jira.sync import JiraConnector
from schemas import wire
from schemas.events import WorkItemChanged, WorkItemRemoved
from schemas.work import WorkItem, item_uid
from services.ingest.poller import SourceSummary, sync_source
from services.simulator import github_host, jira_site
from services.simulator.faults import Faults
from services.simulator.github_host import GithubHost
from services.simulator.jira_site import EMAIL, JiraSite
from services.simulator.model import Container, Item
from services.simulator.serve import serve_in_thread
from services.simulator.world import World
from services.storage import tables
from services.storage.database import Database
from tests.connectors.clock import FakeClock

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


class Trackers:
    """A world with two Jira projects and two repositories, the faults before them, and their addresses."""

    def __init__(self) -> None:
        self.world = World(seed=1, start=NOW - timedelta(days=2), watched=NOW)
        self.clock = FakeClock()
        self.faults = Faults(monotonic=self.clock.monotonic)
        self.jira = JiraSite(self.world)
        self.github = GithubHost(self.world, hourly=None)
        self.places = {
            "jira": (self._add("jira", "WEB"), self._add("jira", "OPS")),
            "github": (self._add("github", "acme/web"), self._add("github", "acme/ops")),
        }
        self.urls = {"jira": "", "github": ""}

    def _add(self, tracker: Any, key: str) -> Container:
        return self.world.add_container(tracker, key, key)

    def fill(self, container: Container, count: int) -> list[Item]:
        made = []
        for number in range(count):
            self.later(minutes=1)
            made.append(self.world.create(container, f"Piece {number}", labels=("run",)))
        return made

    def later(self, **by: float) -> None:
        self.world.advance(self.world.now + timedelta(**by))

    def connector(self, kind: str, *names: str, **more: Any) -> Connector:
        keys = names or tuple(one.key for one in self.places[kind])
        if kind == "jira":
            return JiraConnector(
                JiraConfig(name="jira", url=self.urls[kind], email=EMAIL, token=jira_site.TOKEN, projects=keys),
                self.clock,
            )
        settings: dict[str, Any] = {"url": self.urls[kind], "token": github_host.TOKEN, "repositories": keys}
        return GitHubConnector(GitHubConfig(name="github", **settings | more), self.clock)


class Reader:
    """One source that is read into a database."""

    def __init__(self, kind: str, trackers: Trackers, database: Database) -> None:
        self.kind = kind
        self.trackers = trackers
        self.database = database
        self.world = trackers.world
        self.here, self.there = trackers.places[kind]
        self.connector = trackers.connector(kind)

    async def sync(self, *, full: bool = False) -> SourceSummary:
        return await sync_source(
            self.database, self.connector, poll_every=timedelta(minutes=1), kind=self.kind, full=full
        )

    async def sync_well(self, *, full: bool = False) -> SourceSummary:
        summary = await self.sync(full=full)
        assert summary.error is None
        return summary

    async def only(self, *names: str, **more: Any) -> None:
        """From now on the configuration names these containers, and says ``more``."""
        await self.connector.close()
        self.connector = self.trackers.connector(self.kind, *names, **more)

    def uid(self, item: Item) -> str:
        return item_uid(self.kind, "pull_request" if item.pull_request else "issue", item.id)

    async def stored(self) -> dict[str, WorkItem]:
        async with self.database.read() as connection:
            rows = await connection.execute(select(tables.items.c.content))
            found = [msgspec.json.decode(row.content, type=WorkItem) for row in rows]
        return {item.uid: item for item in found}

    async def item(self, item: Item | str) -> WorkItem:
        return (await self.stored())[item if isinstance(item, str) else self.uid(item)]

    async def present(self) -> dict[str, str]:
        return {uid: item.status for uid, item in (await self.stored()).items() if item.availability == "present"}

    def truth(self, *containers: Container) -> dict[str, str]:
        return {self.uid(item): item.status for one in containers or (self.here, self.there) for item in one.items}

    async def events(self, uid: str) -> list[WorkItemChanged | WorkItemRemoved]:
        async with self.database.read() as connection:
            rows = await connection.execute(select(tables.log.c.value).order_by(tables.log.c.position))
            found = [wire.decode(row.value).data for row in rows]
        return [one for one in found if isinstance(one, WorkItemChanged | WorkItemRemoved) and one.after.uid == uid]

    async def gaps(self) -> dict[str, str]:
        """Reasons of the open gaps by container."""
        async with self.database.read() as connection:
            rows = await connection.execute(select(tables.gaps).where(tables.gaps.c.closed_at.is_(None)))
            return {row.container: row.reason for row in rows}


@pytest.fixture
def trackers() -> Iterator[Trackers]:
    made = Trackers()
    with serve_in_thread(made.faults.around(made.jira.app()), made.faults.around(made.github.app())) as urls:
        made.urls = dict(zip(("jira", "github"), urls, strict=True))
        yield made


@pytest.fixture
async def clocked(database_url: str, trackers: Trackers) -> AsyncIterator[Database]:
    opened = Database(database_url, now=lambda: trackers.world.now)
    yield opened
    await opened.close()


@pytest.fixture(params=["jira", "github"])
async def reader(request: pytest.FixtureRequest, trackers: Trackers, clocked: Database) -> AsyncIterator[Reader]:
    """Each kind of tracker."""
    made = Reader(request.param, trackers, clocked)
    yield made
    await made.connector.close()


@pytest.fixture
async def jira(trackers: Trackers, clocked: Database) -> AsyncIterator[Reader]:
    made = Reader("jira", trackers, clocked)
    yield made
    await made.connector.close()


@pytest.fixture
async def github(trackers: Trackers, clocked: Database) -> AsyncIterator[Reader]:
    made = Reader("github", trackers, clocked)
    yield made
    await made.connector.close()
