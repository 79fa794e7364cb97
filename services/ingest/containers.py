"""Containers that are not read any more: archived, in the trash, out of sight, or another one under the same name."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import select

from connectors.base import Connector, Container, Discovery, Ref
from schemas.work import Availability, Gap
from services.ingest.apply import Applied, open_gaps
from services.ingest.census import AGAIN
from services.ingest.looks import apply_left
from services.storage import tables
from services.storage.database import Database
from services.storage.outages import despite_outages

#: What a container takes along when it goes; what was deleted or moved before stays so, and what was in the trash
#: before it went out of sight, too.
_FOLLOWS = {
    "archived": ("present", "suspect", "trashed", "access_lost"),
    "trashed": ("present", "suspect", "archived", "access_lost"),
    "access_lost": ("present", "suspect"),
}
_CHUNK = 1_000
#: So many of its items are asked for, to tell whether a container that is not offered can be seen.
_PROBES = 3


class Roster:
    """The containers of a source as they are offered now, beside those that were read before."""

    def __init__(self, database: Database, connector: Connector, discovery: Discovery) -> None:
        self._database = database
        self._connector = connector
        self._offered = {one.id: one for one in discovery.containers}
        self._who = f"source {connector.source}"
        self.gaps: list[Gap] = []

    async def readable(self) -> list[Container]:
        """The live containers. One that bears the name of another that we read is refused: identity is the id."""
        owners = {row.key: row.container for row in await despite_outages(self._read_before, who=self._who)}
        live = [one for one in self._offered.values() if one.state == "live"]
        refused = [one for one in live if owners.get(one.key, one.id) != one.id]
        for one in refused:
            await self._tell(
                Gap(
                    source=self._connector.source,
                    container=one.key,
                    reason="name_reused",
                    detail="another container bears the name of one that was read before; it is not read",
                    fix="name the former one by its new name in the configuration, so that the two are told apart",
                )
            )
        return [one for one in live if one not in refused]

    async def follow(self) -> Applied:
        """Items go where their container went. Raises what the connector raises."""
        applied = Applied()
        for row in await despite_outages(self._read_before, who=self._who):
            offered = self._offered.get(row.container)
            if offered is not None and offered.state == "live":
                continue
            why: Availability | None = offered.state if offered is not None else await self._why(row)  # type: ignore[assignment]
            if why is not None:
                removed = await despite_outages(partial(self._take_along, row, why), who=self._who)
                applied += Applied(removed=removed)
        return applied

    async def _why(self, row: Any) -> Availability | None:
        """Why a container is not offered: None where it is only not configured any more, or where we are not sure.

        Access is lost when its items say so twice, some minutes apart, and none of them is seen in it.
        """
        now = self._database.now()
        if row.census_at is not None and now - row.census_at < AGAIN:
            return None
        probes = await despite_outages(partial(self._some, row.key), who=self._who)
        if not probes:
            return None
        refs = [Ref(uid=one.uid, key=one.key, container=row.container) for one in probes]
        looked = await self._connector.look(refs, live=False)
        await despite_outages(partial(self._asked, row, now), who=self._who)
        elsewhere = {uid: why for uid, why in looked.left.items() if why in ("archived", "trashed")}
        await despite_outages(partial(self._single, elsewhere), who=self._who)  # moved before, to such a project
        if "access_lost" not in looked.left.values() or any(item.container == row.key for item in looked.items):
            return None
        since = await despite_outages(partial(self._gap_since, row.key), who=self._who)
        if since is None:
            await self._tell(
                Gap(
                    source=self._connector.source,
                    container=row.key,
                    reason="not_found",
                    detail="it was read before and is not offered any more",
                    fix="give the account access to it again, or take it out of the configuration",
                )
            )
        return "access_lost" if since is not None and now - since >= AGAIN else None

    # -- what is stored ----------------------------------------------------------------------------------------

    async def _read_before(self) -> Sequence[Any]:
        table = tables.checkpoints
        query = select(table.c.container, table.c.key, table.c.census_at)
        async with self._database.read() as connection:
            rows = query.where(table.c.source == self._connector.source).order_by(table.c.container)
            return list(await connection.execute(rows))

    async def _some(self, key: str) -> Sequence[Any]:
        table = tables.items
        query = select(table.c.uid, table.c.key).where(
            (table.c.source == self._connector.source)
            & (table.c.container == key)
            & table.c.availability.in_(("present", "suspect"))
        )
        async with self._database.read() as connection:
            return list(await connection.execute(query.order_by(table.c.uid).limit(_PROBES)))

    async def _take_along(self, row: Any, why: Availability) -> int:
        removed = 0
        table = tables.items
        query = select(table.c.uid).where(
            (table.c.source == self._connector.source)
            & (table.c.container == row.key)
            & table.c.availability.in_(_FOLLOWS[why])
        )
        while True:
            async with self._database.write() as uow:
                uids = list((await uow.connection.execute(query.order_by(table.c.uid).limit(_CHUNK))).scalars())
                removed += await apply_left(uow, dict.fromkeys(uids, why))
                if uids:
                    await self._uncounted(uow.connection, row)
            if len(uids) < _CHUNK:
                return removed

    async def _single(self, left: Mapping[str, Availability]) -> None:
        async with self._database.write() as uow:
            await apply_left(uow, left)

    async def _uncounted(self, connection: Any, row: Any) -> None:
        """When it comes back, it is counted at once."""
        await connection.execute(self._of(row).values(census_at=None))

    async def _asked(self, row: Any, now: Any) -> None:
        async with self._database.write() as uow:
            await uow.connection.execute(self._of(row).values(census_at=now))

    def _of(self, row: Any) -> Any:
        table = tables.checkpoints
        return table.update().where((table.c.source == self._connector.source) & (table.c.container == row.container))

    async def _gap_since(self, key: str) -> Any:
        table = tables.gaps
        query = select(table.c.opened_at).where(
            (table.c.source == self._connector.source) & (table.c.container == key) & table.c.closed_at.is_(None)
        )
        async with self._database.read() as connection:
            return await connection.scalar(query)

    async def _tell(self, gap: Gap) -> None:
        self.gaps.append(gap)

        async def tell() -> None:
            async with self._database.write() as uow:
                await open_gaps(uow, (gap,))

        await despite_outages(tell, who=self._who)
