"""The log as its readers see it: what comes after a position, how far everybody is, and dead letters sent again."""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas import wire
from services.storage import tables
from services.storage.bulk import rows_of
from services.storage.unit_of_work import UnitOfWork, append_rows
from services.stream.delivery import WHOLE, Consumer, Record


async def read_after(connection: AsyncConnection, positions: Mapping[str, int], limit: int) -> list[Record]:
    """The next records of some topics in log order, each topic after the position that stands for it."""
    log = tables.log.c
    found: list[Record] = []
    for topic, position in sorted(positions.items()):
        rows = await connection.execute(
            select(log.position, log.value)
            .where((log.topic == topic) & (log.position > position))
            .order_by(log.position)
            .limit(limit)
        )
        found += [Record(topic, WHOLE, row.position, 0, row.value) for row in rows]
    return sorted(found, key=lambda record: record.position)[:limit]


async def end_of_log(connection: AsyncConnection, topics: Collection[str]) -> int:
    """The last position of any of the topics; nought for an empty log."""
    log = tables.log.c
    return (await connection.execute(select(func.max(log.position)).where(log.topic.in_(topics)))).scalar() or 0


async def positions_of(connection: AsyncConnection, consumer: Consumer) -> dict[str, int]:
    """How far an embedded consumer is on each of its topics."""
    table = tables.positions.c
    rows = await connection.execute(
        select(table.topic, table.position).where((table.consumer == consumer.name) & (table.partition == WHOLE))
    )
    known = {row.topic: row.position for row in rows}
    return {topic.name: known.get(topic.name, 0) for topic in consumer.topics}


async def lag(connection: AsyncConnection, consumers: Iterable[Consumer]) -> dict[str, int]:
    """How many records each consumer has yet to handle."""
    behind = {}
    for consumer in consumers:
        count = 0
        for topic, position in (await positions_of(connection, consumer)).items():
            log = tables.log.c
            statement = select(func.count()).where((log.topic == topic) & (log.position > position))
            count += (await connection.execute(statement)).scalar() or 0
        behind[consumer.name] = count
    return behind


async def is_behind(connection: AsyncConnection, group: str, topics: Collection[wire.Topic]) -> bool:
    """Whether a group of readers has yet to handle something, whichever way it reads: the log itself, or a broker."""
    consumer = Consumer(group, tuple(topics), _nothing)
    if not (await lag(connection, [consumer]))[group]:
        return False
    table = tables.positions.c
    reads_a_broker = select(table.partition).where((table.consumer == group) & (table.partition != WHOLE)).limit(1)
    if (await connection.execute(reads_a_broker)).first() is None:
        return True
    from services.stream.relay import behind  # the broker's client, for those who have one

    return bool((await behind(connection, [consumer]))[group])


async def _nothing(uow: UnitOfWork, events: object) -> None:
    """Reads nothing: it only stands for its group."""


async def redrive(uow: UnitOfWork, *, topic: str | None = None, ids: Sequence[int] | None = None) -> int:
    """Append dead letters to the log anew and mark them; the number sent. All that were not sent before by default.

    Every consumer of the topic hears them; for those that had handled them they change nothing.
    """
    table = tables.dead_letters
    wanted: Any = table.c.redriven_at.is_(None) if ids is None else table.c.id.in_(ids)
    if topic is not None:
        wanted &= table.c.topic == topic
    letters = (await uow.connection.execute(select(table).where(wanted).order_by(table.c.id))).all()
    rows = [
        {
            "id": uuid.uuid4().hex,
            "topic": letter.topic,
            "key": letter.key or "",
            "type": letter.type or "",
            "time": uow.now,
            "value": letter.value,
        }
        for letter in letters
    ]
    await append_rows(uow.connection, rows_of(rows))
    uow.appended = uow.appended or bool(rows)
    if letters:
        await uow.connection.execute(
            table.update().where(table.c.id.in_([letter.id for letter in letters])).values(redriven_at=uow.now)
        )
    return len(letters)
