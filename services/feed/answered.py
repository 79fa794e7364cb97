"""What people answered, as the feed tells it: decisions, appraisals, acknowledgements, snoozes."""

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.feed.shapes import moment
from services.storage import tables

Row = dict[str, Any]


def decision_json(row: Any) -> Row:
    """A decision, from its row of `decisions`."""
    return {
        "id": row.id,
        "finding": row.finding,
        "node": row.node,
        "decision": row.decision,
        "severity": row.severity,
        "by": row.by,
        "why": row.why,
        "effect": row.effect,
        "at": moment(row.at),
    }


def appraisal_json(row: Any) -> Row:
    """An appraisal, from its row of `appraisals`."""
    return {
        "id": row.id,
        "node": row.node,
        "decision": row.decision,
        "by": row.by,
        "why": row.why,
        "attendees": json.loads(row.attendees),
        "at": moment(row.at),
    }


async def decisions(connection: AsyncConnection, limit: int, after: str | None = None) -> list[Row] | None:
    """Decisions, the latest first, after the one of an id; None where no decision has that id."""
    table = tables.decisions.c
    statement = select(tables.decisions).order_by(table.at.desc(), table.id.desc()).limit(limit)
    if after is not None:
        last = (await connection.execute(select(table.at, table.id).where(table.id == after))).first()
        if last is None:
            return None
        earlier = (table.at < last.at) | ((table.at == last.at) & (table.id < last.id))
        statement = statement.where(earlier)
    return [decision_json(row) for row in await connection.execute(statement)]


async def answered(
    connection: AsyncConnection, findings: Collection[str], then: datetime | None = None
) -> dict[str, Row]:
    """What holds (at a moment: held then) for each finding: who acknowledged it, its snooze, the latest decision."""
    found: dict[str, Row] = {one: {"acknowledged": None, "snoozed": None, "decision": None} for one in findings}
    known = tables.acknowledgements.c
    for row in await connection.execute(_in_force(tables.acknowledgements, then).order_by(known.at)):
        if row.finding in found:
            found[row.finding]["acknowledged"] = {"by": row.by, "severity": row.severity, "at": moment(row.at)}
    for row in await connection.execute(_in_force(tables.snoozes, then)):
        if row.finding in found:
            snoozed = {"until": row.until.isoformat(), "by": row.by, "why": row.why, "at": moment(row.at)}
            found[row.finding]["snoozed"] = snoozed
    decided = tables.decisions.c
    decided_by_then = select(tables.decisions).order_by(decided.at, decided.id)
    if then is not None:
        decided_by_then = decided_by_then.where(decided.at <= then)
    for row in await connection.execute(decided_by_then):
        if row.finding in found:
            found[row.finding]["decision"] = decision_json(row)
    return found


def _in_force(table: Table, then: datetime | None) -> Select[Any]:
    ended = table.c.ended_at
    if then is None:
        return select(table).where(ended.is_(None))
    return select(table).where((table.c.at <= then) & (ended.is_(None) | (ended > then)))


async def of_node(connection: AsyncConnection, node: str) -> tuple[list[Row], list[Row]]:
    """The decisions about a node's findings and the appraisals of it, the latest first."""
    decided, appraised = tables.decisions.c, tables.appraisals.c
    decisions_ = select(tables.decisions).where(decided.node == node).order_by(decided.at.desc(), decided.id.desc())
    appraisals = (
        select(tables.appraisals).where(appraised.node == node).order_by(appraised.at.desc(), appraised.id.desc())
    )
    return (
        [decision_json(row) for row in await connection.execute(decisions_)],
        [appraisal_json(row) for row in await connection.execute(appraisals)],
    )
