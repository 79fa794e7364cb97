"""Everything, line by line: streams of the promised shapes, in an order that two exports of the same state share."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas import wire
from schemas.amounts import POINT, SHARE
from schemas.events import Finding, FindingClosed, FindingEased, FindingOpened, FindingWorsened
from services.feed.answered import answered
from services.feed.ports import Figures
from services.feed.shapes import (
    FIGURES,
    ITEM,
    ITEM_COLUMNS,
    finding_json,
    item_json,
    milestone_json,
    moment,
    node_json,
)
from services.ledger.history import item_at, micros
from services.ledger.postings import UNALIGNED
from services.ledger.strategies import current_strategy
from services.storage import tables

What = Literal["items", "milestones", "alignments", "ledger", "progress", "findings"]
_CHUNK = 1_000
Row = dict[str, Any]
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True)
class Then:
    """The moment that is asked for (none: now), and who computes the figures of the past."""

    at: datetime | None
    figures: Figures


async def _rows(connection: AsyncConnection, statement: Select[Any]) -> AsyncIterator[list[Any]]:
    result = await connection.stream(statement.execution_options(yield_per=_CHUNK))
    async for rows in result.partitions(_CHUNK):
        yield list(rows)


async def items(connection: AsyncConnection, then: Then) -> AsyncIterator[Row]:
    """Every item, by uid, with its alignment in force; those that there were then, as they were."""
    async for rows in _rows(connection, select(tables.items).order_by(tables.items.c.uid)):
        aligned = await alignments_of(connection, [row.uid for row in rows], then.at)
        for row in rows:
            item = ITEM.decode(row.content)
            past = item if then.at is None else item_at(item, micros(then.at))
            if past is not None:
                yield item_json(row, aligned.get(row.uid, []), past)


async def alignments_of(
    connection: AsyncConnection, uids: list[str], at: datetime | None = None
) -> dict[str, list[Any]]:
    """The rows of `alignments` in force (at a moment: then), by item."""
    table = tables.alignments.c
    found: dict[str, list[Any]] = {}
    in_force: ColumnElement[bool] = table.valid_to.is_(None)
    if at is not None:
        in_force = (table.valid_from <= at) & (in_force | (table.valid_to > at))
    statement = select(tables.alignments).where(table.item.in_(uids) & in_force)
    for row in await connection.execute(statement.order_by(table.item, table.seq)):
        found.setdefault(row.item, []).append(row)
    return found


async def milestones(connection: AsyncConnection, then: Then) -> AsyncIterator[Row]:
    """Every milestone, by uid, as it is now: trackers tell no history of them."""
    async for rows in _rows(connection, select(tables.milestones).order_by(tables.milestones.c.uid)):
        for row in rows:
            yield milestone_json(row)


async def alignments(connection: AsyncConnection, then: Then) -> AsyncIterator[Row]:
    """Every dated share of every item that was in force by then."""
    table = tables.alignments.c
    statement = select(tables.alignments).where(table.node != UNALIGNED)
    if then.at is not None:
        statement = statement.where(table.valid_from <= then.at)
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


async def ledger(connection: AsyncConnection, then: Then) -> AsyncIterator[Row]:
    """Every posting of direct work as far as the day, in the strategy's unit.

    ``estimated`` amounts are in the unit; others count items that have no estimate, each weighing the median of its
    type. `effort` is hours.
    """
    strategy = await current_strategy(connection)
    unit = strategy.unit if strategy else "count"
    table = tables.postings.c
    statement = select(tables.postings)
    if then.at is not None:
        statement = statement.where(table.day <= then.at.astimezone(strategy.zone if strategy else UTC).date())
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


async def progress(connection: AsyncConnection, then: Then) -> AsyncIterator[Row]:
    """Every node's figures, by id."""
    strategy = await current_strategy(connection)
    initiatives = {one.id for one in strategy.file.initiatives} if strategy else set()
    if then.at is None:
        open_ = await open_findings(connection)
        stored = select(tables.node_figures).order_by(tables.node_figures.c.node)
        figures = [FIGURES.decode(row.content) for row in await connection.execute(stored)]
    else:
        open_ = {}
        for row in await _findings_at(connection, then.at):
            if row.open:
                open_.setdefault(row.node, []).append(row.id)
        past = await then.figures.as_of(connection, then.at)
        figures = [past[node] for node in sorted(past)]
    for one in figures:
        yield node_json(one, "initiative" if one.node in initiatives else "objective", open_.get(one.node, []))


async def open_findings(connection: AsyncConnection) -> dict[str, list[str]]:
    """The ids of open findings, by node."""
    table = tables.findings.c
    found: dict[str, list[str]] = {}
    for row in await connection.execute(select(table.id, table.node).where(table.open).order_by(table.id)):
        found.setdefault(row.node, []).append(row.id)
    return found


async def findings(connection: AsyncConnection, then: Then) -> AsyncIterator[Row]:
    """Every finding, by id; those that were known then, as they stood."""
    if then.at is None:
        rows: Sequence[Any] = (await connection.execute(select(tables.findings).order_by(tables.findings.c.id))).all()
    else:
        rows = await _findings_at(connection, then.at)
    said = await answered(connection, [row.id for row in rows], then.at)
    for row in rows:
        yield finding_json(row, said[row.id])


@dataclass(frozen=True)
class _Stood:
    """A finding as the log last told of it by some moment, in the columns of `findings`."""

    id: str
    node: str
    dimension: str
    severity: str
    open: bool
    opened_at: datetime
    changed_at: datetime
    closed_at: datetime | None
    content: bytes


async def _findings_at(connection: AsyncConnection, at: datetime) -> list[_Stood]:
    log = tables.log.c
    told = select(log.value).where((log.topic == wire.DRIFT.name) & (log.time <= at)).order_by(log.position)
    stood: dict[str, _Stood] = {}
    for row in await connection.execute(told):
        match wire.decode(row.value).data:
            case FindingOpened(finding=one) | FindingWorsened(finding=one) | FindingEased(finding=one):
                stood[one.id] = _stood(one, None)
            case FindingClosed(finding=one, closed_at=closed_at):
                stood[one.id] = _stood(one, closed_at)
    return [stood[one] for one in sorted(stood)]


def _stood(one: Finding, closed_at: datetime | None) -> _Stood:
    times = (one.opened_at, closed_at or one.changed_at, closed_at)
    return _Stood(one.id, one.node, one.dimension, one.severity, closed_at is None, *times, _ENCODER.encode(one))


EXPORTS: dict[str, Callable[[AsyncConnection, Then], AsyncIterator[Row]]] = {
    "items": items,
    "milestones": milestones,
    "alignments": alignments,
    "ledger": ledger,
    "progress": progress,
    "findings": findings,
}
#: The columns of each export, in the order of its lines.
COLUMNS: dict[str, tuple[str, ...]] = {
    "items": ITEM_COLUMNS,
    "milestones": ("uid", "source", "container", "title", "due_date", "state", "url"),
    "alignments": ("item", "node", "share", "level", "rule", "inherited_from", "valid_from", "valid_to"),
    "ledger": ("day", "node", "item", "type", "scope", "done", "effort", "unit", "estimated", "recorded_at"),
    "progress": ("id", "kind", "as_of", "stale", "progress", "forecast", "health", "why", "findings"),
    "findings": (
        "id", "node", "dimension", "cause", "severity", "state", "opened_at", "changed_at", "closed_at", "sentence",
        "why", "owner", "team", "evidence", "quiet", "acknowledged", "snoozed", "decision",
    ),
}  # fmt: skip


async def jsonl(rows: AsyncIterator[Row]) -> AsyncIterator[str]:
    """One JSON object a line."""
    async for row in rows:
        yield json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"


async def as_csv(rows: AsyncIterator[Row], columns: Sequence[str]) -> AsyncIterator[str]:
    """A header and one line a row; nested values as JSON, and no text that a spreadsheet would run as a formula."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns)
    writer.writeheader()
    yield buffer.getvalue()
    async for row in rows:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow({key: _cell(value) for key, value in row.items()})
        yield buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value
