"""What a tracker no longer lists: counted now and then, looked at one by one, and never removed on suspicion."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import func, select

from connectors.base import Census, Connector, Container, Ref
from schemas.work import Gap
from services.ingest.apply import LEFT, MASS_ABSENCE, Applied, close_gap, open_gaps
from services.ingest.looks import apply_looked
from services.storage import tables
from services.storage.database import Database
from services.storage.outages import despite_outages

log = structlog.get_logger(__name__)

#: A census this often finds within the hour what hooks did not tell: 2 requests per 10,000 items on Jira Cloud.
PERIOD = timedelta(hours=1)
#: Elsewhere a page holds 100 items: so many items an hour cost 500 requests, a tenth of GitHub's 5,000 an hour.
HOURLY_ITEMS = 50_000
#: More items than this, or this share of a container, vanish at once by an accident sooner than by deletion.
MOST_ABSENT, MOST_ABSENT_SHARE = 20, 0.05
#: After such an accident the container is counted again this soon, and so many absent items are looked at each time.
AGAIN, BOUND = timedelta(minutes=10), 500
_LOOK = 100
_LOOKUP = 10_000


@dataclass(frozen=True)
class Stored:
    """What we hold of an item, as far as a census can tell."""

    uid: str
    key: str
    container: str
    availability: str
    updated_at: datetime


@dataclass(frozen=True)
class Known:
    """What the last passes left behind about a container: the key its items are stored under, and its census."""

    key: str
    census_at: datetime | None
    mass_absence_since: datetime | None
    items: int  #: of the whole source, where censuses cost by the number of items


class Counter:
    """Takes the censuses of one pass over a source."""

    def __init__(self, database: Database, connector: Connector, kind: str, live: Iterable[Container]) -> None:
        self._database = database
        self._connector = connector
        self._kind = kind
        self._readable = {container.key for container in live}
        self._who = f"source {connector.source}"
        self.gaps: list[Gap] = []

    async def known(self, container: Container) -> Known | None:
        """What there is to know before a pass over a container; None before the first."""
        return await despite_outages(partial(self._known, container), who=self._who)

    async def after_pass(self, container: Container, before: Known | None, *, full: bool) -> Applied:
        """Take the census of a container that was just read to its end, if it is due; always in a ``full`` pass.

        The first pass over a container is a census of its own. Raises what the connector raises.
        """
        if before is None and not full:
            await despite_outages(partial(self._mark, container, self._database.now()), who=self._who)
            return Applied()
        if not full and before is not None and not self._due(container, before):
            return Applied()
        keys = {container.key, *([before.key] if before is not None else [])}
        began = self._database.now()
        census = await self._connector.census(container)
        stored = await despite_outages(partial(self._stored, keys, census), who=self._who)
        held = [one for one in stored.values() if one.availability not in LEFT]
        absent = [
            Ref(uid=one.uid, key=one.key, container=container.id) for one in held if one.uid not in census.present
        ]
        total = len(held)
        many = len(absent) >= max(MOST_ABSENT, MOST_ABSENT_SHARE * total)
        applied = await self._look(_hints(census, stored, container))
        if many:
            since = before.mass_absence_since if before is not None else None
            await self._tell(container, len(absent), total)
            patient = since is not None and began - since >= AGAIN
            applied += await self._look(absent[:BOUND] if patient else ())
        else:
            applied += await self._look(absent)
        await despite_outages(partial(self._mark, container, began, counted=not many), who=self._who)
        return applied

    def _due(self, container: Container, known: Known) -> bool:
        if known.census_at is None or known.key != container.key:
            return True
        period = PERIOD
        if self._kind != "jira":
            period *= max(1, -(-known.items // HOURLY_ITEMS))
        return self._database.now() - known.census_at >= (AGAIN if known.mass_absence_since is not None else period)

    # -- looking -----------------------------------------------------------------------------------------------

    async def look_again(self) -> Applied:
        """Look at items whose last answer was older than what is stored, until it is believed or was a mistake."""
        rows = await despite_outages(self._doubted, who=self._who)
        return await self._look([Ref(uid=row.uid, key=row.key, container=row.id) for row in rows])

    async def _look(self, refs: Sequence[Ref]) -> Applied:
        applied, unsure = await self._look_once(refs)
        if unsure:
            again, _ = await self._look_once([ref for ref in refs if ref.uid in unsure])
            applied += again
        return applied

    async def _look_once(self, refs: Sequence[Ref]) -> tuple[Applied, set[str]]:
        applied, unsure = Applied(), set[str]()
        for start in range(0, len(refs), _LOOK):
            looked = await self._connector.look(refs[start : start + _LOOK], live=False)

            async def store() -> Applied:
                async with self._database.write() as uow:
                    return await apply_looked(uow, looked, self._readable)  # noqa: B023 - awaited in this turn

            applied += await despite_outages(store, who=self._who)
            unsure |= set(looked.unsure)
        return applied, unsure

    # -- what is stored ----------------------------------------------------------------------------------------

    async def _known(self, container: Container) -> Known | None:
        table, source = tables.checkpoints, self._connector.source
        async with self._database.read() as connection:
            row = (
                await connection.execute(
                    select(table).where((table.c.source == source) & (table.c.container == container.id))
                )
            ).first()
            if row is None:
                return None
            gap = (
                await connection.execute(
                    select(tables.gaps.c.opened_at).where(
                        (tables.gaps.c.source == source)
                        & (tables.gaps.c.container == container.key)
                        & (tables.gaps.c.reason == MASS_ABSENCE)
                        & tables.gaps.c.closed_at.is_(None)
                    )
                )
            ).scalar()
            count = (
                0
                if self._kind == "jira"
                else await connection.scalar(
                    select(func.count()).select_from(tables.items).where(tables.items.c.source == source)
                )
            )
        return Known(row.key, row.census_at, gap, int(count or 0))

    async def _stored(self, keys: Iterable[str], census: Census) -> dict[str, Stored]:
        """The items stored under these keys, and those that the census names wherever they are stored."""
        table = tables.items
        query = select(table.c.uid, table.c.key, table.c.container, table.c.availability, table.c.updated_at)
        found: dict[str, Stored] = {}
        async with self._database.read() as connection:
            here = query.where((table.c.source == self._connector.source) & table.c.container.in_(sorted(keys)))
            found |= {row.uid: Stored(*row) for row in await connection.execute(here)}
            others = [uid for uid in census.present if uid not in found]
            for start in range(0, len(others), _LOOKUP):
                there = query.where(table.c.uid.in_(others[start : start + _LOOKUP]))
                found |= {row.uid: Stored(*row) for row in await connection.execute(there)}
        return found

    async def _doubted(self) -> Sequence[Any]:
        doubts, items, places = tables.older_answers, tables.items, tables.checkpoints
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(doubts.c.uid, items.c.key, places.c.container.label("id"))
                .join(items, items.c.uid == doubts.c.uid)
                .join(places, (places.c.source == items.c.source) & (places.c.key == items.c.container))
                .where(doubts.c.source == self._connector.source)
                .order_by(doubts.c.uid)
                .limit(BOUND)
            )
            return list(rows)

    async def _mark(self, container: Container, began: datetime, *, counted: bool = False) -> None:
        table = tables.checkpoints
        async with self._database.write() as uow:
            await uow.connection.execute(
                table.update()
                .where((table.c.source == self._connector.source) & (table.c.container == container.id))
                .values(census_at=began, key=container.key)
            )
            if counted:
                await close_gap(uow, self._connector.source, container.key, counted=True)

    async def _tell(self, container: Container, absent: int, total: int) -> None:
        gap = Gap(
            source=self._connector.source,
            container=container.key,
            reason=MASS_ABSENCE,
            detail="a great part of its items is not listed any more; none is removed on that alone",
            fix="check what the account may see; what was really deleted goes over the next passes, item by item",
        )
        log.warning("census.mass_absence", source=gap.source, container=gap.container, absent=absent, of=total)
        self.gaps.append(gap)

        async def tell() -> None:
            async with self._database.write() as uow:
                await open_gaps(uow, (gap,))

        await despite_outages(tell, who=self._who)


def _hints(census: Census, stored: Mapping[str, Stored], container: Container) -> list[Ref]:
    """Listed items that we do not have as they are listed; of those we do not have at all, only the id is known."""
    found = []
    for uid, updated in census.present.items():
        one = stored.get(uid)
        if one is None or one.availability in LEFT or one.container != container.key:
            found.append(Ref(uid=uid, key=one.key if one is not None else "", container=container.id))
        elif updated is not None and updated != one.updated_at:
            found.append(Ref(uid=uid, key=one.key, container=container.id))
    return found
