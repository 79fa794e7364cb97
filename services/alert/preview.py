"""Pure: which messages would have been sent, from what would have been said of findings."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schemas.events import Finding, FindingClosed
from schemas.strategy import StrategyFile
from services.alert.attention import Said, awake
from services.alert.policy import Happened, channels_for, held_back, is_told


@dataclass(frozen=True)
class Previewed:
    """A message to some channels; ``held``: why nobody would have been sent it."""

    at: datetime
    happened: Happened
    channels: tuple[str, ...]
    held: str | None = None


def preview(
    before: Mapping[str, Finding],
    said: Sequence[tuple[datetime, Happened]],
    answered: Said,
    file: StrategyFile | None,
    configured: Collection[str],
    *,
    since: datetime,
    until: datetime,
) -> list[Previewed]:
    """The messages of some time in order: to today's channels, with what people answered then.

    ``before`` are the findings that were open when it began. What is never told of (easing, quiet) is left out.
    """
    # One whose place another one took told nothing at its end.
    ends = [one for one in answered.snoozes if one.ended_at in (None, one.ends_at) and since < one.ends_at <= until]
    happenings: list[tuple[datetime, int, Any]] = [(one.ends_at, 0, one) for one in ends]
    happenings += [(at, 1, happened) for at, happened in said]
    open_ = dict(before)
    found: list[Previewed] = []
    for at, _, happened in sorted(happenings, key=lambda one: one[:2]):
        if not isinstance(happened, Happened):
            if happened.finding not in open_:
                continue
            happened = awake(open_[happened.finding], happened)
        elif isinstance(happened, FindingClosed):
            open_.pop(happened.finding.id, None)
        else:
            open_[happened.finding.id] = happened.finding
        if is_told(happened):
            held = held_back(happened, answered.at(happened.finding.id, at))
            found.append(Previewed(at, happened, channels_for(happened.finding, file, configured), held))
    return found
