"""Fixtures that every room shares: databases of both kinds, a Kafka broker, a browser."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.storage.database import Database
from tests import parts


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with this version's tables, to copy."""
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    parts.migrated(f"sqlite:///{file}")
    return file


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh, migrated SQLite file."""
    file = tmp_path / "courseline.db"
    shutil.copy(sqlite_template, file)
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The session's PostgreSQL server."""
    server = parts.postgres_server(parts.session_folder(tmp_path_factory) / "postgres")
    # Nothing here must outlive a power cut.
    parts.sql(
        parts.postgres_url(server, "postgres"),
        "ALTER SYSTEM SET fsync = off",
        "ALTER SYSTEM SET full_page_writes = off",
        "SELECT pg_reload_conf()",
    )
    return server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Any) -> str:
    """The name of a PostgreSQL database with this version's tables, to copy."""
    name = f"template_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    parts.sql(parts.postgres_url(postgres_server, "postgres"), f"CREATE DATABASE {name}")
    parts.migrated(parts.postgres_url(postgres_server, name))
    return name


@pytest.fixture
def postgres_url(postgres_server: Any, postgres_template: str) -> str:
    """A fresh, migrated PostgreSQL database."""
    return parts.apart(parts.clone_postgres(postgres_server, postgres_template))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database of each kind we support."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open, fresh, migrated database of each kind we support."""
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Kafka broker: the one that COURSELINE_TEST_KAFKA names, or one that the session starts."""
    if named := os.environ.get("COURSELINE_TEST_KAFKA"):
        yield named
    else:
        with parts.shared_broker(parts.session_folder(tmp_path_factory)) as address:
            yield address


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium."""
    return parts.chromium_path()
