"""`export` gives everything as it is, or as it was at the end of a day."""

import asyncio
import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from schemas.events import EventData, FindingClosed, FindingOpened, FindingWorsened
from services.bootstrap import App, open_app
from services.cli import app as common
from services.cli import data
from services.feed.exports import COLUMNS
from services.ingest.apply import apply_items, apply_milestones
from services.settings import load_settings
from services.storage import tables
from tests.alert.test_alerts import a_finding
from tests.work_items import a_change, a_milestone, an_item, done

assert data
TODAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
_WEEKS = 20
STRATEGY = f"""
objectives: [{{id: OBJ-1, match: {{label: web}}}}]
initiatives:
  - {{id: INI-1, title: Pay by link, serves: {{OBJ-1: 1.0}}, match: {{label: pay}},
     start: {(TODAY - timedelta(weeks=_WEEKS)).date()}, due: {(TODAY + timedelta(weeks=2)).date()}}}
"""


def weeks_ago(weeks: int, days: int = 0) -> datetime:
    return TODAY - timedelta(weeks=weeks, days=-days)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty items that were begun twenty weeks ago, one finished in each of twelve weeks; one was relabelled."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "strategy.yaml").write_text(STRATEGY)
    file = folder / "courseline.yaml"
    file.write_text("stream: embedded\n")
    asyncio.run(_filled(file))
    return file


async def _filled(file: Path) -> None:
    start: dict[str, Any] = {"created_at": weeks_ago(_WEEKS), "labels": ("pay",)}
    finished = [done(number, f"{weeks_ago(_WEEKS - number, 1):%Y-%m-%d %H:%M}", **start) for number in range(1, 13)]
    rest = [an_item(number, updated_at=weeks_ago(_WEEKS), **start) for number in range(13, 40)]
    moved_at = f"{weeks_ago(5):%Y-%m-%d %H:%M}"
    moved = an_item(40, history=(a_change("labels", moved_at, ["web"], ["pay"]),), updated_at=weeks_ago(5), **start)
    late = an_item(41, created_at=weeks_ago(1), updated_at=weeks_ago(1), labels=("pay",))
    async with open_app(load_settings(file, {})[0]) as app:
        async with app.database.write() as uow:
            await apply_items(uow, [*finished, *rest, moved, late])
            await apply_milestones(uow, [a_milestone(7, "Beta")])
        await app.settle()
        await app.apply()
        await _a_finding_that_came_and_went(app)


async def _a_finding_that_came_and_went(app: App) -> None:
    """Opened seven weeks ago, worse two weeks later, closed after two more; another one is open since a week."""
    first = a_finding(severity="amber", opened_at=weeks_ago(7), changed_at=weeks_ago(7))
    worse = replace(first, severity="red", changed_at=weeks_ago(5))
    other = a_finding(id="f-2", severity="amber", opened_at=weeks_ago(1), changed_at=weeks_ago(1))
    closed = replace(worse, changed_at=weeks_ago(3))
    events: list[EventData] = [
        FindingOpened(finding=first),
        FindingWorsened(finding=worse),
        FindingClosed(finding=closed, closed_at=weeks_ago(3)),
        FindingOpened(finding=other),
    ]
    for event, weeks in zip(events, (7, 5, 3, 1), strict=True):
        async with app.database.write() as uow:
            uow.now = weeks_ago(weeks)
            uow.emit(event)
    async with app.database.write() as uow:
        for one, closed_at in ((closed, weeks_ago(3)), (other, None)):
            row = {"id": one.id, "node": "INI-1", "dimension": "schedule", "severity": one.severity, "seq": 1}
            row |= {"open": closed_at is None, "opened_at": one.opened_at, "changed_at": one.changed_at}
            row |= {"closed_at": closed_at, "content": msgspec.json.encode(one)}
            await uow.upsert(tables.findings, [row])


def ran(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(common.app, ["export", *arguments, "-c", str(file)])


def exported(file: Path, what: str, weeks: int | None = None) -> list[dict[str, Any]]:
    """The lines, as of the end of the day so many weeks ago."""
    of = [] if weeks is None else ["--as-of", f"{weeks_ago(weeks):%Y-%m-%d}"]
    found = ran(file, what, *of)
    assert found.exit_code == 0, found.output
    return [json.loads(line) for line in found.stdout.splitlines()]


@pytest.mark.parametrize("weeks", [3, 10, 14, 19])
def test_items_are_as_they_were_at_a_days_end(file: Path, weeks: int) -> None:
    """What was not there yet is left out; what was finished later was open; each has the alignment of that day."""
    found = {one["key"]: one for one in exported(file, "items", weeks)}
    finished = [key for key, one in found.items() if one["status_category"] == "done"]
    assert len(found) == 40
    assert len(finished) == min(12, _WEEKS - weeks - 1)
    assert all(one["done_at"] is not None for one in found.values() if one["key"] in finished)
    assert all(one["done_at"] is None for one in found.values() if one["key"] not in finished)
    relabelled = next(one for one in found.values() if one["external_id"] == "40")
    expected = ("web", "OBJ-1") if weeks > 5 else ("pay", "INI-1")
    assert (relabelled["labels"], relabelled["alignment"][0]["node"]) == ([expected[0]], expected[1])


@pytest.mark.parametrize("weeks", [3, 10, 14])
def test_every_export_of_a_day_tells_the_same_story(file: Path, weeks: int) -> None:
    """Figures, postings and items of a day agree, however much was finished since."""
    (figures,) = [one for one in exported(file, "progress", weeks) if one["id"] == "INI-1"]
    postings = [one for one in exported(file, "ledger", weeks) if one["node"] == "INI-1"]
    items = [one for one in exported(file, "items", weeks) if one["alignment"][0]["node"] == "INI-1"]
    assert figures["as_of"].startswith(f"{weeks_ago(weeks):%Y-%m-%d}")
    assert figures["progress"]["scope"] == sum(one["scope"] for one in postings) == len(items)
    delivered = [one for one in items if one["status_category"] == "done"]
    assert figures["progress"]["done"] == sum(one["done"] for one in postings) == len(delivered)


@pytest.mark.parametrize(
    ("weeks", "stood", "open_"),
    [
        (8, [], []),
        (6, [("f-1", "amber", "open")], ["f-1"]),
        (4, [("f-1", "red", "open")], ["f-1"]),
        (2, [("f-1", "red", "closed")], []),
        (0, [("f-1", "red", "closed"), ("f-2", "amber", "open")], ["f-2"]),
    ],
)
def test_findings_of_a_day_are_as_they_stood(
    file: Path, weeks: int, stood: list[tuple[str, str, str]], open_: list[str]
) -> None:
    """As the log last told of them by then; a node names those that were open."""
    found = exported(file, "findings", weeks)
    assert [(one["id"], one["severity"], one["state"]) for one in found] == stood
    (figures,) = [one for one in exported(file, "progress", weeks) if one["id"] == "INI-1"]
    assert figures["findings"] == open_


def test_today_is_as_it_is_now(file: Path) -> None:
    """As of today and without a day, the lines are the same."""
    for what in COLUMNS:
        now, today = exported(file, what), exported(file, what, 0)
        for line in (*now, *today):
            line.pop("as_of", None)
            line.pop("why", None)
            line.pop("stale", None)
            line.pop("health", None)  # no tracker was read: today's is unknown
        assert now == today, what


@pytest.mark.parametrize("what", COLUMNS)
def test_a_table_has_its_header_even_when_it_is_empty(file: Path, tmp_path: Path, what: str) -> None:
    """The columns are the keys of the lines, in their order; a spreadsheet opens it either way."""
    (tmp_path / "strategy.yaml").write_text("objectives: [{id: OBJ-1}]")
    empty = tmp_path / "courseline.yaml"
    empty.write_text("stream: embedded\n")
    assert ran(empty, what, "--format", "csv").stdout.splitlines()[0] == ",".join(COLUMNS[what])
    full = list(csv.DictReader(io.StringIO(ran(file, what, "--format", "csv").stdout)))
    lines = exported(file, what)
    assert [list(row) for row in full[:1]] == [list(line) for line in lines[:1]] == [list(COLUMNS[what])]
    assert len(full) == len(lines) > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("items", "--as-of", "2099-01-01"), "is a day to come"),
        (("items", "--as-of", "2026-13-01"), "is no date"),
        (("items", "--format", "xml"), "neither jsonl nor csv"),
        (("everything",), "is none of items"),
    ],
)
def test_what_cannot_be_asked_is_2(file: Path, arguments: tuple[str, ...], said: str) -> None:
    """The sentence says what can."""
    found = ran(file, *arguments)
    assert (found.exit_code, found.stdout) == (2, "")
    assert said in " ".join(found.output.replace("│", " ").split())
