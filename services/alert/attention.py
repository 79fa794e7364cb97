"""What people say of a finding so that they hear less of it: acknowledgements and snoozes, and where these end."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas import wire
from schemas.events import DecisionRecorded, Finding, FindingClosed, FindingOpened, Severity
from services.alert.policy import Acknowledged, Attention, Happened, Snoozed, channels_for, held_back, is_told
from services.ledger.strategies import current_strategy
from services.storage import tables
from services.storage.database import Database
from services.storage.unit_of_work import UnitOfWork

_FINDING: msgspec.json.Decoder[Finding] = msgspec.json.Decoder(Finding)
#: What a delivery is called that tells of a finding whose snooze ended.
SNOOZE_ENDED = "snooze.ended"


async def acknowledge(uow: UnitOfWork, finding: Finding, *, by: str) -> None:
    """Somebody knows of an open finding: until it closes, only what is worse is told.

    What still waits to be sent of it is not sent.
    """
    await _acknowledge(uow, uuid.uuid4().hex, finding.id, finding.severity, by, uow.now)
    await _hold_back(uow, finding.id, f"acknowledged by {by} when it was {finding.severity}", closing=False)


async def hear_decision(uow: UnitOfWork, event_id: str, decided: DecisionRecorded) -> None:
    """Who decides about a finding knows of it: the decision acknowledges it."""
    await _acknowledge(uow, event_id, decided.finding, decided.severity, decided.by, decided.at)


async def _acknowledge(uow: UnitOfWork, key: str, finding: str, severity: Severity, by: str, at: datetime) -> None:
    table = tables.acknowledgements
    # Heard again, it would end itself.
    if (await uow.connection.execute(select(table.c.id).where(table.c.id == key))).first() is not None:
        return
    earlier = (table.c.finding == finding) & table.c.ended_at.is_(None) & (table.c.at <= at)
    await uow.connection.execute(table.update().where(earlier).values(ended_at=at))
    row = {"id": key, "finding": finding, "severity": severity, "by": by, "at": at, "ended_at": None}
    await uow.upsert(table, [row])


async def snooze(uow: UnitOfWork, finding: Finding, until: date, *, why: str, by: str | None = None) -> datetime:
    """Tell nobody of a finding until a day has ended where the strategy lives; the moment of that end.

    A later snooze takes the place of an earlier one. Where the finding is open at the end, it is told then.
    """
    strategy = await current_strategy(uow.connection)
    ends_at = end_of(until, strategy.zone if strategy else UTC)
    table = tables.snoozes
    in_force = (table.c.finding == finding.id) & table.c.ended_at.is_(None)
    await uow.connection.execute(table.update().where(in_force).values(ended_at=uow.now))
    row = {"id": uuid.uuid4().hex, "finding": finding.id, "until": until, "ends_at": ends_at, "by": by, "why": why}
    await uow.upsert(table, [row | {"at": uow.now, "ended_at": None}])
    await _hold_back(uow, finding.id, f"snoozed to the end of {until}: {why}", closing=True)
    return ends_at


def end_of(day: date, zone: Any) -> datetime:
    """The moment at which a day ends in a zone, in UTC."""
    return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)


async def _hold_back(uow: UnitOfWork, finding: str, reason: str, *, closing: bool) -> None:
    table = tables.deliveries
    waiting = (table.c.finding == finding) & (table.c.state == "pending")
    if not closing:
        waiting &= table.c.kind != "finding.closed"
    await uow.connection.execute(table.update().where(waiting).values(state="suppressed", error=reason))


async def attention_to(connection: AsyncConnection, finding: str, at: datetime) -> Attention:
    """What holds for what happened to a finding at a moment."""
    acknowledged, snoozed = tables.acknowledgements.c, tables.snoozes.c
    known = (
        await connection.execute(
            select(acknowledged.severity, acknowledged.by)
            .where((acknowledged.finding == finding) & acknowledged.ended_at.is_(None))
            .order_by(acknowledged.at.desc())
            .limit(1)
        )
    ).first()
    # One that has ended since still holds for what happened before: its end told how things then stood.
    quiet = (
        await connection.execute(
            select(snoozed.until, snoozed.why)
            .where((snoozed.finding == finding) & (snoozed.ends_at > at))
            .where(snoozed.ended_at.is_(None) | (snoozed.ended_at > at))
            .order_by(snoozed.at.desc())
            .limit(1)
        )
    ).first()
    return Attention(
        Acknowledged(known.severity, known.by) if known else None,
        Snoozed(quiet.until, quiet.why) if quiet else None,
    )


@dataclass(frozen=True)
class Said:
    """Everything that was ever acknowledged and snoozed, to tell what held at any moment of the past."""

    acknowledgements: Sequence[Any]
    snoozes: Sequence[Any]

    def at(self, finding: str, moment: datetime) -> Attention:
        """What held for a finding at a moment."""
        known = [one for one in self.acknowledgements if one.finding == finding and _held(one, moment)]
        quiet = [one for one in self.snoozes if one.finding == finding and _held(one, moment) and moment < one.ends_at]
        return Attention(
            Acknowledged(known[-1].severity, known[-1].by) if known else None,
            Snoozed(quiet[-1].until, quiet[-1].why) if quiet else None,
        )


def _held(row: Any, moment: datetime) -> bool:
    return bool(row.at <= moment and (row.ended_at is None or moment < row.ended_at))


async def everything_said(connection: AsyncConnection) -> Said:
    """All acknowledgements and snoozes, the oldest first."""
    known, quiet = tables.acknowledgements, tables.snoozes
    return Said(
        (await connection.execute(select(known).order_by(known.c.at))).all(),
        (await connection.execute(select(quiet).order_by(quiet.c.at))).all(),
    )


async def hear(uow: UnitOfWork, event: wire.Event, happened: Happened) -> str | None:
    """Why what happened is held back; None where it is not. Acknowledgements end with the finding they are of."""
    reason = held_back(happened, await attention_to(uow.connection, happened.finding.id, event.time))
    if isinstance(happened, FindingOpened | FindingClosed):
        table = tables.acknowledgements
        before = table.c.at <= event.time if isinstance(happened, FindingClosed) else table.c.at < event.time
        ended = (table.c.finding == happened.finding.id) & table.c.ended_at.is_(None) & before
        await uow.connection.execute(table.update().where(ended).values(ended_at=event.time))
    return reason


async def wake(database: Database, channels: Collection[str]) -> int:
    """See to the snoozes that have ended: note a delivery for each finding that is still open; how many had ended."""
    table = tables.snoozes
    over = table.c.ended_at.is_(None) & (table.c.ends_at <= database.now())
    async with database.read() as connection:
        if (await connection.execute(select(table.c.id).where(over).limit(1))).first() is None:
            return 0
    async with database.write() as uow:
        ended = table.update().where(over).values(ended_at=table.c.ends_at)
        rows = (await uow.connection.execute(ended.returning(*table.c))).all()
        for row in sorted(rows, key=lambda one: one.id):
            await _tell_again(uow, row, channels)
    return len(rows)


async def _tell_again(uow: UnitOfWork, row: Any, channels: Collection[str]) -> None:
    open_ = (tables.findings.c.id == row.finding) & tables.findings.c.open
    found = (await uow.connection.execute(select(tables.findings.c.content).where(open_))).first()
    if found is None:
        return
    finding = _FINDING.decode(found.content)
    happened = awake(finding, row)
    attention = await attention_to(uow.connection, finding.id, uow.now)
    if not is_told(happened) or held_back(happened, attention) is not None:
        return
    if await _told_since(uow, row.finding, row.ends_at):
        return
    strategy = await current_strategy(uow.connection)
    event = wire.an_event(happened, at=uow.now, event_id=row.id)
    told = channels_for(finding, strategy.file if strategy else None, channels)
    await uow.upsert(tables.deliveries, [delivery(uow, event, finding.id, one, kind=SNOOZE_ENDED) for one in told])


def awake(finding: Finding, snoozed: Any) -> FindingOpened:
    """What is told of an open finding when its snooze ends."""
    said = f"{finding.why} It was snoozed to the end of {snoozed.until}: {snoozed.why}"
    return FindingOpened(finding=msgspec.structs.replace(finding, why=said))


async def _told_since(uow: UnitOfWork, finding: str, moment: datetime) -> bool:
    """Whether something that happened to a finding since then is told already."""
    table = tables.deliveries.c
    told = select(table.content).where((table.finding == finding) & (table.state != "suppressed"))
    return any(wire.decode(row.content).time >= moment for row in await uow.connection.execute(told))


def delivery(
    uow: UnitOfWork, event: wire.Event, finding: str, channel: str, *, kind: str | None = None, held: str | None = None
) -> dict[str, Any]:
    """A row of `deliveries`: to be sent now, or ``held`` back for a reason."""
    return {
        "id": f"{event.id}.{channel}"[:64],
        "event_id": event.id,
        "finding": finding,
        "channel": channel,
        "kind": kind or event.type,
        "state": "pending" if held is None else "suppressed",
        "attempts": 0,
        "next_at": uow.now if held is None else None,
        "error": held,
        "content": wire.encode(event),
    }
