"""Exact finish-date distributions, against worked examples and closed forms."""

import math
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.steer.calendar import WorkCalendar
from services.steer.forecast import (
    HORIZON,
    Distribution,
    Prior,
    dispersion,
    finish,
    gamma_poisson,
    most_that_fits,
    week_end,
    weeks_of_data,
    weeks_until,
    within_fixed_scope,
    within_growing_scope,
)

STEADY = [2, 3, 4, 5, 3, 6, 4, 5]
PAIRS = [(2, 1), (3, 0), (4, 2), (5, 1), (3, 3), (6, 0), (4, 1), (5, 2)]
CALENDAR = WorkCalendar(ZoneInfo("UTC"), frozenset(range(5)), frozenset({date(2026, 12, 25)}))


def quantiles(found: Distribution) -> tuple[int | None, ...]:
    return tuple(found.weeks_for(chance) for chance in (0.5, 0.85, 0.95))


def test_fixed_scope_by_exact_convolution() -> None:
    """Thirty items at the paces of eight past weeks."""
    found = within_fixed_scope(STEADY, 30)
    assert [round(found.within(week), 4) for week in range(6, 11)] == [0.0323, 0.3239, 0.7626, 0.9621, 0.9972]
    assert quantiles(found) == (8, 9, 9)


def test_weeks_of_nought_widen_the_answer() -> None:
    """An average would say twelve and a half weeks."""
    assert quantiles(within_fixed_scope([0, 0, 3, 1, 5, 0, 2, 4, 0, 1], 20)) == (13, 17, 20)


def test_growth_is_drawn_together_with_pace() -> None:
    """Ignoring what was added would promise P85 in nine weeks."""
    assert quantiles(within_growing_scope(PAIRS, 30)) == (11, 14, 15)
    assert within_fixed_scope([done for done, _ in PAIRS], 30).weeks_for(0.85) == 9


def test_few_weeks_answer_widely() -> None:
    """Three weeks of data: the bootstrap would claim P85 in five weeks."""
    assert quantiles(gamma_poisson([4, 2, 3], 12, None)) == (4, 7, 9)
    assert within_fixed_scope([4, 2, 3], 12).weeks_for(0.85) == 5


def test_the_closed_form_of_a_coin() -> None:
    """Nought or two with equal chance is a binomial: P(done by k) = 1 - P(Bin(k, 1/2) <= 1)."""
    found = within_fixed_scope([0, 2], 4)
    assert [round(found.within(week), 6) for week in range(1, 9)] == [
        0.0, 0.25, 0.5, 0.6875, 0.8125, 0.890625, 0.9375, 0.964844,
    ]  # fmt: skip


def test_a_constant_pace_is_certain() -> None:
    """Three a week finish twenty in week seven exactly."""
    found = within_fixed_scope([3], 20)
    assert (found.within(6), found.within(7)) == (0.0, 1.0)


def test_the_lever_is_the_inverse() -> None:
    """At 85 % within seven weeks, twenty-five of thirty fit."""
    assert most_that_fits(STEADY, 7, 0.85) == 25
    assert round(within_fixed_scope(STEADY, 25).within(7), 4) == 0.8581
    assert round(within_fixed_scope(STEADY, 26).within(7), 4) == 0.7773


def test_a_team_that_never_finishes_more_than_it_adds_gets_no_date() -> None:
    """The chance stays nought, and no quantile is invented."""
    found = within_growing_scope([(1, 2), (0, 1)], 5)
    assert (found.weeks_for(0.5), found.within(HORIZON)) == (None, 0.0)


def test_a_plan_speaks_before_there_is_data() -> None:
    """Eight weeks at the planned pace stand in for the weeks that are missing."""
    found = gamma_poisson([], 40, Prior(pace=4))
    assert found.weeks_for(0.5) in (10, 11)
    assert gamma_poisson([], 40, None).within(HORIZON) == 0.0


def test_lumpy_weeks_are_corrected() -> None:
    """Variance over mean above 1.3 widens the distribution."""
    lumpy, even = [0, 0, 12, 0, 0, 12], [4] * 6
    assert dispersion(lumpy) > 1.3 > dispersion(even)
    assert gamma_poisson(lumpy, 20, None).within(8) < gamma_poisson(even, 20, None).within(8)


def test_a_week_that_added_more_than_anybody_has_left_is_survived() -> None:
    """A huge import in one week of the past leaves a chance below one, not a crash."""
    pairs = [(2.0, 50_000.0), *[(3.0, 0.0)] * 10]
    found = within_growing_scope(pairs, 12)
    assert 0 < found.within(HORIZON) < 1


amounts = st.lists(st.integers(0, 9), min_size=1, max_size=12)


@given(amounts, st.integers(1, 60))
def test_the_chance_never_falls(samples: list[int], remaining: int) -> None:
    """A later week can only be more likely, and the quantile is the first that reaches its chance."""
    for found in (within_fixed_scope(samples, remaining, 40), gamma_poisson(samples, remaining, None, 40)):
        assert all(a <= b + 1e-12 for a, b in zip(found.cdf, found.cdf[1:], strict=False))
        weeks = found.weeks_for(0.85)
        assert weeks is None or (found.within(weeks) >= 0.85 > found.within(weeks - 1))


@given(amounts, st.integers(1, 40), st.randoms(use_true_random=False))
def test_the_order_of_weeks_does_not_matter(samples: list[int], remaining: int, dice: object) -> None:
    """A week of the past is as likely wherever it stood."""
    there = within_fixed_scope(samples, remaining, 30)
    back = within_fixed_scope(samples[::-1], remaining, 30)
    assert all(math.isclose(a, b, abs_tol=1e-9) for a, b in zip(there.cdf, back.cdf, strict=True))


@given(amounts, st.integers(1, 40))
def test_more_work_never_finishes_earlier(samples: list[int], remaining: int) -> None:
    """One item more cannot raise any chance."""
    less, more = (within_fixed_scope(samples, amount, 30) for amount in (remaining, remaining + 1))
    assert all(a >= b - 1e-12 for a, b in zip(less.cdf, more.cdf, strict=True))


def test_from_eleven_weeks_on_the_pairs_speak() -> None:
    """Below, the plan's prior steadies the answer; ``method`` says which it was."""
    days = [(date(2026, 1, 5), 40.0, 0.0)]
    days += [(date.fromordinal(date(2026, 1, 7).toordinal() + 7 * week), 1.0, 3.0) for week in range(11)]
    ten = weeks_of_data(days, None, date(2026, 3, 15), CALENDAR)
    eleven = weeks_of_data(days, None, date(2026, 3, 22), CALENDAR)
    assert (len(ten), len(eleven)) == (10, 11)
    assert (finish(ten, 20, None).method, finish(eleven, 20, None).method) == ("gamma_poisson", "pairs")


def test_weeks_begin_with_the_later_of_start_and_first_item() -> None:
    """The week in which work began is not complete unless it began on its Monday."""
    days = [(date(2026, 1, 7), 5.0, 0.0), (date(2026, 1, 14), 0.0, 1.0), (date(2026, 1, 20), 0.0, 2.0)]
    weeks = weeks_of_data(days, date(2026, 1, 1), date(2026, 1, 25), CALENDAR)
    assert [(str(week.monday), week.done, week.added) for week in weeks] == [
        ("2026-01-12", 1.0, 0.0),
        ("2026-01-19", 2.0, 0.0),
    ]


def test_a_holiday_week_says_nothing() -> None:
    """A week with one working day left of five is dropped."""
    holidays = frozenset(date(2026, 1, day) for day in (12, 13, 14, 15))
    calendar = WorkCalendar(ZoneInfo("UTC"), frozenset(range(5)), holidays)
    weeks = weeks_of_data([(date(2026, 1, 5), 5.0, 0.0)], None, date(2026, 1, 25), calendar)
    assert [str(week.monday) for week in weeks] == ["2026-01-05", "2026-01-19"]


@pytest.mark.parametrize(
    ("as_of", "weeks", "ends"),
    [("2026-11-23", 1, "2026-11-27"), ("2026-11-24", 1, "2026-11-30"), ("2026-12-19", 1, "2026-12-24")],
)
def test_a_week_ends_on_a_working_day(as_of: str, weeks: int, ends: str) -> None:
    """The last working day before as_of + 7k days; a holiday is none."""
    assert week_end(date.fromisoformat(as_of), weeks, CALENDAR) == date.fromisoformat(ends)


def test_the_chance_on_time_counts_the_week_ends_up_to_the_due_date() -> None:
    """Due on the day a week ends, that week still counts; the day before, it does not."""
    monday = date(2026, 11, 23)
    assert weeks_until(monday, date(2026, 12, 4), CALENDAR) == 2
    assert weeks_until(monday, date(2026, 12, 3), CALENDAR) == 1
    assert weeks_until(monday, date(2026, 11, 20), CALENDAR) == 0
