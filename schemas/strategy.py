"""The strategy file: a strategy, its plan, and the rules that tie work to both, read and proven sound."""

from collections.abc import Collection

from schemas.match import Match
from schemas.problems import InvalidFile, Problem
from schemas.strategy_checks import contradictions
from schemas.strategy_file import (
    NONE,
    RUN,
    Budget,
    Calendar,
    Driver,
    Horizon,
    Initiative,
    Measure,
    Objective,
    Pin,
    Plan,
    PlanMilestone,
    Reserve,
    Responsibilities,
    Risk,
    Run,
    Signal,
    Stakeholder,
    Strategy,
    StrategyFile,
    Team,
    Trigger,
    Unit,
)
from schemas.strategy_parts import sound_parts
from schemas.yaml_text import read_yaml

__all__ = [
    "NONE",
    "RUN",
    "Budget",
    "Calendar",
    "Driver",
    "Horizon",
    "Initiative",
    "InvalidStrategy",
    "Match",
    "Measure",
    "Objective",
    "Pin",
    "Plan",
    "PlanMilestone",
    "Problem",
    "Reserve",
    "Responsibilities",
    "Risk",
    "Run",
    "Signal",
    "Stakeholder",
    "Strategy",
    "StrategyFile",
    "Team",
    "Trigger",
    "Unit",
    "parse_strategy",
]


class InvalidStrategy(InvalidFile):
    """A strategy file that cannot be used, with every problem found in it."""


def parse_strategy(text: str, *, file: str, channels: Collection[str] = ()) -> StrategyFile:
    """The strategy in a YAML text. Raises InvalidStrategy with every problem, each with the path of its key.

    ``file`` is the name that messages begin with; ``channels`` are the alert channels that the configuration
    knows, and are not looked at where none are given.
    """
    data, problems = read_yaml(text)
    if problems and not data:
        raise InvalidStrategy(file, problems)
    sound, misshapen = sound_parts(data)
    problems = [*problems, *misshapen, *contradictions(sound, channels)]
    if problems:
        raise InvalidStrategy(file, problems)
    return sound.file
