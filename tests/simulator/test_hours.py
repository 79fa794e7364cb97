"""Working time: office hours before somebody watches, any hour afterwards."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.simulator.hours import Hours

WATCHED = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("begin", "hours", "end"),
    [
        ("2026-11-02T08:00", 4, "2026-11-02T12:00"),
        ("2026-11-02T15:00", 2, "2026-11-03T09:00"),
        ("2026-11-06T15:00", 2, "2026-11-09T09:00"),
        ("2026-11-07T12:00", 1, "2026-11-09T09:00"),
        ("2026-11-02T03:00", 1, "2026-11-02T09:00"),
        ("2026-11-02T08:30", 40, "2026-11-09T08:30"),
    ],
)
def test_hours_of_work_skip_nights_and_weekends(begin: str, hours: float, end: str) -> None:
    """Two hours from Friday at three are over on Monday at nine."""
    assert Hours(WATCHED).after(_at(begin), hours) == _at(end)


def test_a_watched_week_holds_as_many_hours_of_work() -> None:
    """Forty hours of work fill seven days around the clock."""
    assert Hours(WATCHED).after(WATCHED, 40) == WATCHED + timedelta(days=7)


@settings(max_examples=200, deadline=None)
@given(moments, st.floats(0, 500), st.floats(0, 500))
def test_more_work_is_never_over_earlier(at: datetime, some: float, more: float) -> None:
    """Time goes forward, and in steps or at once it comes out the same."""
    hours = Hours(WATCHED)
    middle, end = hours.after(at, some), hours.after(at, some + more)
    assert at - timedelta(milliseconds=1) <= middle <= end
    assert abs(hours.after(middle, more) - end) < timedelta(days=3, seconds=1)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
