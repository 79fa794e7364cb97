"""Labels, statuses, types: what is renamed in the tracker without any item's change, and what follows from it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

import msgspec
import structlog
from sqlalchemy import select

from connectors.base import AuthenticationFailed, Connector, ConnectorError, Container, RateLimited, Skippable
from services.storage import tables
from services.storage.database import Database
from services.storage.outages import despite_outages
from services.storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

#: The lists are read this often; a rename is found within that time.
PERIOD = timedelta(hours=1)
_NAMES: msgspec.json.Decoder[dict[str, str]] = msgspec.json.Decoder(dict[str, str])
_READ_AT_ONCE = 1_000


async def forget_lists(uow: UnitOfWork, source: str) -> None:
    """Every list of a source is due."""
    table = tables.dimensions
    await uow.connection.execute(table.update().where(table.c.source == source).values(read_at=uow.now - PERIOD))


def renamed(before: Mapping[str, str], now: Mapping[str, str]) -> set[str]:
    """The names that no longer stand for what they stood for: renamed, remapped or gone. New ones are none of them."""
    return {name for id_, name in before.items() if now.get(id_) != name}


class Dimensions:
    """What a source's containers call their labels, statuses and the like, as we read it last."""

    def __init__(self, database: Database, connector: Connector) -> None:
        self._database = database
        self._connector = connector
        self._who = f"source {connector.source}"

    async def follow(self, container: Container) -> bool:
        """Read the container's lists, where that was not done for a while; whether its items must all be read again.

        They must where some of them show a name that stands for nothing any more. That is stored with the new names,
        as a container that was never read; what does not differ has no effect then, and a reading that breaks off
        goes on where it was.
        """
        known = await despite_outages(partial(self._known, container), who=self._who)
        if known is not None and self._database.now() - known[1] < PERIOD:
            return False
        try:
            names = dict(await self._connector.names(container))
        except (RateLimited, AuthenticationFailed):
            raise
        except ConnectorError as error:
            if known is None and not isinstance(error, Skippable):
                raise  # what is read before its names are known could not be told from what is renamed later
            # else worth no failed pass: asked for again after a while
            log.warning("dimensions.unread", source=self._connector.source, container=container.key, error=str(error))
            names = known[0] if known is not None else {}
        gone = renamed(known[0], names) if known is not None else set()
        again = bool(gone) and await despite_outages(partial(self._held, container, gone), who=self._who)
        await despite_outages(partial(self._store, container, names, again=again), who=self._who)
        return again

    async def _known(self, container: Container) -> tuple[dict[str, str], datetime] | None:
        table = tables.dimensions.c
        wanted = (table.source == self._connector.source) & (table.container == container.id)
        async with self._database.read() as connection:
            row = (await connection.execute(select(table.content, table.read_at).where(wanted))).first()
        return None if row is None else (_NAMES.decode(row.content), row.read_at)

    async def _store(self, container: Container, names: dict[str, str], *, again: bool) -> None:
        content, places = msgspec.json.encode(names, order="deterministic"), tables.checkpoints
        async with self._database.write() as uow:
            row = {"source": self._connector.source, "container": container.id, "content": content}
            await uow.upsert(tables.dimensions, [row | {"read_at": uow.now}], replace=("content", "read_at"))
            if again:
                ours = (places.c.source == self._connector.source) & (places.c.container == container.id)
                await uow.connection.execute(places.update().where(ours).values(content=b"", complete_at=None))

    async def _held(self, container: Container, names: set[str]) -> bool:
        """Whether a stored item of the container shows any of these names."""
        texts = [msgspec.json.encode(name.partition("\n")[0]) for name in names]
        table, last = tables.items.c, ""
        while True:
            statement = (
                select(table.uid, table.content)
                .where((table.source == self._connector.source) & (table.container == container.key))
                .where(table.uid > last)
                .order_by(table.uid)
                .limit(_READ_AT_ONCE)
            )
            async with self._database.read() as connection:
                rows = (await connection.execute(statement)).all()
            if any(text in row.content for row in rows for text in texts):
                return True
            if len(rows) < _READ_AT_ONCE:
                return False
            last = rows[-1].uid
