"""The names of people in what is stored: found, and taken out for good.

Trackers' people are never stored. What is, is who owns a node, who decided, acknowledged, snoozed or appraised: as
columns, in events, messages and findings, and in the strategies of the past.
"""

import json
from collections.abc import Iterator
from typing import Any

import yaml
from sqlalchemy import Column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage import tables

#: What stands in a name's place: the same for everybody, so that nothing ties two erased persons' doings together.
ERASED = "erased"
#: Keys whose values are people, in strategies, events, findings and messages.
_KEYS = frozenset({"by", "owner", "sponsor", "accountable", "responsible", "consulted", "informed", "attendees"})
_CHUNK = 1_000


def places_of(data: Any, name: str, path: str = "", *, person: bool = False) -> Iterator[str]:
    """Where the data name a person: paths such as ``initiatives[0].owner``."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from places_of(value, name, f"{path}.{key}" if path else str(key), person=key in _KEYS)
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from places_of(value, name, f"{path}[{index}]", person=person)
    elif person and data == name:
        yield path


def without(data: Any, name: str, *, person: bool = False) -> Any:
    """The data with the person's name replaced wherever it stands for a person."""
    if isinstance(data, dict):
        return {key: without(value, name, person=key in _KEYS) for key, value in data.items()}
    if isinstance(data, list):
        return [without(value, name, person=person) for value in data]
    return ERASED if person and data == name else data


async def erase(connection: AsyncConnection, name: str) -> dict[str, int]:
    """Take a person's name out of everything stored; the rows that had it, by table.

    Free text, such as the reason of a decision, is left as it is: see `mentions`.
    """
    erased: dict[str, int] = {}
    for table in (tables.decisions, tables.appraisals, tables.acknowledgements, tables.snoozes, tables.strategies):
        change = table.update().where(table.c.by == name).values(by=ERASED)
        erased[table.name] = (await connection.execute(change)).rowcount
    for column in (tables.findings.c.content, tables.deliveries.c.content, tables.log.c.value):
        erased[column.table.name] = await _rewrite(connection, column, name)
    erased["appraisals"] += await _rewrite(connection, tables.appraisals.c.attendees, name, person=True)
    erased["strategies"] += await _rewrite_strategies(connection, name)
    return {table: count for table, count in erased.items() if count}


async def mentions(connection: AsyncConnection, name: str) -> list[str]:
    """Free texts that have the name in them, which only a person can judge: ``decisions d-1``."""
    found: list[str] = []
    for table, column in (
        (tables.decisions, tables.decisions.c.why),
        (tables.decisions, tables.decisions.c.effect),
        (tables.appraisals, tables.appraisals.c.why),
        (tables.snoozes, tables.snoozes.c.why),
    ):
        statement = select(table.c.id).where(column.contains(name, autoescape=True)).order_by(table.c.id)
        found += [f"{table.name} {row.id}" for row in await connection.execute(statement)]
    return list(dict.fromkeys(found))


async def _rewrite(connection: AsyncConnection, column: Column[Any], name: str, *, person: bool = False) -> int:
    """Rewrite a column of JSON (a list of people, where it is of a ``person``); the number of rows that changed."""
    table = column.table
    (key,) = table.primary_key.columns
    count, last = 0, None
    while True:
        statement = select(key, column).order_by(key).limit(_CHUNK)
        rows = (await connection.execute(statement if last is None else statement.where(key > last))).all()
        for identity, content in rows:
            if name.encode() not in _bytes(content) and json.dumps(name)[1:-1].encode() not in _bytes(content):
                continue
            try:
                data = json.loads(content)
            except ValueError:  # a record of others', kept as it came
                continue
            if (changed := without(data, name, person=person)) != data:
                text = json.dumps(changed, ensure_ascii=False, separators=(",", ":"))
                value = text.encode() if isinstance(content, bytes) else text
                await connection.execute(table.update().where(key == identity).values({column.name: value}))
                count += 1
        if len(rows) < _CHUNK:
            return count
        last = rows[-1][0]


async def _rewrite_strategies(connection: AsyncConnection, name: str) -> int:
    table, count = tables.strategies, 0
    for version, content in (await connection.execute(select(table.c.version, table.c.content))).all():
        data = yaml.safe_load(content)
        if (changed := without(data, name)) != data:
            text = yaml.safe_dump(changed, allow_unicode=True, sort_keys=False)
            await connection.execute(table.update().where(table.c.version == version).values(content=text))
            count += 1
    return count


def _bytes(content: bytes | str) -> bytes:
    return content if isinstance(content, bytes) else content.encode()
