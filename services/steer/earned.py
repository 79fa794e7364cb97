"""Pure: planned value, earned value and earned schedule.

Earned schedule after Lipke, "Schedule is Different", The Measurable News, 2003: ES = C + (EV - PV_C) /
(PV_{C+1} - PV_C), where C is the number of whole periods with PV <= EV.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from services.steer.calendar import WorkCalendar


@dataclass(frozen=True)
class EarnedSchedule:
    """``periods`` earned after ``elapsed`` periods, of a plan of ``planned`` periods."""

    periods: float
    elapsed: float
    planned: float

    @property
    def variance(self) -> float:
        """SV(t), in periods: negative when behind."""
        return self.periods - self.elapsed

    @property
    def index(self) -> float | None:
        """SPI(t); None before any time has passed."""
        return self.periods / self.elapsed if self.elapsed > 0 else None

    def expected_duration(self, performance: float = 1.0) -> float | None:
        """AT + (PD - ES) / PF, in periods; None where nothing is earned per period."""
        return self.elapsed + (self.planned - self.periods) / performance if performance > 0 else None


def earned_schedule(planned_value: Sequence[float], earned: float, elapsed: float) -> EarnedSchedule:
    """From cumulative planned value by period (the first is that of period 1) and the value earned by now.

    All of it earned: the first period in which the plan was complete. On a flat stretch the largest C counts.
    """
    budget = planned_value[-1]
    planned = float(next(index for index, value in enumerate(planned_value, 1) if value >= budget))
    if earned >= budget:
        return EarnedSchedule(planned, elapsed, planned)
    curve = [0.0, *planned_value]
    whole = max(index for index, value in enumerate(curve) if value <= earned)
    step = curve[whole + 1] - curve[whole]
    return EarnedSchedule(whole + (earned - curve[whole]) / step, elapsed, planned)


@dataclass(frozen=True)
class EarnedValue:
    """Value earned (EV) against planned (PV) and spent (AC), of a budget (BAC)."""

    planned: float
    earned: float
    spent: float
    budget: float

    @property
    def schedule_index(self) -> float | None:
        return self.earned / self.planned if self.planned else None

    @property
    def cost_index(self) -> float | None:
        return self.earned / self.spent if self.spent else None

    @property
    def estimate_at_completion(self) -> float | None:
        """EAC = BAC / CPI."""
        return self.budget / self.cost_index if self.cost_index else None

    @property
    def to_complete(self) -> float | None:
        """TCPI = (BAC - EV) / (BAC - AC)."""
        left = self.budget - self.spent
        return (self.budget - self.earned) / left if left else None


def planned_share(start: date, due: date, day: date, calendar: WorkCalendar) -> float:
    """The share of a plan that should be done at a day's end: linear over its working days.

    A plan without a single working day is spread over all its days, as Redmine's EVM plug-in does.
    """
    if day < start:
        return 0.0
    if day >= due:
        return 1.0
    worked = calendar.worked_between(start, due)
    if worked == 0:
        return ((day - start).days + 1) / ((due - start).days + 1)
    return calendar.worked_between(start, day) / worked


def schedule_index(ratio: float, start: date, due: date, day: date, calendar: WorkCalendar) -> float | None:
    """SPI(t) of work spread evenly from start to due, from the share of it that is done; None before it began."""
    elapsed = planned_share(start, due, day, calendar)
    worked = calendar.worked_between(start, due)
    if elapsed <= 0 or worked == 0:
        return None
    at = calendar.worked_between(start, day)
    return min(ratio, 1.0) * worked / at
