"""Milestones to subscribe to: whole lines, whole words, and nothing that a title could add."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

from services.feed.icalendar import Entry, icalendar
from services.ingest.apply import apply_milestones
from tests.feed.test_rest import served
from tests.work_items import a_milestone

AT = datetime(2026, 11, 23, 10, tzinfo=UTC)


def unfolded(text: str) -> list[str]:
    """The content lines (RFC 5545, section 3.1); each ends with CR LF, and none is longer than 75 octets."""
    assert text.endswith("\r\n") and not re.search(r"(?<!\r)\n|\r(?!\n)", text)
    assert max(len(line.encode()) for line in text.split("\r\n")) <= 75
    return text.removesuffix("\r\n").replace("\r\n ", "").split("\r\n")


def test_a_title_is_text_and_nothing_else() -> None:
    """Line breaks, separators, long words and other scripts: escaped, folded between characters, and whole again."""
    hostile = "Beta\r\nEND:VCALENDAR\nATTACH:https://evil.example;x,y\\z " + "日本語" * 40
    lines = unfolded(icalendar("Acme; strategy", [Entry("s:version:7", date(2026, 12, 1), hostile, AT, "version")]))
    assert lines.count("END:VCALENDAR") == 1 and not any(line.startswith("ATTACH") for line in lines)
    (summary,) = [line.removeprefix("SUMMARY:") for line in lines if line.startswith("SUMMARY:")]
    plain = re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], summary)
    assert plain == hostile.replace("\r", "")
    assert "X-WR-CALNAME:Acme\\; strategy" in lines


def test_days_come_in_order_and_only_addresses_of_the_web_are_given() -> None:
    """An all-day event each, by day; a `javascript:` address is left out."""
    entries = [
        Entry("b", date(2027, 1, 5), "Later", AT, "plan", url="javascript:alert(1)"),
        Entry("a", date(2026, 12, 1), "Sooner", AT, "decisive", url="https://jira.example/7", cancelled=True),
    ]
    lines = unfolded(icalendar("Acme", entries))
    assert [line for line in lines if line.startswith(("DTSTART", "URL", "STATUS", "DTSTAMP"))] == [
        "DTSTAMP:20261123T100000Z", "DTSTART;VALUE=DATE:20261201", "STATUS:CANCELLED", "URL:https://jira.example/7",
        "DTSTAMP:20261123T100000Z", "DTSTART;VALUE=DATE:20270105",
    ]  # fmt: skip


async def test_the_calendar_holds_dated_milestones_of_plan_and_trackers(tmp_path: Path) -> None:
    """Those without a date are left out; `decisive` leaves what the plan calls so; an ETag saves the way."""
    async with served(tmp_path) as (app, client):
        (tmp_path / "strategy.yaml").write_text(
            "objectives: [{id: OBJ-1}]\n"
            "initiatives: [{id: INI-1, title: Sign-up, serves: {OBJ-1: 1.0}, milestones: [{id: beta, due: 2026-09-30, "
            "decisive: true}, {id: ga, due: 2026-10-30, title: General availability}, {id: someday}]}]\n"
        )
        await app.apply()
        async with app.database.write() as uow:
            dated = a_milestone(7, "R 7", due_date=date(2026, 12, 24), url="https://jira.example/7")
            await apply_milestones(uow, [dated, a_milestone(8, "R 8")])
        answer = await client.get("/milestones.ics")
        assert answer.headers["content-type"].startswith("text/calendar")
        lines = unfolded(answer.text)
        assert [line for line in lines if line.startswith(("UID", "SUMMARY", "CATEGORIES"))] == [
            "UID:plan.INI-1.beta@courseline", "SUMMARY:Sign-up: beta", "CATEGORIES:DECISIVE",
            "UID:plan.INI-1.ga@courseline", "SUMMARY:Sign-up: General availability", "CATEGORIES:PLAN",
            "UID:acme-jira:version:7@courseline", "SUMMARY:R 7 (PAY)", "CATEGORIES:VERSION",
        ]  # fmt: skip
        again = await client.get("/milestones.ics", headers={"if-none-match": answer.headers["etag"]})
        assert again.status_code == 304
        decisive = unfolded((await client.get("/milestones.ics?decisive=true")).text)
        assert [line for line in decisive if line.startswith("UID")] == ["UID:plan.INI-1.beta@courseline"]
