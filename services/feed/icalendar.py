"""Milestones as a calendar to subscribe to: those of the plan and those of the trackers (RFC 5545)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

from fastapi import FastAPI, Query, Request, Response
from sqlalchemy import select

from schemas.strategy import StrategyFile
from services.feed.described import answers
from services.feed.rest import tagged_bytes
from services.feed.shapes import MILESTONE
from services.ledger.strategies import current_strategy
from services.storage import tables
from services.storage.database import Database

#: Octets of a line at most, without its end (RFC 5545, section 3.1).
_LONGEST = 75
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_ESCAPED = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n", "\t": " "})


@dataclass(frozen=True)
class Entry:
    """One day in the calendar. `changed` is when we came to know it as it is."""

    uid: str
    day: date
    title: str
    changed: datetime
    category: str  #: ``plan``, ``decisive``, or the tracker's kind of milestone
    url: str = ""
    cancelled: bool = False


class _Calendar(Response):
    media_type = "text/calendar"


def add_calendar(app: FastAPI, database: Database) -> None:
    """Add ``/milestones.ics``."""

    @app.get("/milestones.ics", response_class=_Calendar, responses=answers(tagged=True))
    async def calendar(
        request: Request, decisive: bool = Query(False, description="Only the decisive milestones of the plan.")
    ) -> Response:
        """Every dated milestone of the plan and of the trackers, for a calendar to subscribe to."""
        async with database.read() as connection:
            strategy = await current_strategy(connection)
            rows = [] if decisive else (await connection.execute(select(tables.milestones))).all()
        entries = _of_plan(strategy.file, strategy.applied_at) if strategy else []
        if decisive:
            entries = [one for one in entries if one.category == "decisive"]
        for row in rows:
            one = MILESTONE.decode(row.content)
            if one.due_date is not None:
                title = f"{one.title} ({one.container})" if one.container else one.title
                entries.append(
                    Entry(one.uid, one.due_date, title, row.observed_at, one.kind, one.url, one.state == "cancelled")
                )
        name = strategy.file.strategy.title if strategy else "Courseline"
        return tagged_bytes(request, icalendar(name, entries).encode(), "text/calendar; charset=utf-8")


def _of_plan(file: StrategyFile, applied_at: datetime) -> list[Entry]:
    return [
        Entry(
            uid=f"plan.{initiative.id}.{one.id}",
            day=one.due,
            title=f"{initiative.title}: {one.title or one.id}",
            changed=applied_at,
            category="decisive" if one.decisive else "plan",
        )
        for initiative in file.initiatives
        for one in initiative.milestones
        if one.due is not None
    ]


def icalendar(name: str, entries: Iterable[Entry]) -> str:
    """Pure: the calendar's text; entries by day. What stands in a title stays in its line."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Courseline//Milestones//EN", f"X-WR-CALNAME:{_text(name)}"]
    for one in sorted(entries, key=lambda entry: (entry.day, entry.uid)):
        lines += [
            "BEGIN:VEVENT",
            f"UID:{_text(one.uid)}@courseline",
            f"DTSTAMP:{one.changed.astimezone(UTC):%Y%m%dT%H%M%SZ}",
            f"DTSTART;VALUE=DATE:{one.day:%Y%m%d}",
            f"SUMMARY:{_text(one.title)}",
            f"CATEGORIES:{_text(one.category.upper())}",
            "TRANSP:TRANSPARENT",
        ]
        lines += ["STATUS:CANCELLED"] if one.cancelled else []
        url = _CONTROL.sub("", one.url).replace("\n", "")
        lines += [f"URL:{url}"] if urlsplit(url).scheme in ("http", "https") else []
        lines.append("END:VEVENT")
    return "".join(_folded(line) for line in [*lines, "END:VCALENDAR"])


def _text(value: str) -> str:
    return _CONTROL.sub("", value).translate(_ESCAPED)


def _folded(line: str) -> str:
    """A line in pieces of 75 octets at most, none of which cuts a character."""
    pieces, piece, size = [], "", 0
    for sign in line:
        octets = len(sign.encode())
        if size + octets > _LONGEST:
            pieces.append(piece)
            piece, size = " ", 1
        piece, size = piece + sign, size + octets
    return "\r\n".join([*pieces, piece]) + "\r\n"
