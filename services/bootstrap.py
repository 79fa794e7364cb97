"""From settings to a running application: every resource is opened here, and closed when the context ends."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import structlog
from sqlalchemy import select

from connectors.base import AuthenticationFailed, Check, Connector, ConnectorError, Retriable
from connectors.github.config import GitHubConfig
from connectors.github.credentials import AppKey
from connectors.github.sync import GitHubConnector
from connectors.jira.client import JiraConfig
from connectors.jira.sync import JiraConnector
from schemas.events import FindingClosed, FindingOpened
from schemas.problems import InvalidFile, Problem, unreadable
from schemas.strategy import StrategyFile, parse_strategy
from services.alert.channels import Channel
from services.alert.channels.log import LogChannel
from services.alert.channels.slack import SlackChannel
from services.alert.channels.webhook import WebhookChannel
from services.alert.handlers import Alerter, Sender
from services.align.adopt import adopt
from services.align.forget import forget
from services.align.handlers import Aligner
from services.consumers import ALERT, ALIGN, STEER, consumers
from services.ingest.hooks import HookSource, Inbox
from services.ingest.poller import SourceSummary, SyncProgress, poll_forever, sync_source
from services.ingest.remember import remember
from services.ingest.watchdog import Watchdog
from services.settings import GitHubApp, GitHubSource, JiraSource, LogSettings, Settings, SlackSettings, WebhookSettings
from services.steer import handlers as steer
from services.steer.figures import load_ledger, roll
from services.storage import migrate, tables
from services.storage.database import Database
from services.storage.outages import despite_outages
from services.storage.unit_of_work import UnitOfWork
from services.stream.broker import BrokerAway, KafkaSettings, absent_topics
from services.stream.delivery import Condition, Consumer
from services.stream.embedded import EmbeddedStream
from services.stream.log import redrive

log = structlog.get_logger(__name__)
STAGES = frozenset({"ingest", "align", "steer", "alert", "feed", "relay"})
#: How often it is looked whether a day has ended or a source went out of sight.
_TICK_S = 30.0


class NotMigrated(RuntimeError):
    """The database's tables are of another version. ``courseline db upgrade`` mends it."""


@dataclass(frozen=True)
class Time:
    """The clock we live by; a simulation's may run faster than the machine's."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep


@dataclass(frozen=True)
class SyncSummary:
    """What one complete sync came to, source by source."""

    sources: tuple[SourceSummary, ...]


@dataclass(frozen=True)
class NodeChange:
    """A node before and after a strategy is applied."""

    id: str
    kind: str
    title: str
    change: str  #: new, changed, removed or same
    ratio_before: float | None
    ratio_after: float | None


@dataclass(frozen=True)
class Move:
    """An item that another strategy aligns elsewhere."""

    item: str
    title: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class PlanSummary:
    """What a strategy file does, or did: nodes, items moved, findings."""

    version: int
    first: bool
    changed: bool
    nodes: tuple[NodeChange, ...] = ()
    moved: int = 0
    moves: tuple[Move, ...] = ()
    findings_opened: int = 0
    findings_closed: int = 0


class Stream(Protocol):
    """The log's readers, wherever the log is carried."""

    @property
    def consumers(self) -> Sequence[Consumer]: ...

    @property
    def conditions(self) -> Mapping[str, Condition]: ...

    async def run(self) -> None:
        """Deliver for ever."""
        ...

    async def settle(self) -> int:
        """Deliver all that is in the log, and all that this causes; the events handled."""
        ...


class _Undone(Exception):
    """Ends a transaction that was only meant to show what would happen."""


@dataclass
class App:
    """The application over one database."""

    settings: Settings
    database: Database
    connectors: dict[str, Connector]
    aligner: Aligner
    consumers: Sequence[Consumer]
    stream: Stream
    sender: Sender
    inbox: Inbox
    time: Time
    _running: Stream | None = field(default=None, init=False)

    # -- commands ----------------------------------------------------------------------------------------------

    async def sync(
        self,
        source: str | None = None,
        *,
        full: bool = False,
        on_progress: Callable[[SyncProgress], None] = lambda _: None,
    ) -> SyncSummary:
        """One complete pass over the sources (or one of them), and everything downstream of it, alerts included."""
        wanted = [one for one in self.settings.sources if source is None or one.name == source]
        summaries = await asyncio.gather(
            *(
                sync_source(
                    self.database,
                    self.connectors[one.name],
                    poll_every=one.poll_every,
                    kind=one.kind,
                    full=full,
                    count=True,
                    on_progress=on_progress,
                )
                for one in wanted
            )
        )
        await self.settle()
        while await self.sender.drain():
            pass
        return SyncSummary(tuple(summaries))

    async def settle(self) -> int:
        """Handle everything that is in the log; the number of events handled."""
        return await self.stream.settle()

    def strategy(self) -> tuple[str, StrategyFile]:
        """The strategy file as it is on disk. Raises InvalidStrategy."""
        path = self.settings.strategy_file
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidFile(path.name, [Problem("", unreadable(error))]) from None
        channels = [channel.name for channel in self.settings.alerts.channels]
        return text, parse_strategy(text, file=path.name, channels=channels)

    async def plan(self) -> PlanSummary:
        """What `apply` would do: the very same steps, in a transaction that is then undone."""
        await self.settle()
        found: PlanSummary | None = None
        try:
            async with self.database.write() as uow:
                found = await self._apply(uow, approve=False, by=None, why=None, restate=False)
                raise _Undone
        except _Undone:
            pass
        assert found is not None
        return found

    async def apply(
        self, *, approve: bool = False, by: str | None = None, why: str | None = None, restate: bool = False
    ) -> PlanSummary:
        """Make the strategy file current, with everything downstream of it."""
        await self.settle()
        async with self.database.write() as uow:
            found = await self._apply(uow, approve=approve, by=by, why=why, restate=restate)
        await self.settle()
        return found

    async def _apply(
        self, uow: UnitOfWork, *, approve: bool, by: str | None, why: str | None, restate: bool
    ) -> PlanSummary:
        text, file = self.strategy()
        before = await _standing(uow)
        adopted = await adopt(uow, self.aligner, text, file, approve=approve, by=by, why=why, restate=restate)
        if not adopted.changed:
            return PlanSummary(adopted.version, first=False, changed=False)
        said = len(uow.pending)
        await steer.judge(uow, quiet=steer.RULES_CHANGED)
        after = await _standing(uow)
        happened = [event.data for event in uow.pending[said:]]
        return _difference(adopted.version, adopted.first, before, after, happened)

    async def replay(self, on_progress: Callable[[int], None] = lambda _: None) -> int:
        """Forget everything computed and build it again from the log; the number of events read.

        Nothing is said anew: what was published stays published.
        """
        await self.settle()
        async with self.database.write() as uow:
            read = await remember(uow, on_progress)
            await forget(uow)
            await self.aligner.align_all(uow)
            await steer.judge(uow)
            uow.pending.clear()
        return read

    async def redrive(self, topic: str | None = None, ids: Iterable[int] | None = None) -> int:
        """Send dead letters again; the number sent."""
        async with self.database.write() as uow:
            sent = await redrive(uow, topic=topic, ids=None if ids is None else list(ids))
        await self.settle()
        return sent

    async def check(self) -> list[Check]:
        """Database, migrations and every source."""
        checks = [await self._check_database()]
        checks += [await self._check_broker()] if self.settings.stream == "kafka" else []
        for connector in self.connectors.values():
            checks += await connector.check()
        return checks

    async def hooks(self, source: str | None = None, *, install: bool) -> list[Check]:
        """Whether the sources (or one of them) send their hooks to us; where ``install``, registered first."""
        checks: list[Check] = []
        for one in self.settings.sources:
            if source is not None and one.name != source:
                continue
            public, secret = self.settings.http.public_url, one.webhook_secret
            if public is None or secret is None:
                missing = "http.public_url" if public is None else f"webhook_secret_file of {one.name}"
                fix = f"set {missing}: the address that the tracker reaches us at, and a secret that both know"
                checks.append(
                    Check(name=f"{one.name}: hook", ok=False, detail=f"{missing} is not set", fix=fix, exit_code=1)
                )
                continue
            url = f"{public.rstrip('/')}/hooks/{one.name}"
            try:
                checks += await self.connectors[one.name].hooks(url, secret.get_secret_value(), install=install)
            except ConnectorError as error:
                checks.append(_failed(f"{one.name}: hook", error))
        return checks

    async def _check_database(self) -> Check:
        revision = await migrate.current(self.database)
        good = revision == migrate.head()
        return Check(
            name="database",
            ok=good,
            detail=f"at revision {revision}" if good else f"at revision {revision}, needed is {migrate.head()}",
            fix="" if good else "run `courseline db upgrade`",
            exit_code=0 if good else 1,
        )

    async def _check_broker(self) -> Check:
        try:
            absent = await absent_topics(kafka_settings(self.settings))
        except BrokerAway as error:
            fix = "check `kafka.bootstrap_servers` and that the cluster runs"
            return Check(name="kafka", ok=False, detail=str(error), fix=fix, exit_code=5)
        detail = f"{', '.join(absent)} are created at the first start" if absent else "every topic is there"
        return Check(name="kafka", ok=True, detail=detail)

    def waiting_for(self) -> str | None:
        """What keeps the service from being ready; None when it is. Of a stream that need not run, nothing is asked."""
        for condition in self._running.conditions.values() if self._running else ():
            if condition.waiting_for:
                return condition.waiting_for
        return None

    # -- running -----------------------------------------------------------------------------------------------

    async def run(self, stages: frozenset[str] = STAGES) -> None:
        """Run stages until cancelled."""
        groups = {"align": ALIGN, "steer": STEER, "alert": ALERT}
        wanted = {groups[stage] for stage in stages if stage in groups}
        hearing = [one for one in self.consumers if one.name in wanted]
        if hearing or "relay" in stages:
            self._running = stream_of(self.settings, self.database, hearing, relays="relay" in stages)
        async with asyncio.TaskGroup() as group:
            if self._running:
                group.create_task(self._running.run(), name="stream")
            if "ingest" in stages:
                for source in self.settings.sources:
                    connector, hears = self.connectors[source.name], source.webhook_secret is not None
                    group.create_task(
                        poll_forever(
                            self.database,
                            connector,
                            poll_every=source.poll_every,
                            kind=source.kind,
                            now=self.time.now,
                            sleep=self.time.sleep,
                            woken=self.inbox.polls[source.name],
                            watchdog=Watchdog(self.database, source.name) if hears else None,
                        ),
                        name=f"source {source.name}",
                    )
                    group.create_task(self.inbox.work(connector), name=f"hooks of {source.name}")
                    if hears:
                        recovering = self.inbox.recover(connector, sleep=self.time.sleep)
                        group.create_task(recovering, name=f"lost hooks of {source.name}")
            if "alert" in stages:
                group.create_task(self.sender.run(), name="sender")
            if "steer" in stages:
                group.create_task(self._tick(), name="clock")

    async def _tick(self) -> None:
        """Judge again when a day has ended, or a source went out of sight or came back."""

        async def judge() -> None:
            async with self.database.write() as uow:
                await steer.judge_if_due(uow)

        while True:
            await despite_outages(judge, who="clock")
            await asyncio.sleep(_TICK_S)


def _failed(name: str, error: ConnectorError) -> Check:
    if isinstance(error, AuthenticationFailed):
        return Check(name=name, ok=False, detail=str(error), fix=error.fix or "make a new token", exit_code=4)
    if isinstance(error, Retriable):
        return Check(name=name, ok=False, detail=str(error), fix="check `url` and the network", exit_code=5)
    return Check(name=name, ok=False, detail=str(error), exit_code=1)


async def _standing(uow: UnitOfWork) -> "_Standing":
    ledger = await load_ledger(uow.connection, uow.now)
    ratios: dict[str, tuple[str, str, float | None]] = {}
    if ledger is not None:
        rolled = roll(ledger)
        for node in ledger.tree.nodes.values():
            ratio = rolled[node.id].ratio
            ratios[node.id] = (node.kind, node.title, None if ratio is None else float(ratio))
    table = tables.alignments.c
    rows = await uow.connection.execute(
        select(table.item, table.node).where(table.valid_to.is_(None)).order_by(table.item, table.seq)
    )
    aligned: dict[str, tuple[str, ...]] = {}
    for row in rows:
        aligned[row.item] = (*aligned.get(row.item, ()), row.node)
    items = tables.items.c
    named = await uow.connection.execute(select(items.uid, items.key))
    return _Standing(ratios, aligned, {row.uid: row.key for row in named})


@dataclass(frozen=True)
class _Standing:
    nodes: dict[str, tuple[str, str, float | None]]
    aligned: dict[str, tuple[str, ...]]
    keys: dict[str, str]


def _difference(
    version: int, first: bool, before: _Standing, after: _Standing, happened: Sequence[object]
) -> PlanSummary:
    nodes = []
    for node in [*after.nodes, *(one for one in before.nodes if one not in after.nodes)]:
        old, new = before.nodes.get(node), after.nodes.get(node)
        kind, title, _ = new or old or ("", "", None)
        change = "new" if old is None else "removed" if new is None else "same" if old == new else "changed"
        nodes.append(NodeChange(node, kind, title, change, old[2] if old else None, new[2] if new else None))
    moved = [] if first else [one for one in after.aligned if before.aligned.get(one) != after.aligned[one]]
    return PlanSummary(
        version,
        first,
        True,
        tuple(nodes),
        len(moved),
        tuple(
            Move(after.keys.get(one, one), "", before.aligned.get(one, ()), after.aligned[one])
            for one in sorted(moved)[:50]
        ),
        sum(isinstance(one, FindingOpened) for one in happened),
        sum(isinstance(one, FindingClosed) for one in happened),
    )


def connector_for(source: JiraSource | GitHubSource) -> Connector:
    """The connector that a configured source asks for."""
    if isinstance(source, JiraSource):
        return JiraConnector(
            JiraConfig(
                name=source.name,
                url=source.url,
                token=source.token.get_secret_value(),
                email=source.email,
                projects=source.projects,
                fields=source.fields,
                team_field=source.team_field,
                concurrency=source.concurrency,
                rate=source.rate,
            )
        )
    return GitHubConnector(
        GitHubConfig(
            name=source.name,
            url=source.url,
            token=source.token.get_secret_value() if source.token else "",
            tokens=tuple(one.get_secret_value() for one in source.tokens),
            app=_app_key(source.app) if source.app else None,
            repositories=source.repositories,
            organizations=source.organizations,
            project_boards=source.project_boards,
            fields=source.fields,
            team_field=source.team_field,
            concurrency=source.concurrency,
            rate=source.rate,
        )
    )


def _app_key(app: GitHubApp) -> AppKey:
    return AppKey(id=app.id, installation=app.installation, private_key=app.private_key.get_secret_value())


def channel_for(channel: LogSettings | SlackSettings | WebhookSettings, settings: Settings) -> Channel:
    """The channel that the configuration asks for."""
    if isinstance(channel, SlackSettings):
        return SlackChannel(channel.name, channel.url.get_secret_value(), settings.http.public_url)
    if isinstance(channel, WebhookSettings):
        return WebhookChannel(channel.name, channel.url.get_secret_value(), channel.secret.get_secret_value())
    return LogChannel(channel.name)


def stream_of(settings: Settings, database: Database, hearing: Sequence[Consumer], *, relays: bool) -> Stream:
    """The stream that one setting asks for; no handler knows which it is."""
    if settings.stream == "embedded":
        return EmbeddedStream(database, hearing)
    from services.stream.kafka import KafkaStream

    return KafkaStream(database, hearing, kafka_settings(settings), relays=relays)


def kafka_settings(settings: Settings) -> KafkaSettings:
    """How to reach the configured Kafka cluster."""
    kafka = settings.kafka
    return KafkaSettings(kafka.bootstrap_servers, kafka.topic_prefix, kafka.security)


@asynccontextmanager
async def open_app(settings: Settings, *, upgrade: bool = True, time: Time | None = None) -> AsyncIterator[App]:
    """The application, open for as long as the context lasts.

    A SQLite database is brought to this version's tables, after a copy was saved; another one must be already.
    """
    async with AsyncExitStack() as stack:
        time = time or Time()
        database = Database(settings.database_url, now=time.now)
        stack.push_async_callback(database.close)
        await _prepare(database, upgrade=upgrade)
        connectors = {source.name: connector_for(source) for source in settings.sources}
        for connector in connectors.values():
            stack.push_async_callback(connector.close)
        aligner = Aligner(source.name for source in settings.sources if source.kind == "github")
        channels = {channel.name: channel_for(channel, settings) for channel in settings.alerts.channels}
        alerter, sender = Alerter(channels), Sender(database, channels)
        hearing = consumers(align=aligner.handle, steer=steer.handle, alert=alerter.handle)
        stream = stream_of(settings, database, hearing, relays=True)
        inbox = Inbox(database, {source.name: _hook_source(source) for source in settings.sources})
        yield App(settings, database, connectors, aligner, hearing, stream, sender, inbox, time)


def _hook_source(source: JiraSource | GitHubSource) -> HookSource:
    return HookSource(source.kind, source.webhook_secret.get_secret_value() if source.webhook_secret else None)


async def _prepare(database: Database, *, upgrade: bool) -> None:
    current, needed = await migrate.current(database), migrate.head()
    if current == needed or not upgrade:
        return
    if not database.is_sqlite and current is not None:
        raise NotMigrated(f"the database is at revision {current}, needed is {needed}; run `courseline db upgrade`")
    if current is not None:
        assert database.url.database
        copy = await asyncio.to_thread(migrate.backup, Path(database.url.database), database.now())
        log.info("database.saved", copy=copy.name)
    await migrate.upgrade(database)
