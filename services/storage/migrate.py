"""Migrations: bring a database to this version's tables, tell where it stands, save a copy first."""

import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from services.storage.database import Database
from services.storage.tables import metadata


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """The revision this version of the program needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


class UnknownTables(Exception):
    """The database holds what this version cannot bring to its own tables; the message says what to do."""


async def current(database: Database) -> str | None:
    """The revision the database is at; None for an empty one."""
    async with database.read() as connection:
        return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())


async def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the database to a revision. Raises UnknownTables where it is at one that is not ours, or holds others."""
    await _recognise(database)
    async with database.administer() as connection:
        await connection.run_sync(lambda sync: command.upgrade(_config(sync), revision))


async def _recognise(database: Database) -> None:
    found = await current(database)
    if found is None:
        async with database.read() as connection:
            held = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
        # A file is one program's; a server's schema may be shared, as long as the names are.
        if taken := sorted(held - {"alembic_version"} if database.is_sqlite else held & metadata.tables.keys()):
            raise UnknownTables(
                f"the database holds tables that are not Courseline's, {taken[0]} among them; it was left as it is. "
                "Name another in `database`"
            )
    elif found not in {one.revision for one in ScriptDirectory.from_config(_config()).walk_revisions()}:
        raise UnknownTables(
            f"the database is at revision {found}, which this version does not know: a newer one made it. "
            "It was left as it is. Use that version, or a copy that was saved before the upgrade"
        )


async def downgrade(database: Database, revision: str) -> None:
    """Take the database back to a revision (``base`` empties it)."""
    async with database.administer() as connection:
        await connection.run_sync(lambda sync: command.downgrade(_config(sync), revision))


async def differences(database: Database) -> list[Any]:
    """What the tables have that the models do not, and the other way round; empty when they agree."""
    async with database.administer() as connection:
        return await connection.run_sync(
            lambda sync: list(compare_metadata(MigrationContext.configure(sync), metadata))
        )


def backup(file: Path, now: datetime) -> Path:
    """An online copy of a SQLite file, beside it; safe while it is written to."""
    copy = file.with_name(f"{file.stem}-{now:%Y%m%dT%H%M%SZ}{file.suffix}")
    with sqlite3.connect(file) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    return copy
