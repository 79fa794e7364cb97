"""The trackers' webhooks: durable before they are answered, each a hint after which the item is asked for again."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from types import ModuleType
from typing import Any

import msgspec
import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy import delete, select, update

from connectors.base import Connector, ConnectorError, RateLimited, Ref
from connectors.github import webhook as github_webhook
from connectors.hooks import Delivery, Hints, MalformedHook, is_signed
from connectors.jira import webhook as jira_webhook
from services.ingest.apply import Applied
from services.ingest.dimensions import forget_lists
from services.ingest.looks import apply_looked
from services.storage import tables
from services.storage.database import Database
from services.storage.outages import despite_outages
from services.storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

#: GitHub sends no larger payload ("Webhook events and payloads": capped at 25 MB).
LARGEST_BODY = 25 * 1024 * 1024
#: Deliveries that are handled are kept so long, so that one that comes again is known.
KEPT = timedelta(days=30)
#: GitHub keeps the list of deliveries for three days at least; how often it is asked for, and how far back again.
RETENTION = timedelta(days=3)
_RECOVER_EVERY_S = 600.0
_OVERLAP = timedelta(minutes=30)
#: Deliveries of one transaction.
_AT_ONCE = 30
#: A body larger than this is hashed and parsed beside the event loop.
_LARGE = 64 * 1024
#: A refused signature is logged at most so often for a source.
_LOG_EVERY_S = 60.0
_LONGEST_PAUSE_S = 60.0
_TRACKERS: Mapping[str, ModuleType] = {"jira": jira_webhook, "github": github_webhook}
_HINTS: msgspec.json.Decoder[Hints] = msgspec.json.Decoder(Hints)

RECEIVED = Counter("courseline_hooks_received", "Hooks by what became of them.", ["source", "outcome"])
LATENCY = Histogram(
    "courseline_hook_seconds", "From a hook to the commit of what it hinted at.", ["source"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600),
)  # fmt: skip


class Refused(Exception):
    """A hook that is not taken; ``status`` is the answer's."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True)
class HookSource:
    """A source that hooks may come from: ``kind`` is the tracker's; without a ``secret`` none is taken."""

    kind: str
    secret: str | None = field(default=None, repr=False)


@dataclass
class Inbox:
    """Takes hooks, and sees to what they hint at."""

    database: Database
    sources: Mapping[str, HookSource]
    polls: dict[str, asyncio.Event] = field(default_factory=dict)  #: set when a source should be polled at once
    _arrived: dict[str, asyncio.Event] = field(default_factory=dict)
    _logged: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.sources:
            self.polls[name], self._arrived[name] = asyncio.Event(), asyncio.Event()

    # -- taking ------------------------------------------------------------------------------------------------

    async def take(self, source: str, headers: Mapping[str, str], body: bytes) -> str:
        """Keep a hook, durably; what became of it: ``taken``, ``repeated`` or ``ignored``.

        The signature is verified on the raw bytes before anything is parsed. Header names are in lower case.
        Raises Refused for what is not taken, and what the database raises when it is away.
        """
        known = self.sources.get(source)
        if known is None:
            raise Refused(404, "there is no such source")
        if len(body) > LARGEST_BODY:
            raise Refused(413, f"a body of more than {LARGEST_BODY // 2**20} MB is refused")
        if len(body) > _LARGE:
            delivery = await asyncio.to_thread(self._verified, source, known, headers, body)
        else:
            delivery = self._verified(source, known, headers, body)
        fresh = await self._keep(source, delivery)
        useful = bool(delivery.hints.items or delivery.hints.poll)
        outcome = "repeated" if not fresh else "taken" if useful else "ignored" if delivery.known else "unknown"
        RECEIVED.labels(source, outcome).inc()
        if fresh and useful:
            self._arrived[source].set()
        return outcome

    def _verified(self, source: str, known: HookSource, headers: Mapping[str, str], body: bytes) -> Delivery:
        tracker = _TRACKERS[known.kind]
        if known.secret is None or not is_signed(known.secret, headers.get(tracker.SIGNATURE), body):
            RECEIVED.labels(source, "unsigned").inc()
            self._say_unsigned(source, known)
            raise Refused(401, f"the signature ({tracker.SIGNATURE}) is missing or wrong")
        try:
            delivery: Delivery = tracker.read(source, headers, body)
        except MalformedHook as error:
            RECEIVED.labels(source, "malformed").inc()
            raise Refused(400, str(error)) from error
        return delivery

    def _say_unsigned(self, source: str, known: HookSource) -> None:
        now = monotonic()
        if now - self._logged.get(source, -_LOG_EVERY_S) >= _LOG_EVERY_S:
            self._logged[source] = now
            fix = (
                "set webhook_secret_file for the source"
                if known.secret is None
                else "is the tracker's secret the same?"
            )
            log.warning("hook.unsigned", source=source, fix=fix)

    async def _keep(self, source: str, delivery: Delivery) -> bool:
        table = tables.hook_deliveries
        key = (table.c.source == source) & (table.c.delivery == delivery.id)
        useless = not delivery.hints.items and not delivery.hints.poll
        async with self.database.write() as uow:
            if (await uow.connection.execute(select(table.c.source).where(key))).first() is not None:
                return False
            row = {
                "source": source,
                "delivery": delivery.id,
                "event": delivery.event,
                "received_at": uow.now,
                "hints": msgspec.json.encode(delivery.hints),
                "handled_at": uow.now if useless else None,
            }
            await uow.upsert(table, [row])
        return True

    # -- seeing to it ------------------------------------------------------------------------------------------

    async def work(self, connector: Connector) -> None:
        """See to a source's hooks for ever, those that an earlier process left first."""
        source, failures = connector.source, 0
        while True:
            self._arrived[source].clear()
            try:
                while await self.handle(connector):
                    failures = 0
            except ConnectorError as error:
                failures += 1
                pause = min(2.0**failures, _LONGEST_PAUSE_S)
                if isinstance(error, RateLimited):
                    pause = max(pause, (error.until - self.database.now()).total_seconds())
                log.warning("hook.waiting", source=source, error=str(error), next_in_s=round(pause))
                await asyncio.sleep(pause)
                continue
            await self._forget_old(source)
            await self._arrived[source].wait()

    async def recover(
        self, connector: Connector, *, sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep
    ) -> None:
        """Ask the tracker now and then for hooks that it could not hand over, for ever."""
        since = self.database.now() - RETENTION
        while True:
            began = self.database.now()
            try:
                await self.take_undelivered(connector, since)
                since = began - _OVERLAP
            except ConnectorError as error:
                log.warning("hook.list_unread", source=connector.source, error=str(error))
            await sleep(_RECOVER_EVERY_S)

    async def take_undelivered(self, connector: Connector, since: datetime) -> int:
        """Keep the hooks that the tracker could not hand over since then; the number that were news."""
        source, news = connector.source, 0
        for delivery in await connector.undelivered(since):
            fresh = await despite_outages(partial(self._keep, source, delivery), who=f"hooks of {source}")
            if fresh:
                news += 1
                RECEIVED.labels(source, "recovered").inc()
                self._arrived[source].set()
        return news

    async def handle(self, connector: Connector) -> int:
        """See to the oldest deliveries that wait: look at their items and mark them handled, in one transaction.

        The number of them; nought when none waits. Raises what the connector raises; then they wait on.
        """
        who = f"hooks of {connector.source}"
        waiting = await despite_outages(lambda: self._waiting(connector.source), who=who)
        if not waiting:
            return 0
        readable, refs, poll = await despite_outages(lambda: self._resolved(connector.source, waiting), who=who)
        looked = await connector.look(refs) if refs else None
        lists = any(_HINTS.decode(row.hints).lists for row in waiting)

        async def store() -> Applied:
            async with self.database.write() as uow:
                applied = await apply_looked(uow, looked, readable) if looked is not None else Applied()
                if lists:
                    await forget_lists(uow, connector.source)
                await _mark(uow, connector.source, waiting)
                return applied

        await despite_outages(store, who=who)
        for row in waiting:
            LATENCY.labels(connector.source).observe(max((self.database.now() - row.received_at).total_seconds(), 0))
        if lists:
            connector.forget_lists()
        if poll or (looked is not None and looked.unsure):
            self.polls[connector.source].set()
        return len(waiting)

    async def _waiting(self, source: str) -> Sequence[Any]:
        table = tables.hook_deliveries
        async with self.database.read() as connection:
            rows = await connection.execute(
                select(table.c.delivery, table.c.received_at, table.c.hints)
                .where((table.c.source == source) & table.c.handled_at.is_(None))
                .order_by(table.c.received_at, table.c.delivery)
                .limit(_AT_ONCE)
            )
            return list(rows)

    async def _resolved(self, source: str, waiting: Iterable[Any]) -> tuple[set[str], list[Ref], bool]:
        """The keys of the containers we read, whole refs into them, and whether a poll is wanted besides."""
        hints = [_HINTS.decode(row.hints) for row in waiting]
        refs = {(ref.uid, ref.key): ref for one in hints for ref in one.items}
        uids = [ref.uid for ref in refs.values()]
        keys = [ref.key for ref in refs.values() if ref.uid.endswith(":")]
        items, places = tables.items.c, tables.checkpoints.c
        wanted = select(items.uid, items.key, items.container).where(
            (items.source == source) & (items.uid.in_(uids) | items.key.in_(keys))
        )
        async with self.database.read() as connection:
            found = await connection.execute(select(places.container, places.key).where(places.source == source))
            homes = {row.container: row.key for row in found}
            stored = list(await connection.execute(wanted))
        ids = {key: id_ for id_, key in homes.items()}
        known = {row.uid: Ref(uid=row.uid, key=row.key, container=ids.get(row.container, "")) for row in stored}
        named = {row.key: row.uid for row in stored}
        whole, poll = list[Ref](), any(one.poll for one in hints)
        for ref in refs.values():
            one = known.get(named.get(ref.key, "") if ref.uid.endswith(":") else ref.uid)
            one = one or (ref if not ref.uid.endswith(":") else None)
            if one is None:
                poll = poll or ref.container in homes
            elif one.container in homes:
                whole.append(one)
        return set(homes.values()), list({ref.uid: ref for ref in whole}.values()), poll

    async def _forget_old(self, source: str) -> None:
        async def forget() -> None:
            table = tables.hook_deliveries
            async with self.database.write() as uow:
                old = (table.c.source == source) & (table.c.handled_at < uow.now - KEPT)
                await uow.connection.execute(delete(table).where(old))

        await despite_outages(forget, who=f"hooks of {source}")


async def _mark(uow: UnitOfWork, source: str, handled: Collection[Any]) -> None:
    table = tables.hook_deliveries
    ids = [row.delivery for row in handled]
    await uow.connection.execute(
        update(table).where((table.c.source == source) & table.c.delivery.in_(ids)).values(handled_at=uow.now)
    )
