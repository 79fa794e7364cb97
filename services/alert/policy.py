"""Pure: who is told of what."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from schemas.events import Finding, FindingClosed, FindingEased, FindingOpened, FindingWorsened, Severity
from schemas.strategy import StrategyFile

Happened = FindingOpened | FindingWorsened | FindingEased | FindingClosed
_ORDER: dict[Severity, int] = {"amber": 1, "red": 2}


@dataclass(frozen=True)
class Acknowledged:
    """Somebody knows of the finding, as severe as it then was."""

    severity: Severity
    by: str


@dataclass(frozen=True)
class Snoozed:
    """Nobody wants to hear of the finding until a day has ended."""

    until: date
    why: str


@dataclass(frozen=True)
class Attention:
    """What people said of a finding that bears on who is told."""

    acknowledged: Acknowledged | None = None
    snoozed: Snoozed | None = None


def is_told(happened: Happened) -> bool:
    """Whether anybody is told: a finding that opens, worsens or closes is; an easing one and a quiet one are not."""
    return happened.finding.quiet is None and not isinstance(happened, FindingEased)


def held_back(happened: Happened, attention: Attention) -> str | None:
    """Why what would be told is not; None where nothing speaks against it.

    A snooze holds back everything. An acknowledgement (a decision is one as well) holds back what is no worse than
    what was acknowledged; that the finding closed is told.
    """
    if attention.snoozed is not None:
        return f"snoozed to the end of {attention.snoozed.until}: {attention.snoozed.why}"
    known = attention.acknowledged
    if known is None or isinstance(happened, FindingClosed):
        return None
    if _ORDER[happened.finding.severity] > _ORDER[known.severity]:
        return None
    return f"acknowledged by {known.by} when it was {known.severity}"


def channels_for(finding: Finding, file: StrategyFile | None, configured: Collection[str]) -> tuple[str, ...]:
    """The channels of the node's team, in the order it names them; without a team or channels of its own, all."""
    teams = {team.id: team.channels for team in file.teams} if file is not None else {}
    own = [name for name in teams.get(finding.team or "", ()) if name in configured]
    return tuple(own) if own else tuple(sorted(configured))
