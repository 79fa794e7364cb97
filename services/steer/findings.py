"""Pure: from a node's course to what is said of it: findings that open, worsen, ease and close, each said once."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

import msgspec

from schemas.events import (
    Finding,
    FindingClosed,
    FindingEased,
    FindingOpened,
    FindingWorsened,
    Forecast,
    Health,
    Progress,
    Severity,
)
from services.steer.calendar import WorkCalendar
from services.steer.drift import Course
from services.steer.tree import Node

Step = FindingOpened | FindingWorsened | FindingEased | FindingClosed
_ORDER: dict[Severity, int] = {"amber": 1, "red": 2}


def finding_id(node: str, dimension: str, cause: str) -> str:
    """A finding's fingerprint: what it is about, never a value, so that the same drift is the same finding."""
    return "f-" + hashlib.sha256(f"{node}\x1f{dimension}\x1f{cause}".encode()).hexdigest()[:12]


def schedule_finding(
    node: Node, course: Course, progress: Progress, forecast: Forecast, calendar: WorkCalendar
) -> Finding | None:
    """The finding that a node's course amounts to; None while its schedule holds."""
    if course.severity is None or course.opened is None or course.changed is None:
        return None
    return Finding(
        id=finding_id(node.id, "schedule", "pace"),
        node=node.id,
        dimension="schedule",
        cause="pace",
        severity=course.severity,
        opened_at=calendar.end_of(course.opened),
        changed_at=calendar.end_of(course.changed),
        sentence=_sentence(node, forecast),
        why=_why(progress, forecast),
        owner=node.owner,
        team=node.team,
        evidence={
            "chance": forecast.chance_for_drift,
            "chance_on_time": forecast.chance_on_time,
            "p50": forecast.p50.isoformat() if forecast.p50 else None,
            "p85": forecast.p85.isoformat() if forecast.p85 else None,
            "due": forecast.due.isoformat() if forecast.due else None,
            "scope": progress.scope,
            "done": progress.done,
        },
    )


def percent(chance: float) -> str:
    """A chance as people read it; never a false 0 % or 100 %."""
    if 0 < chance < 0.01:
        return "under 1 %"
    if 0.99 < chance < 1:
        return "over 99 %"
    return f"{chance * 100:.0f} %"


def _sentence(node: Node, forecast: Forecast) -> str:
    chance = forecast.chance_for_drift
    what = "is behind its plan" if chance is None else f"has a chance of {percent(chance)} to be done"
    due = f" by {forecast.due.isoformat()}" if forecast.due else ""
    return f"{node.title} {what}{due}."


def _why(progress: Progress, forecast: Forecast) -> str:
    unit = {"count": "items", "points": "points", "time": "hours"}[progress.unit]
    text = f"{progress.done:g} of {progress.scope:g} {unit} are done"
    if forecast.p85 is not None:
        return (
            f"{text}; at the pace of {forecast.n} weeks it is done by {forecast.p85.isoformat()} with 85 % certainty."
        )
    return f"{text}; at the pace of {forecast.n} weeks there is no date to give."


def step(before: Finding | None, after: Finding | None, *, quiet: str | None, now: datetime) -> Step | None:
    """What happened between two judgements; None where nothing did. ``quiet`` says why nobody is to be told."""
    if after is not None:
        after = msgspec.structs.replace(after, quiet=quiet)
    if before is None:
        return None if after is None else FindingOpened(finding=after)
    if after is None:
        closed = msgspec.structs.replace(before, quiet=quiet, changed_at=now)
        return FindingClosed(finding=closed, closed_at=now, outcome="accepted" if quiet else "recovered")
    if _ORDER[after.severity] > _ORDER[before.severity]:
        return FindingWorsened(finding=after)
    if _ORDER[after.severity] < _ORDER[before.severity]:
        return FindingEased(finding=after)
    return None


def health(ratio: float | None, stale: bool, open_findings: Iterable[Finding]) -> Health:
    """That of the worst open finding; unknown while we cannot see, or where there is no number."""
    if stale or ratio is None:
        return "unknown"
    severities = {finding.severity for finding in open_findings}
    if "red" in severities:
        return "red"
    return "amber" if "amber" in severities else "green"
