"""Pure: has a node left its course? One evaluation a week, and latches that do not flap.

The schedule dimension asks for the chance to be done on time, with eight weeks at the planned pace as prior.
Amber and red latch independently; each needs two evaluations in a row to come on, and two to go off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from schemas.events import Severity

#: Evaluations in a row that a latch needs to come on, and to go off.
HELD = 2


@dataclass(frozen=True)
class Evaluation:
    """One look at a week's end: the chance on time, or SPI(t) where there is no baseline; neither: nothing seen."""

    day: date
    chance: float | None = None
    index: float | None = None


@dataclass(frozen=True)
class _Threshold:
    """Below ``enter`` counts towards on, above ``leave`` towards off; in between nothing changes."""

    enter: float
    leave: float


_BY_CHANCE: dict[Severity, _Threshold] = {"amber": _Threshold(0.50, 0.60), "red": _Threshold(0.20, 0.50)}
_BY_INDEX: dict[Severity, _Threshold] = {"amber": _Threshold(0.90, 0.95), "red": _Threshold(0.80, 0.85)}


@dataclass(frozen=True)
class Latch:
    """On since a day, or off; ``streak`` evaluations in a row speak for the other state."""

    since: date | None = None
    streak: int = 0

    def after(self, evaluation: Evaluation, severity: Severity) -> "Latch":
        """The latch after one more evaluation; one that saw nothing touches no counter."""
        if evaluation.chance is not None:
            value, bound = evaluation.chance, _BY_CHANCE[severity]
        elif evaluation.index is not None:
            value, bound = evaluation.index, _BY_INDEX[severity]
        else:
            return self
        against = value > bound.leave if self.since is not None else value < bound.enter
        if not against:
            return Latch(self.since)
        if self.streak + 1 < HELD:
            return Latch(self.since, self.streak + 1)
        return Latch(evaluation.day if self.since is None else None)


@dataclass(frozen=True)
class Course:
    """Where the latches stand after a series of evaluations, and since when."""

    amber: Latch = Latch()
    red: Latch = Latch()
    opened: date | None = None  #: since when any latch has been on without a break
    changed: date | None = None  #: when the severity last changed

    @property
    def severity(self) -> Severity | None:
        if self.red.since is not None:
            return "red"
        return "amber" if self.amber.since is not None else None

    def after(self, evaluation: Evaluation) -> "Course":
        """The course after one more evaluation."""
        moved = Course(self.amber.after(evaluation, "amber"), self.red.after(evaluation, "red"))
        opened = None if moved.severity is None else (self.opened or evaluation.day)
        changed = self.changed if moved.severity == self.severity else evaluation.day
        return Course(moved.amber, moved.red, opened, changed)


def fold(evaluations: Sequence[Evaluation]) -> Course:
    """The same evaluations always give the same course: it can be computed anew from history at any time."""
    course = Course()
    for evaluation in evaluations:
        course = course.after(evaluation)
    return course
