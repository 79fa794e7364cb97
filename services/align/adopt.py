"""Make a strategy current: align all work with it, fix the unit, and freeze a baseline where it is approved."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, select

from schemas.events import StrategyApplied
from schemas.strategy import StrategyFile
from services.align.handlers import Aligner
from services.ledger.balances import frozen_weight, load_medians, unit_for
from services.ledger.history import day_of, micros
from services.ledger.postings import AMOUNTS
from services.ledger.strategies import Unit, current_strategy
from services.storage import tables
from services.storage.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Adopted:
    """What became current: its version, whether it is the first, and whether it froze a baseline."""

    version: int
    first: bool
    approved: bool
    changed: bool  #: False where the same file was current already and nothing was asked beyond that


async def adopt(
    uow: UnitOfWork,
    aligner: Aligner,
    text: str,
    file: StrategyFile,
    *,
    approve: bool = False,
    by: str | None = None,
    why: str | None = None,
    restate: bool = False,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Adopted:
    """Make this strategy file current from now on (`restate`: for all history), all in one transaction.

    The first one and every approved one fix the unit and freeze a baseline.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()
    current = await current_strategy(uow.connection)
    if current is not None and not approve and not restate and await _digest(uow, current.version) == digest:
        return Adopted(current.version, first=False, approved=False, changed=False)
    latest = (await uow.connection.execute(select(func.max(tables.strategies.c.version)))).scalar()
    version, first = (latest or 0) + 1, latest is None
    approved = approve or first
    wanted: Unit = file.strategy.effort
    unit = current.unit if current is not None else "count"
    await uow.connection.execute(
        tables.strategies.insert().values(
            version=version,
            applied_at=uow.now,
            restate=restate,
            approved=approved,
            by=by,
            why=why,
            unit=unit,
            unit_wanted=wanted,
            digest=digest,
            content=text,
        )
    )
    await aligner.align_all(uow, on_progress)
    if approved:
        unit = await unit_for(uow.connection, wanted)
        await uow.connection.execute(
            tables.strategies.update().where(tables.strategies.c.version == version).values(unit=unit)
        )
        await _freeze_baseline(uow, version, unit, file)
        await aligner.align_all(uow)
    uow.emit(StrategyApplied(version=version, approved=approved))
    return Adopted(version, first, approved, changed=True)


async def _digest(uow: UnitOfWork, version: int) -> str | None:
    statement = select(tables.strategies.c.digest).where(tables.strategies.c.version == version)
    return (await uow.connection.execute(statement)).scalar()


async def _freeze_baseline(uow: UnitOfWork, version: int, unit: Unit, file: StrategyFile) -> None:
    """Freeze scope and weights of every node as they are now; older baselines are kept."""
    today = day_of(micros(uow.now), ZoneInfo(file.calendar.time_zone))
    nodes = [node.id for node in (*file.objectives, *file.initiatives)]
    rows = await _counted(uow, nodes, today)
    all_medians = await load_medians(uow.connection, unit, today)
    medians = all_medians.at(today)
    frozen: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row.item, row.node)
        frozen[key] = frozen.get(key, 0) + frozen_weight(row, unit, medians, all_medians)
    scopes = dict.fromkeys(nodes, 0)
    for (_, node), weight in frozen.items():
        scopes[node] += weight
    await uow.connection.execute(delete(tables.baselines).where(tables.baselines.c.version == version))
    await uow.upsert(
        tables.baselines,
        [
            {"version": version, "node": node, "frozen_at": uow.now, "day": today, "unit": unit, "scope": scope}
            for node, scope in scopes.items()
        ],
        replace=("scope",),
    )
    await uow.upsert(
        tables.baseline_items,
        [
            {"version": version, "item": item, "node": node, "weight": weight}
            for (item, node), weight in sorted(frozen.items())
            if weight
        ],
        replace=("weight",),
    )


async def _counted(uow: UnitOfWork, nodes: list[str], today: date) -> list[Any]:
    postings = tables.postings.c
    sums = [func.sum(postings[name]).label(name) for name in AMOUNTS]
    statement = (
        select(postings.item, postings.node, postings.type, *sums)
        .where(postings.node.in_(nodes) & (postings.day <= today))
        .group_by(postings.item, postings.node, postings.type)
        .having(func.sum(postings.scope) != 0)
    )
    return list(await uow.connection.execute(statement))
