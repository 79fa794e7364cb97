"""Passes over a source: every container to its proven end, each page durable before the next is asked for."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import select

from connectors.base import (
    AuthenticationFailed,
    Connector,
    ConnectorError,
    Container,
    Page,
    RateLimited,
    Retriable,
    Skippable,
    Spared,
)
from schemas.events import SourceSynced
from schemas.work import Gap
from services.ingest.apply import Applied, apply_page, open_gaps
from services.ingest.boards import BoardReader
from services.ingest.census import Counter
from services.ingest.containers import Roster
from services.ingest.dimensions import Dimensions
from services.ingest.watchdog import Watchdog
from services.storage import tables
from services.storage.database import Database
from services.storage.outages import despite_outages

log = structlog.get_logger(__name__)

#: Containers of one source that are read at once; requests are paced by the connector besides.
_AT_ONCE = 4
#: How often it is looked at whether a tracker asks us to wait, and what is the same wait.
_LOOK_AT_WAITS_S = 1.0
_SAME_WAIT = timedelta(seconds=2)


@dataclass(frozen=True)
class SyncProgress:
    """Where a pass is: items of a container seen so far, of an estimated total."""

    source: str
    container: str
    seen: int
    total: int | None = None


@dataclass(frozen=True)
class SourceSummary:
    """What a pass over a source came to. ``error`` is set where it did not end."""

    name: str
    seen: int = 0
    changed: int = 0
    polled: int = 0  #: of the changed ones, those that a poll of a container that was known already found
    deleted: int = 0
    quarantined: int = 0
    requests: int = 0
    gaps: tuple[Gap, ...] = ()
    error: ConnectorError | None = None

    def with_page(self, applied: Applied) -> "SourceSummary":
        return replace(
            self,
            seen=self.seen + applied.seen,
            changed=self.changed + applied.changed,
            deleted=self.deleted + applied.removed,
            quarantined=self.quarantined + applied.quarantined,
        )


@dataclass
class _Pass:
    """One pass in progress."""

    database: Database
    connector: Connector
    full: bool
    count: bool
    on_progress: Callable[[SyncProgress], None]
    summary: SourceSummary
    gaps: list[Gap] = field(default_factory=list)
    failures: list[ConnectorError] = field(default_factory=list)


async def sync_source(
    database: Database,
    connector: Connector,
    *,
    poll_every: timedelta,
    kind: str,
    full: bool = False,
    count: bool = False,
    on_progress: Callable[[SyncProgress], None] = lambda _: None,
) -> SourceSummary:
    """One complete pass over a source. What cannot be read is a gap; what fails is the summary's ``error``.

    ``full`` reads everything again; ``count`` takes a census of each container, also where none is due yet.

    Nothing is lost by a failure: every page was stored with its checkpoint, and the next pass goes on from there.
    """
    name = connector.source
    run = _Pass(database, connector, full, count, on_progress, SourceSummary(name))
    asked = connector.requests
    await _mark(database, name, kind, poll_every, "syncing", None)
    showing = asyncio.create_task(_show_waits(database, connector))
    try:
        discovery = await connector.discover()
        await despite_outages(
            lambda: _note_discovery(database, name, discovery.flavour, discovery.gaps), who=f"source {name}"
        )
        run.gaps.extend(discovery.gaps)
        roster = Roster(database, connector, discovery)
        live = await roster.readable()
        counter = Counter(database, connector, kind, live)
        boards = BoardReader(database, connector)
        await _despite(run, boards.read)
        run.gaps += boards.gaps
        await _read_all(run, live, counter)
        for step in (roster.follow, counter.look_again):
            await _despite(run, step)
        run.gaps += [*roster.gaps, *counter.gaps]
    except ConnectorError as error:
        run.failures.append(error)
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
    failure = _worst(run.failures)
    await _finish(database, name, failure, connector.requests - asked)
    return replace(run.summary, requests=connector.requests - asked, gaps=tuple(run.gaps), error=failure)


async def _despite(run: _Pass, step: Callable[[], Awaitable[Applied]]) -> None:
    """A step of its own, whose failure stops no other."""
    try:
        run.summary = run.summary.with_page(await step())
    except ConnectorError as error:
        run.failures.append(error)


def _worst(failures: list[ConnectorError]) -> ConnectorError | None:
    refused = [failure for failure in failures if isinstance(failure, AuthenticationFailed)]
    lasting = [failure for failure in failures if not isinstance(failure, Spared)]
    return (refused or lasting or failures or [None])[0]


async def _read_all(run: _Pass, containers: list[Container], counter: Counter) -> None:
    lanes = asyncio.Semaphore(_AT_ONCE)

    async def read_one(container: Container) -> None:
        async with lanes:
            if any(isinstance(failure, AuthenticationFailed) for failure in run.failures):
                return
            try:
                await _read(run, container, counter)
            except Skippable as skipped:
                run.gaps.append(skipped.gap)
                await despite_outages(
                    partial(_note_gaps, run.database, (skipped.gap,)), who=f"source {run.connector.source}"
                )
            except ConnectorError as error:
                run.failures.append(error)

    async with asyncio.TaskGroup() as group:
        for container in containers:
            group.create_task(read_one(container))


async def _read(run: _Pass, container: Container, counter: Counter) -> None:
    who = f"source {run.connector.source}"
    before = await counter.known(container)
    naming = asyncio.create_task(Dimensions(run.database, run.connector).follow(container))
    try:
        if before is not None:  # else there is nothing yet that could be read again for it
            await naming
        found = await despite_outages(partial(_checkpoint, run.database, run.connector.source, container), who=who)
        checkpoint = None if run.full or found is None else found.content
        polling = checkpoint is not None and found is not None and found.complete_at is not None
        seen, total = 0, None
        async for page in run.connector.read(container, checkpoint):
            applied = await despite_outages(partial(_store, run, container, page), who=who)
            run.summary = run.summary.with_page(applied)
            if polling:
                run.summary = replace(run.summary, polled=run.summary.polled + applied.changed)
            run.gaps.extend(page.gaps)
            seen, total = seen + applied.seen, page.total if page.total is not None else total
            run.on_progress(SyncProgress(run.connector.source, container.key, seen, total))
            await naming  # the first page holds no items: none is read before its names are
    finally:
        naming.cancel()
        await asyncio.gather(naming, return_exceptions=True)
    try:
        counted = await counter.after_pass(container, before, full=run.full or (run.count and before is not None))
    except Spared:
        return  # the census stays due, and is taken once there is a budget for it again
    run.summary = run.summary.with_page(counted)


async def _store(run: _Pass, container: Container, page: Page) -> Applied:
    async with run.database.write() as uow:
        return await apply_page(uow, run.connector.source, container, page)


async def _checkpoint(database: Database, source: str, container: Container) -> Any:
    """Where the reading of a container is, and when it was last read whole; None where it never was begun."""
    table = tables.checkpoints
    ours = (table.c.source == source) & (table.c.container == container.id)
    async with database.read() as connection:
        return (await connection.execute(select(table.c.content, table.c.complete_at).where(ours))).first()


async def _note_gaps(database: Database, gaps: tuple[Gap, ...]) -> None:
    async with database.write() as uow:
        await open_gaps(uow, gaps)


async def _note_discovery(database: Database, source: str, flavour: str, gaps: tuple[Gap, ...]) -> None:
    async with database.write() as uow:
        await open_gaps(uow, gaps)
        await uow.connection.execute(
            tables.sources.update().where(tables.sources.c.name == source).values(flavour=flavour)
        )


async def _mark(
    database: Database, source: str, kind: str, poll_every: timedelta, state: str, error: str | None
) -> None:
    async def mark() -> None:
        async with database.write() as uow:
            values = {
                "name": source,
                "kind": kind,
                "flavour": "",
                "state": state,
                "last_attempt_at": uow.now,
                "error": error,
                "requests": 0,
                "poll_every_s": int(poll_every.total_seconds()),
            }
            await uow.upsert(
                tables.sources,
                [values],
                replace=("kind", "state", "last_attempt_at", "poll_every_s"),
            )

    await despite_outages(mark, who=f"source {source}")


async def _show_waits(database: Database, connector: Connector) -> None:
    """Say of the source until when its tracker asked us to wait, for as long as we do."""
    shown: datetime | None = None

    async def show() -> None:
        async with database.write() as uow:
            table = tables.sources
            ours = table.c.name == connector.source
            await uow.connection.execute(table.update().where(ours).values(waits_until=shown))

    while True:
        until = connector.waits_until
        if until is not None and shown is not None and abs(until - shown) < _SAME_WAIT:
            until = shown  # it is told in seconds from now
        if until != shown:
            shown = until
            await despite_outages(show, who=f"source {connector.source}")
        await asyncio.sleep(_LOOK_AT_WAITS_S)


async def _finish(database: Database, source: str, error: ConnectorError | None, requests: int) -> None:
    async def finish() -> None:
        async with database.write() as uow:
            table = tables.sources
            row = (await uow.connection.execute(select(table).where(table.c.name == source))).one()
            values: dict[str, object] = {"requests": row.requests + requests, "waits_until": None}
            known = row.first_complete_at is not None
            if error is None or (known and isinstance(error, Spared)):  # what is new waits; all that is known was read
                first = not known
                values |= {"state": "ok", "error": None, "last_complete_at": uow.now}
                values |= {"first_complete_at": uow.now} if first else {}
                uow.emit(SourceSynced(source=source, at=uow.now, first=first))
            else:
                refused = isinstance(error, AuthenticationFailed)
                values |= {"state": "auth_failed" if refused else "failing", "error": str(error)}
            values |= {"waits_until": error.until} if isinstance(error, RateLimited) else {}
            await uow.connection.execute(table.update().where(table.c.name == source).values(**values))

    await despite_outages(finish, who=f"source {source}")


async def poll_forever(
    database: Database,
    connector: Connector,
    *,
    poll_every: timedelta,
    kind: str,
    now: Callable[[], datetime],
    sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep,
    woken: asyncio.Event | None = None,
    watchdog: Watchdog | None = None,
) -> None:
    """Pass after pass, at the configured pace; a failing tracker is asked more and more rarely, never given up.

    After a pass that ended well the next one begins as soon as it is ``woken``. A ``watchdog`` is told what polls find.
    """
    failures = 0
    while True:
        summary = await sync_source(database, connector, poll_every=poll_every, kind=kind)
        error = None if isinstance(summary.error, Spared) else summary.error  # polls do not wait for that
        failures = 0 if error is None else failures + 1
        pause = poll_every.total_seconds()
        if isinstance(error, RateLimited):
            pause = max(pause, (error.until - now()).total_seconds())
        elif isinstance(error, Retriable | AuthenticationFailed):
            pause = min(pause * 2 ** min(failures, 6), 3600) * random.uniform(0.8, 1.2)  # noqa: S311
        if error is not None:
            log.warning("source.failing", source=connector.source, error=str(error), next_in_s=round(pause))
        if watchdog is not None and error is None:
            await watchdog.after_pass(summary.polled)
        if woken is None or error is not None:
            await sleep(pause)
        else:
            await _either(sleep(pause), woken.wait())
            woken.clear()


async def _either(*waits: Coroutine[Any, Any, object]) -> None:
    """Wait for the first of them."""
    tasks = [asyncio.ensure_future(one) for one in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
