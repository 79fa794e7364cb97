"""Figures as of any moment, at length: what the feed asks of the judge."""

from collections.abc import Sequence
from datetime import date, datetime
from fractions import Fraction

from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.events import ProgressChanged
from schemas.figures import Burnup, BurnupDay, ForecastDetail, ForecastWeek, SampleWeek
from services.steer.calendar import DAY
from services.steer.drift import fold
from services.steer.earned import planned_share
from services.steer.figures import Ledger, baseline_balance, evaluations, load_ledger, outlook, progress, roll
from services.steer.findings import health, schedule_finding
from services.steer.forecast import week_end
from services.steer.progress import counters, running
from services.steer.tree import Node

#: Weeks of a forecast that are given out.
_WEEKS = 104


class UnknownNode(LookupError):
    """No node of the strategy has this id."""


class PastFigures:
    """Figures of any day: computed from the ledger as it stood, not from what was published then."""

    async def as_of(self, connection: AsyncConnection, moment: datetime) -> dict[str, ProgressChanged]:
        """Every node's figures at a moment."""
        ledger = await load_ledger(connection, moment)
        if ledger is None:
            return {}
        rolled = roll(ledger)
        found: dict[str, ProgressChanged] = {}
        for node in ledger.tree.nodes.values():
            total, figures = ledger.total(node.id), progress(ledger, node.id, rolled)
            forecast = outlook(ledger, node, total, figures).forecast
            course = fold(evaluations(ledger, node, total))
            finding = schedule_finding(node, course, figures, forecast, ledger.calendar)
            judged = health(figures.ratio, False, [finding] if finding else [])
            found[node.id] = ProgressChanged(
                node=node.id, as_of=moment, stale=False, progress=figures, forecast=forecast, health=judged, why=""
            )
        return found

    async def burnup(self, connection: AsyncConnection, node: str, moment: datetime) -> Burnup:
        """A node's scope, done and planned curve by day."""
        ledger, named = await _node(connection, node, moment)
        total = ledger.total(node)
        scope, _ = baseline_balance(ledger, node)
        planned = None if scope is None else float(scope)
        return Burnup(
            unit=ledger.strategy.unit,
            days=tuple(
                BurnupDay(day, float(held), float(done), _planned(ledger, named, day, planned))
                for day, held, done in _every_week(running(total), ledger.today)
            ),
            counters={name: float(amount) for name, amount in counters(total).items()},
            start=named.start,
            due=named.due,
            baseline_scope=planned,
        )

    async def forecast(self, connection: AsyncConnection, node: str, moment: datetime) -> ForecastDetail:
        """A node's finish as a distribution, with the weeks that it rests on."""
        ledger, named = await _node(connection, node, moment)
        total = ledger.total(node)
        found = outlook(ledger, named, total, progress(ledger, node, roll(ledger)))
        cdf = found.distribution.cdf[:_WEEKS] if found.distribution is not None else ()
        weeks: list[ForecastWeek] = []
        for index, chance in enumerate(cdf, 1):
            weeks.append(ForecastWeek(week_end(ledger.today, index, ledger.calendar), chance))
            if chance > 0.999:
                break
        return ForecastDetail(
            found.forecast,
            found.remaining,
            tuple(weeks),
            tuple(SampleWeek(week.monday, week.done, week.added) for week in found.weeks),
        )


async def _node(connection: AsyncConnection, node: str, moment: datetime) -> tuple[Ledger, Node]:
    ledger = await load_ledger(connection, moment)
    if ledger is None or node not in ledger.tree.nodes:
        raise UnknownNode(node)
    return ledger, ledger.tree.nodes[node]


def _planned(ledger: Ledger, node: Node, day: date, scope: float | None) -> float | None:
    if scope is None or node.start is None or node.due is None or node.due <= node.start:
        return None
    return scope * planned_share(node.start, node.due, day, ledger.calendar)


def _every_week(
    series: Sequence[tuple[date, Fraction, Fraction]], today: date
) -> list[tuple[date, Fraction, Fraction]]:
    """The series with a point at least every seven days and one today, so that a plan between them can be drawn."""
    filled: list[tuple[date, Fraction, Fraction]] = []
    for day, scope, done in series:
        while filled and filled[-1][0] + 7 * DAY < day:
            filled.append((filled[-1][0] + 7 * DAY, *filled[-1][1:]))
        filled.append((day, scope, done))
    while filled and filled[-1][0] < today:
        filled.append((min(filled[-1][0] + 7 * DAY, today), *filled[-1][1:]))
    return filled
