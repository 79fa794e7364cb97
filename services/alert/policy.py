"""Pure: who is told of what."""

from collections.abc import Collection

from schemas.events import Finding, FindingClosed, FindingEased, FindingOpened, FindingWorsened
from schemas.strategy import StrategyFile

Happened = FindingOpened | FindingWorsened | FindingEased | FindingClosed


def is_told(happened: Happened) -> bool:
    """Whether anybody is told: a finding that opens, worsens or closes is; an easing one and a quiet one are not."""
    return happened.finding.quiet is None and not isinstance(happened, FindingEased)


def channels_for(finding: Finding, file: StrategyFile | None, configured: Collection[str]) -> tuple[str, ...]:
    """The channels of the node's team, in the order it names them; without a team or channels of its own, all."""
    teams = {team.id: team.channels for team in file.teams} if file is not None else {}
    own = [name for name in teams.get(finding.team or "", ()) if name in configured]
    return tuple(own) if own else tuple(sorted(configured))
