"""Connections: one writer's transaction at a time on SQLite, many on PostgreSQL, and readers beside them."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.storage.unit_of_work import UnitOfWork, append

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


class InvalidDatabaseURL(ValueError):
    """The URL is none of ours; the message says what is."""


class Wake:
    """Tells waiting readers that the log grew. Take a ticket, read, then wait with it: nothing is missed."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ticket(self) -> asyncio.Event:
        return self._event

    def notify(self) -> None:
        woken, self._event = self._event, asyncio.Event()
        woken.set()


async def woken(ticket: asyncio.Event, within: float) -> None:
    """Return when the log grew since the ticket was taken, or after so many seconds."""
    try:
        async with asyncio.timeout(within):
            await ticket.wait()
    except TimeoutError:
        return


def driver_url(url: str) -> URL:
    """The URL with the driver we use. Raises InvalidDatabaseURL."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise InvalidDatabaseURL(
            "not a database URL; expected sqlite:///FILE or postgresql://USER@HOST/NAME"
        ) from error
    driver = _DRIVERS.get(parsed.drivername.split("+")[0])
    if driver is None:
        raise InvalidDatabaseURL(
            f"{parsed.drivername!r} is not supported; use sqlite:///FILE or postgresql://USER@HOST/NAME"
        )
    return parsed.set(drivername=driver)


#: Classes and codes of SQLSTATE that pass by waiting (PostgreSQL, appendix A): connection, resources, conflicts
#: with others, operator intervention, the system itself.
_PASSING = ("08", "53", "40001", "40P01", "55P03", "57P", "58")
#: What SQLite says when a file is held or cannot be reached (sqlite.org/rescode.html).
_SQLITE_PASSING = ("is locked", "disk i/o error", "unable to open database", "disk is full")


def is_outage(error: BaseException) -> bool:
    """Whether the database itself is away or busy, so that waiting is the answer."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        error = error.orig or error
    if isinstance(error, PoolTimeout | OSError):
        return True
    if isinstance(error, sqlite3.Error):
        return any(said in str(error).lower() for said in _SQLITE_PASSING)
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_PASSING)
    text = str(error).lower()
    return "connection" in text and ("closed" in text or "lost" in text)


def is_damaged(error: BaseException) -> bool:
    """Whether a SQLite file is no database, or is one no more; waiting mends nothing."""
    if isinstance(error, DBAPIError):
        error = error.orig or error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the upper bits only say more
    return isinstance(error, sqlite3.Error) and code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Database:
    """One database, opened for as long as the `open` context lasts."""

    def __init__(self, url: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.url = driver_url(url)
        self.now = now
        self.appended = Wake()
        self.is_sqlite = self.url.drivername.startswith("sqlite")
        if self.is_sqlite:
            self._writer = _sqlite_engine(self.url, "BEGIN IMMEDIATE", pool_size=1)
            self._reader = _sqlite_engine(self.url, "BEGIN", pool_size=6)
        else:
            self._writer = create_async_engine(
                self.url, pool_size=12, max_overflow=4, pool_pre_ping=True, hide_parameters=True
            )
            self._reader = self._writer

    @asynccontextmanager
    async def write(self) -> AsyncIterator[UnitOfWork]:
        """One transaction: what is emitted in it lands in the log with it, or not at all."""
        async with self._writer.begin() as connection:
            uow = UnitOfWork(connection, self.now())
            yield uow
            grew = await append(connection, uow.pending)
        if grew or uow.appended:
            self.appended.notify()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection that sees one consistent state and writes nothing."""
        async with self._reader.connect() as connection:
            if not self.is_sqlite:
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection
            await connection.rollback()

    @asynccontextmanager
    async def administer(self) -> AsyncIterator[AsyncConnection]:
        """A writing connection outside the log: migrations, backups."""
        async with self._writer.begin() as connection:
            yield connection

    async def close(self) -> None:
        await self._writer.dispose()
        await self._reader.dispose()


class _Releasing(sqlite3.Connection):
    """A connection that lets go of the file when it is closed.

    SQLite keeps a closed connection's locks for as long as a statement of it is about, and whatever was cancelled
    in the middle of a transaction leaves one: in the traceback, say.
    """

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self.rollback()
        super().close()


def _sqlite_engine(url: URL, begin: str, *, pool_size: int) -> AsyncEngine:
    # The driver's own transactions start too late and end at a savepoint, so we begin them ourselves.
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=600,
        hide_parameters=True,
        connect_args={"factory": _Releasing},
    )

    def before_connect(_dialect: Any, _record: Any, arguments: list[Any], _named: Any) -> None:
        # The driver's thread outlives a connection that fails, and complains at exit; so it fails here, first.
        sqlite3.connect(arguments[0]).close()

    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("busy_timeout=60000", "synchronous=NORMAL", "cache_size=-65536"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.execute("SELECT count(*), coalesce(sum(name = 'alembic_version'), 0) FROM sqlite_master")
        held, ours = cursor.fetchone()
        if ours or not held:  # the file of another program stays as it is
            cursor.execute("PRAGMA journal_mode=WAL")
        cursor.close()

    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "do_connect", before_connect)
    event.listen(engine.sync_engine, "connect", on_connect)
    event.listen(engine.sync_engine, "begin", on_begin)
    return engine
