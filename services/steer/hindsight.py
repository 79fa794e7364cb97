"""What would have been said over past weeks: each is judged anew, with the ledger and the strategy of its day."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.events import Finding
from services.ledger.strategies import applied_strategies
from services.steer.calendar import WorkCalendar
from services.steer.drift import fold
from services.steer.figures import Ledger, evaluations, load_ledger, outlook, progress, roll
from services.steer.findings import Step, schedule_finding, step
from services.steer.handlers import RULES_CHANGED

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Hindsight:
    """The findings that were open when the time began, and what would have been said since, in order."""

    before: dict[str, Finding] = field(default_factory=dict)
    said: tuple[tuple[datetime, Step], ...] = ()


async def hindsight(connection: AsyncConnection, since: datetime, until: datetime) -> Hindsight:
    """What a judge that had always been there would have said from one moment to another.

    Times when a source could not be seen are not known any more: all that is in the ledger is taken as seen.
    """
    applied = await applied_strategies(connection)
    if not applied:
        return Hindsight()
    calendar = WorkCalendar.of(applied[-1].file.calendar)
    # At midnight the day that begins has brought nothing yet: a week is seen as it was in its last instant.
    weeks = {calendar.end_of(sunday): -_INSTANT for sunday in calendar.week_ends(calendar.day_of(since), until)}
    moments = weeks | {one.applied_at: timedelta(0) for one in applied[1:]}
    known, version = await _findings_at(connection, since, since)
    before, said = known, list[tuple[datetime, Step]]()
    for moment in sorted(one for one in moments if since < one <= until):
        now, current = await _findings_at(connection, moment, moment + moments[moment])
        quiet = RULES_CHANGED if current != version else None
        for key in sorted(known.keys() | now.keys()):
            happened = step(known.get(key), now.get(key), quiet=quiet, now=moment)
            if happened is not None:
                said.append((moment, happened))
        known, version = now, current
    return Hindsight(before, tuple(said))


async def _findings_at(
    connection: AsyncConnection, moment: datetime, seen_at: datetime
) -> tuple[dict[str, Finding], int]:
    """The findings of a moment by id, and the version of the strategy that they were judged by."""
    ledger = await load_ledger(connection, seen_at)
    if ledger is None:
        return {}, 0
    return findings_of(replace(ledger, as_of=moment)), ledger.strategy.version


def findings_of(ledger: Ledger) -> dict[str, Finding]:
    """Every finding that a ledger amounts to, by id."""
    rolled = roll(ledger)
    found: dict[str, Finding] = {}
    for node in ledger.tree.nodes.values():
        total, figures = ledger.total(node.id), progress(ledger, node.id, rolled)
        course = fold(evaluations(ledger, node, total))
        if course.severity is not None:
            forecast = outlook(ledger, node, total, figures).forecast
            finding = schedule_finding(node, course, figures, forecast, ledger.calendar)
            if finding is not None:
                found[finding.id] = finding
    return found
