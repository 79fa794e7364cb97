"""Pure: the working calendar of a strategy, in its own time zone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from schemas.strategy import Calendar

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = timedelta(days=1)
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class WorkCalendar:
    """Which days are worked, and where a day begins and ends."""

    zone: ZoneInfo
    working_days: frozenset[int]  #: Monday is 0
    holidays: frozenset[date] = frozenset()

    @classmethod
    def of(cls, calendar: Calendar) -> "WorkCalendar":
        """The calendar of a strategy file."""
        return cls(
            ZoneInfo(calendar.time_zone),
            frozenset(_DAYS.index(day) for day in calendar.working_days),
            frozenset(calendar.holidays),
        )

    def is_worked(self, day: date) -> bool:
        return day.weekday() in self.working_days and day not in self.holidays

    def day_of(self, moment: datetime) -> date:
        """The calendar day of a moment."""
        return moment.astimezone(self.zone).date()

    def end_of(self, day: date) -> datetime:
        """The moment a day ends, in UTC."""
        return datetime.combine(day + DAY, time(), self.zone).astimezone(UTC)

    def last_working_day_before(self, day: date) -> date:
        """The last working day strictly before a day; the day before where a year has none."""
        for back in range(1, 367):
            found = day - back * DAY
            if self.is_worked(found):
                return found
        return day - DAY

    def worked_between(self, start: date, end: date) -> int:
        """Working days from `start` to `end`, both included."""
        whole = (end - start).days + 1
        return sum(1 for offset in range(max(whole, 0)) if self.is_worked(start + offset * DAY))

    def capacity(self, monday: date) -> float:
        """The share of an ISO week's usual working days that are worked."""
        days = [monday + offset * DAY for offset in range(7)]
        return sum(self.is_worked(day) for day in days) / len(self.working_days)

    def week_ends(self, start: date, until: datetime) -> Iterator[date]:
        """The Sundays that ended by a moment, from the one of `start`'s week on."""
        sunday = start + (6 - start.weekday()) * DAY
        while self.end_of(sunday) <= until:
            yield sunday
            sunday += WEEK
