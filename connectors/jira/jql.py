"""Pure: the JQL we send. Times are relative or epoch milliseconds, which know no time zone; see `moments`."""

from datetime import datetime, timedelta
from math import ceil

#: Index lag and clock differences that a poll reaches back over.
OVERLAP_MIN = 15
#: The same for a Data Center, whose nodes write their own indexes.
NODES_OVERLAP_MIN = 10
#: How far a poll reaches back where the site's clock was set back, so that nobody knows how long ago the last one was.
_CLOCK_SET_BACK = timedelta(hours=26)


def milliseconds(moment: datetime) -> int:
    """Epoch milliseconds, which JQL takes unquoted and reads as UTC."""
    return int(moment.timestamp() * 1000)


def window(project: str, start: datetime | None, end: datetime | None) -> str:
    """Issues of a project created in [start, end), oldest first: neighbours share their bound, so nothing is twice."""
    bounds = [f"project = {project}"]
    if start is not None:
        bounds.append(f"created >= {milliseconds(start)}")
    if end is not None:
        bounds.append(f"created < {milliseconds(end)}")
    return " AND ".join(bounds) + " ORDER BY created ASC, key ASC"


def polled_from(cursor: datetime, now: datetime, overlap_min: int) -> datetime:
    """The moment from which a poll asks for changes, both by the site's clock."""
    return now - _CLOCK_SET_BACK if now < cursor else cursor - timedelta(minutes=overlap_min)


def minutes_back(since: datetime, now: datetime) -> int:
    """Whole minutes, rounded up, from now back to a moment; at least one."""
    return max(1, ceil((now - since).total_seconds() / 60))


def changed(project: str, since: datetime, now: datetime) -> str:
    """Issues of a project updated since a moment of the server's clock; no upper bound, oldest change first."""
    return f"project = {project} AND updated >= -{minutes_back(since, now)}m ORDER BY updated ASC, key ASC"


def changed_from(project: str, since: datetime) -> str:
    """The same from a moment that an issue's ``updated`` told, whole seconds down."""
    bound = milliseconds(since.replace(microsecond=0))
    return f"project = {project} AND updated >= {bound} ORDER BY updated ASC, key ASC"


def changed_at(id_: str, at: datetime) -> str:
    """One issue, if it changed in the minute from that moment on: no other is it that both bounds let through."""
    bound = milliseconds(at.replace(microsecond=0))
    return f"id = {id_} AND updated >= {bound} AND NOT updated > {bound + 60_000}"


def created_since(project: str, since: datetime, now: datetime) -> str:
    """Issues of a project created since a moment of the server's clock, oldest first."""
    return f"project = {project} AND created >= -{minutes_back(since, now)}m ORDER BY created ASC, key ASC"


def unordered(query: str) -> str:
    """The query without its order, as counting wants it."""
    return query.partition(" ORDER BY ")[0]
