"""Everything, line by line: streams of the promised shapes, in an order that two exports of the same state share."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.amounts import POINT, SHARE
from services.feed.answered import answered
from services.feed.shapes import FIGURES, finding_json, item_json, milestone_json, moment, node_json
from services.ledger.postings import UNALIGNED
from services.ledger.strategies import current_strategy
from services.storage import tables

What = Literal["items", "milestones", "alignments", "ledger", "progress", "findings"]
_CHUNK = 1_000
Row = dict[str, Any]


async def _rows(connection: AsyncConnection, statement: Select[Any]) -> AsyncIterator[list[Any]]:
    result = await connection.stream(statement.execution_options(yield_per=_CHUNK))
    async for rows in result.partitions(_CHUNK):
        yield list(rows)


async def items(connection: AsyncConnection, as_of: datetime) -> AsyncIterator[Row]:
    """Every item, by uid, with its alignment in force."""
    async for rows in _rows(connection, select(tables.items).order_by(tables.items.c.uid)):
        aligned = await alignments_of(connection, [row.uid for row in rows])
        for row in rows:
            yield item_json(row, aligned.get(row.uid, []))


async def alignments_of(connection: AsyncConnection, uids: list[str]) -> dict[str, list[Any]]:
    """The rows of `alignments` in force, by item."""
    table = tables.alignments.c
    found: dict[str, list[Any]] = {}
    statement = select(tables.alignments).where(table.item.in_(uids) & table.valid_to.is_(None))
    for row in await connection.execute(statement.order_by(table.item, table.seq)):
        found.setdefault(row.item, []).append(row)
    return found


async def milestones(connection: AsyncConnection, as_of: datetime) -> AsyncIterator[Row]:
    """Every milestone, by uid."""
    async for rows in _rows(connection, select(tables.milestones).order_by(tables.milestones.c.uid)):
        for row in rows:
            yield milestone_json(row)


async def alignments(connection: AsyncConnection, as_of: datetime) -> AsyncIterator[Row]:
    """Every dated share of every item that was in force by then."""
    table = tables.alignments.c
    statement = select(tables.alignments).where((table.node != UNALIGNED) & (table.valid_from <= as_of))
    async for rows in _rows(connection, statement.order_by(table.item, table.seq)):
        for row in rows:
            yield {
                "item": row.item,
                "node": row.node,
                "share": row.share / SHARE,
                "level": row.level,
                "rule": row.rule,
                "inherited_from": row.inherited_from,
                "valid_from": moment(row.valid_from),
                "valid_to": moment(row.valid_to),
            }


async def ledger(connection: AsyncConnection, as_of: datetime) -> AsyncIterator[Row]:
    """Every posting of direct work as far as the day, in the strategy's unit.

    ``estimated`` amounts are in the unit; others count items that have no estimate, each weighing the median of its
    type. `effort` is hours.
    """
    strategy = await current_strategy(connection)
    unit = strategy.unit if strategy else "count"
    day = as_of.astimezone(strategy.zone).date() if strategy else as_of.date()
    table = tables.postings.c
    statement = select(tables.postings).where(table.day <= day)
    async for rows in _rows(connection, statement.order_by(table.item, table.day, table.node, table.type, table.kind)):
        for row in rows:
            for line in _posting_lines(row, unit):
                yield line


def _posting_lines(row: Any, unit: str) -> Iterable[Row]:
    shared = {"day": row.day.isoformat(), "node": row.node, "item": row.item, "type": row.type}
    written = {"unit": unit, "recorded_at": moment(row.recorded_at)}
    effort = row.effort / SHARE / 3600
    if unit == "count":
        counted = {"scope": row.scope / SHARE, "done": row.done / SHARE, "effort": effort}
        yield {**shared, **counted, "unit": unit, "estimated": True, "recorded_at": written["recorded_at"]}
        return
    names, whole = {
        "points": (("scope_points", "done_points", "scope_pointed", "done_pointed"), SHARE * POINT),
        "time": (("scope_seconds", "done_seconds", "scope_timed", "done_timed"), SHARE * 3600),
    }[unit]
    scope, done, with_scope, with_done = (getattr(row, name) for name in names)
    bare = ((row.scope - with_scope) / SHARE, (row.done - with_done) / SHARE)
    if scope or done or with_scope or with_done or not any(bare):
        yield {**shared, "scope": scope / whole, "done": done / whole, "effort": effort, "estimated": True} | written
        effort = 0.0
    if any(bare):
        yield {**shared, "scope": bare[0], "done": bare[1], "effort": effort, "estimated": False} | written


async def progress(connection: AsyncConnection, as_of: datetime) -> AsyncIterator[Row]:
    """Every node's current figures, by id."""
    strategy = await current_strategy(connection)
    initiatives = {one.id for one in strategy.file.initiatives} if strategy else set()
    open_ = await open_findings(connection)
    for row in await connection.execute(select(tables.node_figures).order_by(tables.node_figures.c.node)):
        kind = "initiative" if row.node in initiatives else "objective"
        yield node_json(FIGURES.decode(row.content), kind, open_.get(row.node, []))


async def open_findings(connection: AsyncConnection) -> dict[str, list[str]]:
    """The ids of open findings, by node."""
    table = tables.findings.c
    found: dict[str, list[str]] = {}
    for row in await connection.execute(select(table.id, table.node).where(table.open).order_by(table.id)):
        found.setdefault(row.node, []).append(row.id)
    return found


async def findings(connection: AsyncConnection, as_of: datetime) -> AsyncIterator[Row]:
    """Every finding, by id."""
    rows = (await connection.execute(select(tables.findings).order_by(tables.findings.c.id))).all()
    said = await answered(connection, [row.id for row in rows])
    for row in rows:
        yield finding_json(row, said[row.id])


EXPORTS: dict[str, Callable[[AsyncConnection, datetime], AsyncIterator[Row]]] = {
    "items": items,
    "milestones": milestones,
    "alignments": alignments,
    "ledger": ledger,
    "progress": progress,
    "findings": findings,
}


async def jsonl(rows: AsyncIterator[Row]) -> AsyncIterator[str]:
    """One JSON object a line."""
    async for row in rows:
        yield json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"


async def as_csv(rows: AsyncIterator[Row]) -> AsyncIterator[str]:
    """A header and one line a row; nested values as JSON, and no text that a spreadsheet would run as a formula."""
    buffer = io.StringIO()
    writer = None
    async for row in rows:
        if writer is None:
            writer = csv.DictWriter(buffer, list(row))
            writer.writeheader()
        writer.writerow({key: _cell(value) for key, value in row.items()})
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value
