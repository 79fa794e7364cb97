"""The strategies that were applied, oldest first, parsed once."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.strategy import StrategyFile, parse_strategy
from services.ledger.history import BEGINNING, micros
from services.storage.tables import strategies

Unit = Literal["count", "points", "time"]


@dataclass(frozen=True)
class AppliedStrategy:
    """A strategy file that became current at a moment, with the unit that was fixed then."""

    version: int
    applied_at: datetime
    since: int  #: when its rules begin to hold, in microseconds
    approved: bool
    unit: Unit
    unit_wanted: Unit
    file: StrategyFile

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.file.calendar.time_zone)


@lru_cache(maxsize=16)
def _parsed(content: str) -> StrategyFile:
    return parse_strategy(content, file="the applied strategy")


async def applied_strategies(connection: AsyncConnection) -> list[AppliedStrategy]:
    """Every strategy whose rules hold for some time, oldest first; empty before the first ``apply``.

    A restating one takes the place of all before it, for all history.
    """
    rows = (await connection.execute(select(strategies).order_by(strategies.c.version))).all()
    applied: list[AppliedStrategy] = []
    for row in rows:
        if row.restate:
            applied.clear()
        applied.append(
            AppliedStrategy(
                row.version,
                row.applied_at,
                micros(row.applied_at) if applied else BEGINNING,
                row.approved,
                row.unit,
                row.unit_wanted,
                _parsed(row.content),
            )
        )
    return applied


async def current_strategy(connection: AsyncConnection) -> AppliedStrategy | None:
    """The strategy in force; None before the first ``apply``."""
    applied = await applied_strategies(connection)
    return applied[-1] if applied else None
