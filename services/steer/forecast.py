"""Pure: when remaining work will be done, as an exact distribution; no random numbers, so it can be replayed.

Weeks of the past are drawn with equal chance: exact convolution over (done, added) pairs replaces Monte Carlo.
With few weeks, a Gamma-Poisson model with the plan as its prior answers, wide and honest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np

from services.steer.calendar import WEEK, WorkCalendar

#: Weeks of data from which the team's own weeks speak for themselves.
ENOUGH_WEEKS = 11
#: Weeks of data that are looked at.
MOST_WEEKS = 26
#: A plan counts as so many weeks of data at the planned pace.
PRIOR_WEEKS = 8.0
#: Weeks with less of their usual working days say nothing.
LEAST_CAPACITY = 0.4
#: Looked ahead; what is not done by then may never be.
HORIZON = 260
#: The distribution is kept on so many cells at most; finer amounts are rounded to a cell.
_CELLS = 4_000
_DISPERSED = 1.3


@dataclass(frozen=True)
class Week:
    """One complete ISO week of a node: net change of done, net change of scope."""

    monday: date
    done: float
    added: float


@dataclass(frozen=True)
class Prior:
    """What is believed before any data: `weight` weeks at `pace` a week."""

    pace: float
    weight: float = PRIOR_WEEKS


@dataclass(frozen=True)
class Distribution:
    """``cdf[k - 1]`` is the chance that the work is done within k weeks."""

    cdf: tuple[float, ...]
    method: Literal["pairs", "gamma_poisson", "done"]
    n: int

    def weeks_for(self, chance: float) -> int | None:
        """The fewest weeks with at least this chance; None where the horizon does not reach it."""
        for index, value in enumerate(self.cdf):
            if value >= chance:
                return index + 1
        return None

    def within(self, weeks: int) -> float:
        """The chance of being done within so many weeks."""
        if self.method == "done":
            return 1.0
        return self.cdf[min(weeks, len(self.cdf)) - 1] if weeks > 0 and self.cdf else 0.0


def within_fixed_scope(samples: Sequence[float], remaining: float, horizon: int = HORIZON) -> Distribution:
    """The finish of a fixed amount at paces drawn from past weeks."""
    return within_growing_scope([(sample, 0.0) for sample in samples], remaining, horizon)


def within_growing_scope(
    pairs: Sequence[tuple[float, float]], remaining: float, horizon: int = HORIZON
) -> Distribution:
    """The finish of an amount that is worked on and grows, each week as in one week of the past, drawn jointly.

    State: what remains; absorbed at or below nought. Amounts are kept on a lattice of cells: whole numbers where
    all are whole, otherwise rounded to a cell small enough for `_CELLS`; what remains is rounded up.
    """
    if remaining <= 0:
        return Distribution((), "done", len(pairs))
    cell = _cell(pairs, remaining)
    start = math.ceil(remaining / cell - 1e-9)
    steps: dict[int, float] = {}
    for done, added in pairs:
        step = round(added / cell) - round(done / cell)
        steps[step] = steps.get(step, 0.0) + 1.0 / len(pairs)
    if not pairs or min(steps) >= 0:
        return Distribution((0.0,) * horizon, "pairs", len(pairs))
    top = min(start + max(0, max(steps)) * horizon, max(start * 4, start + _CELLS))
    live = np.zeros(top + 1)  # live[i]: the chance that i cells remain
    live[start] = 1.0
    finished, cdf = 0.0, []
    for _ in range(horizon):
        following = np.zeros(top + 1)
        for step, chance in steps.items():
            finished += _shift(live, following, step, chance)
        live = following
        cdf.append(min(finished, 1.0))
        if finished > 1 - 1e-12:
            break
    return Distribution((*cdf, *[cdf[-1]] * (horizon - len(cdf))), "pairs", len(pairs))


def _cell(pairs: Sequence[tuple[float, float]], remaining: float) -> float:
    amounts = [remaining, *(amount for pair in pairs for amount in pair)]
    whole = all(abs(amount - round(amount)) < 1e-9 for amount in amounts)
    return max(1.0 if whole else remaining / 1_000, remaining / _CELLS)


def _shift(live: "np.ndarray", following: "np.ndarray", step: int, chance: float) -> float:
    """Add the live states moved by a step; give what is absorbed. What grows beyond the lattice stays at its top."""
    top = len(live) - 1
    if step > top:
        following[top] += chance * live.sum()
        return 0.0
    if step >= 0:
        following[step:] += chance * live[: top + 1 - step]
        following[top] += chance * live[top + 1 - step :].sum()
        return 0.0
    down = -step
    following[1 : max(top + 1 - down, 1)] += chance * live[1 + down :]
    return float(chance * live[: down + 1].sum())


def gamma_poisson(
    samples: Sequence[float], remaining: float, prior: Prior | None, horizon: int = HORIZON
) -> Distribution:
    """The finish where weekly throughput is Poisson with a rate that is Gamma a posteriori (conjugate pair).

    The sum over k weeks is negative binomial (a, b / (b + k)). Over-dispersed weeks (variance over mean φ > 1.3)
    divide the counts and the remainder by φ and keep b. Without prior: a₀ = ½, b₀ = 0.
    """
    if remaining <= 0:
        return Distribution((), "done", len(samples))
    a, b, needed = _posterior(samples, remaining, prior)
    if b <= 0 or a <= 0:
        return Distribution((0.0,) * horizon, "gamma_poisson", len(samples))
    ways = _log_ways(a, needed)
    cdf: list[float] = []
    for week in range(1, horizon + 1):
        cdf.append(_at_least(ways, a, b / (b + week)))
        if cdf[-1] > 1 - 1e-12:
            break
    return Distribution((*cdf, *[cdf[-1]] * (horizon - len(cdf))), "gamma_poisson", len(samples))


def chance_within(samples: Sequence[float], remaining: float, prior: Prior | None, weeks: int) -> float:
    """One value of `gamma_poisson`: the chance that the work is done within so many weeks."""
    if remaining <= 0:
        return 1.0
    a, b, needed = _posterior(samples, remaining, prior)
    if weeks <= 0 or b <= 0 or a <= 0:
        return 0.0
    return _at_least(_log_ways(a, needed), a, b / (b + weeks))


def _posterior(samples: Sequence[float], remaining: float, prior: Prior | None) -> tuple[float, float, int]:
    counts = [max(0.0, sample) for sample in samples]
    a = (prior.pace * prior.weight if prior else 0.5) + sum(counts)
    b = (prior.weight if prior else 0.0) + len(counts)
    phi = dispersion(counts)
    if phi > _DISPERSED:
        a, remaining = a / phi, remaining / phi
    return a, b, math.ceil(remaining - 1e-9)


def dispersion(samples: Sequence[float]) -> float:
    """Variance over mean of weekly counts; 1 (no correction) with fewer than two weeks or none done."""
    if len(samples) < 2 or sum(samples) <= 0:
        return 1.0
    mean = sum(samples) / len(samples)
    return sum((sample - mean) ** 2 for sample in samples) / (len(samples) - 1) / mean


def _log_ways(a: float, needed: int) -> "np.ndarray":
    """log of Γ(a + i) / (Γ(a) i!) for i below `needed`, each from the one before."""
    counts = np.arange(1, needed)
    return np.concatenate(([0.0], np.cumsum(np.log((a + counts - 1) / counts))))


def _at_least(ways: "np.ndarray", a: float, p: float) -> float:
    """P(X >= len(ways)) for X negative binomial (a, p): 1 less the sum of its first terms."""
    terms = ways + a * math.log(p) + np.arange(len(ways)) * math.log1p(-p)
    return max(0.0, 1.0 - float(np.exp(terms).sum()))


def weeks_of_data(
    days: Sequence[tuple[date, float, float]], start: date | None, as_of: date, calendar: WorkCalendar
) -> list[Week]:
    """The last 26 complete ISO weeks since the later of `start` and the first day with any work.

    ``days`` are (day, change of scope, change of done), oldest first. A week is complete when it ended before
    `as_of` or on it; noughts count; weeks under 40 % of capacity are dropped.
    """
    if not days:
        return []
    first = max(days[0][0], start) if start is not None else days[0][0]
    monday = first + timedelta(days=(7 - first.weekday()) % 7)
    weeks: dict[date, list[float]] = {}
    while monday + timedelta(days=6) <= as_of:
        if calendar.capacity(monday) >= LEAST_CAPACITY:
            weeks[monday] = [0.0, 0.0]
        monday += WEEK
    for day, scope, done in days:
        totals = weeks.get(day - timedelta(days=day.weekday()))
        if totals is not None and day <= as_of:
            totals[0] += done
            totals[1] += scope
    return [Week(monday, float(done), float(added)) for monday, (done, added) in weeks.items()][-MOST_WEEKS:]


def finish(weeks: Sequence[Week], remaining: float, prior: Prior | None) -> Distribution:
    """The distribution to show: pairs from 11 weeks of data on, below Gamma-Poisson without growth."""
    if len(weeks) >= ENOUGH_WEEKS:
        return within_growing_scope([(week.done, week.added) for week in weeks], remaining)
    return gamma_poisson([week.done for week in weeks], remaining, prior)


def week_end(as_of: date, weeks: int, calendar: WorkCalendar) -> date:
    """Week k ends on the last working day before as_of + 7k days."""
    return calendar.last_working_day_before(as_of + weeks * WEEK)


def weeks_until(as_of: date, due: date, calendar: WorkCalendar) -> int:
    """How many week ends after `as_of` there are up to the due date."""
    if due <= as_of:
        return 0
    weeks = (due - as_of).days // 7 + 2
    while weeks > 0 and not (as_of < week_end(as_of, weeks, calendar) <= due):
        weeks -= 1
    return weeks


def most_that_fits(samples: Sequence[float], weeks: int, chance: float) -> int:
    """The lever: the largest amount that is done within so many weeks with at least this chance."""
    low, high = 0, int(max(samples, default=0) * weeks) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if within_fixed_scope(samples, middle, weeks).within(weeks) >= chance:
            low = middle
        else:
            high = middle
    return low
