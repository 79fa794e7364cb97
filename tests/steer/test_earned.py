"""Earned schedule and value against published tables."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from services.steer.calendar import WorkCalendar
from services.steer.earned import EarnedValue, earned_schedule, planned_share, schedule_index

# A real project of nine months that took thirteen (thousand EUR); "re-vamp check-in" in Vandevoorde & Vanhoucke,
# International Journal of Project Management 24 (2006) 289-302: AT, AC, PV, EV, SPI, CPI, ES, SPI(t), EAC(t) PF=1.
REVAMP = [
    (1, 25.567, 28.975, 25.645, 0.8851, 1.0031, 0.8851, 0.8851, 9.1149),
    (2, 66.293, 81.681, 68.074, 0.8334, 1.0269, 1.7418, 0.8709, 9.2582),
    (3, 78.293, 91.681, 89.135, 0.9722, 1.1385, 2.7454, 0.9151, 9.2546),
    (4, 124.073, 138.586, 125.244, 0.9037, 1.0094, 3.7156, 0.9289, 9.2844),
    (5, 191.367, 218.141, 198.754, 0.9111, 1.0386, 4.7563, 0.9513, 9.2437),
    (6, 259.845, 302.478, 268.763, 0.8885, 1.0343, 5.6002, 0.9334, 9.3998),
    (7, 285.612, 323.632, 292.469, 0.9037, 1.0240, 5.8813, 0.8402, 10.1187),
    (8, 290.843, 345.876, 306.725, 0.8868, 1.0546, 6.2008, 0.7751, 10.7992),
    (9, 303.489, 360.738, 312.864, 0.8673, 1.0309, 6.4910, 0.7212, 11.5090),
    (10, 316.431, 360.738, 327.694, 0.9084, 1.0356, 7.1826, 0.7183, 11.8174),
    (11, 320.690, 360.738, 338.672, 0.9388, 1.0561, 7.6761, 0.6978, 12.3239),
    (12, 336.756, 360.738, 349.861, 0.9698, 1.0389, 8.2681, 0.6890, 12.7319),
    (13, 349.379, 360.738, 360.738, 1.0, 1.0325, 9.0000, 0.6923, 13.0000),
]
PLANNED = [row[2] for row in REVAMP[:9]]


@pytest.mark.parametrize("row", REVAMP, ids=lambda row: f"month-{row[0]}")
def test_a_published_project(row: tuple[float, ...]) -> None:
    """Every month of the published table, to its last digit."""
    at, spent, planned, earned, spi, cpi, periods, index, expected = row
    found = earned_schedule(PLANNED, earned, at)
    value = EarnedValue(planned, earned, spent, budget=360.738)
    assert value.schedule_index == pytest.approx(spi, abs=5e-5)
    assert value.cost_index == pytest.approx(cpi, abs=5e-5)
    assert found.periods == pytest.approx(periods, abs=5e-5)
    assert found.index == pytest.approx(index, abs=5e-5)
    assert found.expected_duration() == pytest.approx(expected, abs=1.1e-4)


def test_the_classic_index_improves_while_the_project_is_late() -> None:
    """SPI climbs back to 1 from month 9 to 13; SPI(t) keeps falling: that is why it decides."""
    classic = [EarnedValue(row[2], row[3], row[1], 360.738).schedule_index or 0 for row in REVAMP[8:]]
    in_time = [earned_schedule(PLANNED, row[3], row[0]).index or 0 for row in REVAMP[8:12]]
    assert classic == sorted(classic)
    assert in_time == sorted(in_time, reverse=True)


def test_lipkes_example() -> None:
    """Seven months in, five earned: SV(t) = -2, SPI(t) = .714 (Lipke 2003)."""
    found = earned_schedule([10, 20, 30, 40, 50, 60, 70], 50, 7)
    assert (found.periods, found.variance, round(found.index or 0, 3)) == (5.0, -2.0, 0.714)


def test_a_budget() -> None:
    """820 hours at 95 of a cap of 120,000, with 42 % done."""
    value = EarnedValue(0, 0.42 * 120_000, 820 * 95, 120_000)
    assert round(value.cost_index or 0, 3) == 0.647
    assert round(value.estimate_at_completion or 0) == 185_476
    assert round(value.to_complete or 0, 3) == 1.653


JAPAN = WorkCalendar(ZoneInfo("UTC"), frozenset(range(5)), frozenset(date(2017, 5, day) for day in (3, 4, 5)))


@pytest.mark.parametrize(
    ("due", "hours", "by_day"),
    [
        (date(2017, 5, 8), 12, {date(2017, 5, 1): 4, date(2017, 5, 2): 8, date(2017, 5, 7): 8, date(2017, 5, 8): 12}),
        (date(2017, 5, 7), 10, {date(2017, 5, 1): 5, date(2017, 5, 2): 10}),
    ],
)
def test_work_is_planned_on_working_days(due: date, hours: float, by_day: dict[date, float]) -> None:
    """Holidays from 3 to 5 May carry no planned value (Redmine EVM plug-in, README)."""
    found = {day: planned_share(date(2017, 5, 1), due, day, JAPAN) * hours for day in by_day}
    assert found == pytest.approx(by_day)


def test_a_plan_of_holidays_only_is_spread_over_its_days() -> None:
    """3 to 7 May 2017, all off, 20 h: five days of 4 h (Redmine EVM plug-in, README)."""
    shares = [planned_share(date(2017, 5, 3), date(2017, 5, 7), date(2017, 5, day), JAPAN) * 20 for day in range(3, 8)]
    assert shares == pytest.approx([4, 8, 12, 16, 20])


def test_even_work_has_an_index_of_one() -> None:
    """Half the working days and half the work: on schedule."""
    start, due = date(2026, 3, 2), date(2026, 3, 13)
    calendar = WorkCalendar(ZoneInfo("UTC"), frozenset(range(5)))
    assert schedule_index(0.5, start, due, date(2026, 3, 6), calendar) == pytest.approx(1.0)
    assert schedule_index(0.25, start, due, date(2026, 3, 6), calendar) == pytest.approx(0.5)
    assert schedule_index(0.0, start, due, date(2026, 3, 1), calendar) is None
