"""Streams of every kind over databases of every kind."""

from collections.abc import AsyncIterator

import pytest

from services.storage.database import Database
from tests.stream.toys import Transport, create_toy_tables

_KINDS = [
    "embedded-sqlite",
    pytest.param("embedded-postgres", marks=pytest.mark.postgres),
    pytest.param("kafka-sqlite", marks=pytest.mark.kafka),
    pytest.param("kafka-postgres", marks=[pytest.mark.kafka, pytest.mark.postgres]),
]


@pytest.fixture(params=_KINDS)
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    """A database and a way to stream its log."""
    stream, kind = request.param.split("-")
    database = Database(request.getfixturevalue(f"{kind}_url"))
    await create_toy_tables(database)
    yield Transport(database, request.getfixturevalue("kafka") if stream == "kafka" else None)
    await database.close()


@pytest.fixture
async def on_kafka(kafka: str, sqlite_url: str) -> AsyncIterator[Transport]:
    """A SQLite database whose log goes over the session's broker."""
    database = Database(sqlite_url)
    await create_toy_tables(database)
    yield Transport(database, kafka)
    await database.close()
