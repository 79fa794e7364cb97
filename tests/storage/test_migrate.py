"""Migrations on both kinds of database."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, select

from services.storage import migrate, tables
from services.storage.database import Database, InvalidDatabaseURL, driver_url
from services.storage.unit_of_work import UnitOfWork
from tests import parts


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def empty(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database without any table."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/empty.db"
    else:
        url = await parts.clone_postgres(request.getfixturevalue("postgres_server"), "template1")
    database = Database(url)
    yield database
    await database.close()


async def table_names(database: Database) -> set[str]:
    """The tables that are there, but for Alembic's own."""
    async with database.administer() as connection:
        names: list[str] = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    return set(names) - {"alembic_version"}


async def test_up_down_and_up_again(empty: Database) -> None:
    """An empty database gets every table, gives them back, and gets them again."""
    assert await migrate.current(empty) is None
    for _ in range(2):
        await migrate.upgrade(empty)
        assert await migrate.current(empty) == migrate.head()
        assert await table_names(empty) == set(tables.metadata.tables)
        assert await migrate.differences(empty) == []
        await migrate.downgrade(empty, "base")
        assert await table_names(empty) == set()


async def test_a_migration_keeps_what_was_stored(empty: Database) -> None:
    """An upgrade of a database that is up to date changes nothing."""
    await migrate.upgrade(empty)
    async with empty.write() as uow:
        await uow.upsert(tables.leases, [{"name": "x", "holder": "a", "until": uow.now}])
    await migrate.upgrade(empty)
    async with empty.read() as connection:
        assert len((await connection.execute(select(tables.leases))).all()) == 1


async def test_a_backup_taken_while_others_write_is_whole(sqlite_url: str) -> None:
    """It can be opened, and holds all that was committed when it was taken."""
    database = Database(sqlite_url)

    async def write(number: int) -> None:
        async with database.write() as uow:
            await uow.upsert(tables.leases, _lease(uow, f"before {number}"))

    await asyncio.gather(*(write(number) for number in range(20)))
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    async with database.write() as uow:
        await uow.upsert(tables.leases, _lease(uow, "not committed"))
        copy = await asyncio.to_thread(migrate.backup, file, datetime(2026, 3, 1, 9, 5, tzinfo=UTC))
    await database.close()
    assert copy.name == "courseline-20260301T090500Z.db"
    connection = sqlite3.connect(copy)
    names = {name for (name,) in connection.execute("SELECT name FROM leases")}
    connection.close()
    assert names == {f"before {number}" for number in range(20)}


def _lease(uow: UnitOfWork, name: str) -> list[dict[str, Any]]:
    return [{"name": name, "holder": "a", "until": uow.now}]


@pytest.mark.parametrize("url", ["", "courseline.db", "mysql://root@host/db", "::"])
def test_a_url_of_another_kind_is_refused_with_what_is_expected(url: str) -> None:
    """The message shows the two forms that work."""
    with pytest.raises(InvalidDatabaseURL, match="sqlite:///FILE or postgresql://USER@HOST/NAME"):
        driver_url(url)


def test_a_bad_url_does_not_tell_its_password() -> None:
    """A database that is not supported may still have a secret in its URL."""
    with pytest.raises(InvalidDatabaseURL) as caught:
        driver_url("mysql://root:hunter2@host/db")
    assert "hunter2" not in str(caught.value)
