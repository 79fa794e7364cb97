"""Every node's figures as of a moment, from the ledger: what is loaded here is judged by pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from math import ceil

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.events import Forecast, Progress
from services.ledger.balances import (
    WHOLE,
    DayBalance,
    distinct_items,
    imputed_items,
    load_day_balances,
    load_headcounts,
)
from services.ledger.strategies import AppliedStrategy, applied_strategies
from services.steer.calendar import DAY, WorkCalendar
from services.steer.drift import Evaluation
from services.steer.earned import schedule_index
from services.steer.forecast import (
    Distribution,
    Prior,
    Week,
    chance_within,
    finish,
    week_end,
    weeks_of_data,
    weeks_until,
)
from services.steer.progress import NOUGHT, Balance, Roll, balance, roll_up, running, total_days
from services.steer.tree import Node, Tree, tree
from services.storage import tables


@dataclass(frozen=True)
class Baseline:
    """The current approved baseline: scope per node, and by day what of it got done, in the unit."""

    version: int
    day: date
    scope: Mapping[str, Fraction]
    done: Mapping[str, Sequence[tuple[date, Fraction]]]


@dataclass(frozen=True)
class Ledger:
    """All that figures are computed from, as of a moment."""

    as_of: datetime
    strategy: AppliedStrategy
    tree: Tree
    calendar: WorkCalendar
    days: Mapping[str, Sequence[DayBalance]]
    heads: Sequence[tuple[frozenset[str], int]]
    imputed: Mapping[str, Fraction]
    baseline: Baseline | None

    @property
    def today(self) -> date:
        return self.calendar.day_of(self.as_of)

    @property
    def last_whole_day(self) -> date:
        """The last day that has ended."""
        today = self.today
        return today if self.calendar.end_of(today) <= self.as_of else today - DAY

    def total(self, node: str) -> list[DayBalance]:
        """The days of a node's total: its own work and that of all below it."""
        return total_days(self.tree.parts(node), self.days)


async def load_ledger(connection: AsyncConnection, as_of: datetime) -> Ledger | None:
    """The ledger as it was on a day's end (today: as it is now); None before the first ``apply``."""
    applied = await applied_strategies(connection)
    if not applied:
        return None
    strategy = next((one for one in reversed(applied) if one.applied_at <= as_of), applied[0])
    calendar = WorkCalendar.of(strategy.file.calendar)
    until = calendar.day_of(as_of)
    nodes = tree(strategy.file)
    unit = strategy.unit
    return Ledger(
        as_of=as_of,
        strategy=strategy,
        tree=nodes,
        calendar=calendar,
        days=await load_day_balances(connection, nodes.nodes, unit, until),
        heads=await load_headcounts(connection, until),
        imputed={node: await imputed_items(connection, node, unit, until) for node in nodes.nodes}
        if unit != "count"
        else {},
        baseline=await _load_baseline(connection, as_of, until),
    )


async def _load_baseline(connection: AsyncConnection, as_of: datetime, until: date) -> Baseline | None:
    frozen = tables.baselines.c
    # Before the first baseline was frozen there was none; figures of those days are held against the first.
    current = (await connection.execute(select(func.max(frozen.version)).where(frozen.frozen_at <= as_of))).scalar()
    version = current or (await connection.execute(select(func.min(frozen.version)))).scalar()
    if version is None:
        return None
    rows = (await connection.execute(select(tables.baselines).where(frozen.version == version))).all()
    whole = WHOLE[rows[0].unit]
    table = tables.baseline_done.c
    statement = select(table.node, table.day, table.done).where((table.version == version) & (table.day <= until))
    done: dict[str, list[tuple[date, Fraction]]] = {}
    for row in await connection.execute(statement.order_by(table.node, table.day)):
        done.setdefault(row.node, []).append((row.day, Fraction(int(row.done), whole)))
    scope = {row.node: Fraction(int(row.scope), whole) for row in rows}
    return Baseline(version, rows[0].day, scope, done)


def roll(ledger: Ledger) -> dict[str, Roll]:
    """Every node's balances rolled up."""
    return roll_up(ledger.tree, {node: balance(days) for node, days in ledger.days.items()})


def progress(ledger: Ledger, node: str, rolled: Mapping[str, Roll]) -> Progress:
    """How far a node is. Zero scope gives no ratio, and says why."""
    found, parts = rolled[node], ledger.tree.parts(node)
    scope, done = baseline_balance(ledger, node)
    imputed = sum((ledger.imputed.get(part, NOUGHT) for part in parts), NOUGHT)
    return Progress(
        unit=ledger.strategy.unit,
        unit_wanted=ledger.strategy.unit_wanted,
        scope=float(found.total.scope),
        done=float(found.total.done),
        ratio=None if found.ratio is None else float(found.ratio),
        own_scope=float(found.own.scope),
        own_done=float(found.own.done),
        imputed=ceil(imputed),
        n=distinct_items(ledger.heads, frozenset(parts)),
        baseline_scope=None if scope is None else float(scope),
        baseline_ratio=None if not scope else float(done / scope),
        reason="no work in scope serves this node yet" if found.ratio is None else None,
    )


def baseline_balance(ledger: Ledger, node: str, until: date | None = None) -> tuple[Fraction | None, Fraction]:
    """The frozen scope of a node's total and what of it is done; no scope where the node had no baseline."""
    baseline = ledger.baseline
    if baseline is None:
        return None, NOUGHT
    parts = ledger.tree.parts(node)
    if not any(part in baseline.scope for part in parts):
        return None, NOUGHT
    scope = sum((share * baseline.scope.get(part, NOUGHT) for part, share in parts.items()), NOUGHT)
    done = sum(
        (
            share * change
            for part, share in parts.items()
            for day, change in baseline.done.get(part, ())
            if until is None or day <= until
        ),
        NOUGHT,
    )
    return scope, done


def prior(ledger: Ledger, node: Node) -> Prior | None:
    """Eight weeks at the planned pace: baseline scope over the weeks from start to due."""
    scope, _ = baseline_balance(ledger, node.id)
    if not scope or node.start is None or node.due is None or node.due <= node.start:
        return None
    return Prior(float(scope) / ((node.due - node.start) / timedelta(days=7)))


def _changes(days: Sequence[DayBalance]) -> list[tuple[date, float, float]]:
    return [(day.day, float(day.scope), float(day.done)) for day in days]


@dataclass(frozen=True)
class Outlook:
    """What a forecast rests on, for those who want to see it whole."""

    forecast: Forecast
    distribution: Distribution | None
    weeks: Sequence[Week]
    remaining: float


def outlook(ledger: Ledger, node: Node, total: Sequence[DayBalance], figures: Progress) -> Outlook:
    """When the node will be done, and the chance that it is by its due date."""
    weeks = weeks_of_data(_changes(total), node.start, ledger.last_whole_day, ledger.calendar)
    remaining = figures.scope - figures.done
    if figures.ratio is None:
        return Outlook(
            Forecast(method="none", n=len(weeks), due=node.due, reason=figures.reason), None, weeks, remaining
        )
    if remaining <= 0:
        chance = 1.0 if node.due else None
        done_on = _done_on(total)
        forecast = Forecast(
            method="done", n=len(weeks), p50=done_on, p85=done_on, due=node.due,
            chance_on_time=chance, chance_for_drift=chance,
        )  # fmt: skip
        return Outlook(forecast, None, weeks, 0.0)
    plan = prior(ledger, node)
    found = finish(weeks, remaining, plan)
    until = None if node.due is None else weeks_until(ledger.today, node.due, ledger.calendar)
    forecast = Forecast(
        method=found.method,
        n=len(weeks),
        p50=_date(ledger, found.weeks_for(0.5)),
        p85=_date(ledger, found.weeks_for(0.85)),
        chance_on_time=None if until is None else found.within(until),
        chance_for_drift=None
        if until is None or plan is None
        else chance_within([week.done for week in weeks], remaining, plan, until),
        due=node.due,
        reason=None if found.weeks_for(0.5) is not None else _no_date(weeks, plan),
    )
    return Outlook(forecast, found, weeks, remaining)


def _no_date(weeks: Sequence[Week], plan: Prior | None) -> str:
    if not weeks and plan is None:
        return "there is no complete week of data and no plan to start from"
    if not any(week.done > 0 for week in weeks) and plan is None:
        return "nothing was finished in the weeks of data"
    return "scope grows as fast as work is finished, so it does not converge"


def _date(ledger: Ledger, weeks: int | None) -> date | None:
    return None if weeks is None else week_end(ledger.today, weeks, ledger.calendar)


def _done_on(total: Sequence[DayBalance]) -> date | None:
    finished: date | None = None
    for day, scope, done in running(total):
        if done < scope:
            finished = None
        elif finished is None:
            finished = day
    return finished


def evaluations(ledger: Ledger, node: Node, total: Sequence[DayBalance]) -> list[Evaluation]:
    """One look at each week's end since the node began, each with what was known of that day."""
    if node.due is None or not total:
        return []
    first = max(total[0].day, node.start) if node.start is not None else total[0].day
    changes, series, plan = _changes(total), running(total), prior(ledger, node)
    looks = []
    for sunday in ledger.calendar.week_ends(first, ledger.as_of):
        now = _at(series, sunday)
        if now.ratio is None:
            looks.append(Evaluation(sunday))
            continue
        if plan is None:
            looks.append(Evaluation(sunday, index=_index(ledger, node, float(now.ratio), sunday)))
            continue
        weeks = weeks_of_data(changes, node.start, sunday, ledger.calendar)
        until = weeks_until(sunday, node.due, ledger.calendar)
        chance = chance_within([week.done for week in weeks], float(now.scope - now.done), plan, until)
        looks.append(Evaluation(sunday, chance))
    return looks


def _at(series: Sequence[tuple[date, Fraction, Fraction]], until: date) -> Balance:
    found = Balance()
    for day, scope, done in series:
        if day > until:
            break
        found = Balance(scope, done)
    return found


def _index(ledger: Ledger, node: Node, ratio: float, day: date) -> float | None:
    if node.start is None or node.due is None:
        return None
    return schedule_index(ratio, node.start, node.due, day, ledger.calendar)
