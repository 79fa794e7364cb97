"""What counts as a database that is away, and what as a fault of the caller."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.storage import tables
from services.storage.database import Database, is_outage
from tests import parts

ROW = {"uid": "a:version:1", "source": "a", "container": None, "title": "", "revision": 1, "hash": b"", "content": b""}


async def execute(database: Database, statement: Any, values: dict[str, Any] | None = None) -> None:
    """One statement in a transaction of its own."""
    async with database.write() as uow:
        await uow.connection.execute(statement, values or {})


async def test_a_value_that_no_column_takes_is_no_outage(database: Database) -> None:
    """Waiting would not make the number smaller, so it must not be waited for."""
    row = ROW | {"revision": 2**70, "observed_at": database.now()}
    with pytest.raises(Exception, match="int") as caught:
        await execute(database, tables.milestones.insert(), row)
    assert not is_outage(caught.value)


async def test_a_faulty_statement_is_no_outage(database: Database) -> None:
    """A table that does not exist, wrong syntax and a broken constraint are ours to mend."""
    for statement in ("SELECT * FROM nowhere", "SELEC 1", "INSERT INTO leases (name) VALUES ('a')"):
        with pytest.raises(DBAPIError) as caught:
            await execute(database, text(statement))
        assert not is_outage(caught.value)


async def test_an_error_does_not_tell_the_values(database: Database) -> None:
    """A title may be confidential; the message of an error goes to the log and to the dead letters."""
    with pytest.raises(DBAPIError) as caught:
        await execute(database, text("SELECT :title FROM nowhere"), {"title": "the secret merger"})
    assert "merger" not in str(caught.value)


async def test_a_file_in_a_folder_that_is_not_there_is_an_outage(tmp_path: Path) -> None:
    """The disk may be mounted again."""
    database = Database(f"sqlite:///{tmp_path}/absent/x.db")
    with pytest.raises(Exception, match="unable") as caught:
        await execute(database, text("SELECT 1"))
    await database.close()
    assert is_outage(caught.value)


@pytest.fixture
async def own_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    """A PostgreSQL server of one's own, to be stopped at will."""
    server = parts.postgres_server(tmp_path_factory.mktemp("own") / "postgres")
    yield server
    server.stop()
    server.cleanup_mode = None


async def interrupted(database: Database, server: Any) -> None:
    """A transaction under which the server stops."""
    async with database.write() as uow:
        await uow.connection.execute(text("SELECT 1"))
        server.stop()
        await uow.connection.execute(text("SELECT 1"))


@pytest.mark.postgres
async def test_a_server_that_stops_is_an_outage_and_is_found_again(own_server: Any) -> None:
    """A statement under way fails, so does a new connection; once the server is back, all is well by itself."""
    database = Database(parts.postgres_url(own_server, "postgres"))
    with pytest.raises(Exception, match="connection") as during:
        await interrupted(database, own_server)
    with pytest.raises((DBAPIError, OSError)) as after:
        await execute(database, text("SELECT 1"))
    assert is_outage(during.value)
    assert is_outage(after.value)
    own_server.start()
    await execute(database, text("SELECT 1"))
    await database.close()
