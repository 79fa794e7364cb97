"""Working time: when so many hours of work from a moment are over."""

from datetime import UTC, datetime, timedelta

_DAY_HOURS = 8.0
_WEEK_HOURS = 5 * _DAY_HOURS
_OPENS = 8  #: o'clock, UTC
_MONDAY = datetime(2001, 1, 1, tzinfo=UTC)
_STRETCH = 7 * 24 / _WEEK_HOURS  #: hours on the clock for an hour of work while somebody watches


class Hours:
    """Work is done from Monday to Friday, 08:00 to 16:00 UTC; from ``watched`` on at any hour, as much each week.

    A demonstration would stand still every night otherwise. The pace of a week is the same before and after.
    """

    def __init__(self, watched: datetime) -> None:
        self._watched = watched.astimezone(UTC)
        self._worked = _worked(self._watched)

    def after(self, at: datetime, hours: float) -> datetime:
        """The moment at which ``hours`` of work after ``at`` are over, in whole milliseconds."""
        moment = self._moment(self._index(at) + hours)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def _index(self, at: datetime) -> float:
        if at <= self._watched:
            return _worked(at)
        return self._worked + (at - self._watched) / timedelta(hours=_STRETCH)

    def _moment(self, index: float) -> datetime:
        if index >= self._worked:
            return self._watched + timedelta(hours=(index - self._worked) * _STRETCH)
        weeks, rest = divmod(index, _WEEK_HOURS)
        days, hours = divmod(rest, _DAY_HOURS)
        return _MONDAY + timedelta(days=7 * weeks + days, hours=_OPENS + hours)


def _worked(at: datetime) -> float:
    """Hours of work from an early Monday to a moment."""
    weeks, rest = divmod(at - _MONDAY, timedelta(days=7))
    clock = (rest - timedelta(days=rest.days)) / timedelta(hours=1)
    if rest.days >= 5:
        return weeks * _WEEK_HOURS + _WEEK_HOURS
    return weeks * _WEEK_HOURS + rest.days * _DAY_HOURS + min(max(clock - _OPENS, 0.0), _DAY_HOURS)
