"""decide, ack, snooze and review: what is recorded, what is said, and what is refused."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from schemas import wire
from schemas.events import DecisionRecorded, FindingOpened
from services.bootstrap import App, open_app
from services.cli import app as common
from services.cli import decisions, strategy
from services.settings import load_settings
from services.storage import tables
from tests.alert.test_alerts import a_finding

assert decisions and strategy
STRATEGY = """
strategy: {title: Acme, review_every: 90d}
calendar: {time_zone: America/New_York}
plan: {review_every: 30d}
objectives: [{id: OBJ-1}]
initiatives: [{id: INI-1, serves: {OBJ-1: 1.0}}]
"""
WHY = ("--by", "ada", "--why", "it's the vendor's delay")


async def drifting(file: Path) -> None:
    """A strategy in force, a finding that is open and was told, and one that is closed."""
    async with open_app(load_settings(file, {})[0]) as app:
        await app.apply()
        async with app.database.write() as uow:
            for name, open_ in (("f-1", True), ("f-0", False)):
                finding = a_finding(id=name, severity="amber", opened_at=uow.now - timedelta(days=9))
                row = {"id": name, "node": "INI-1", "dimension": "schedule", "severity": "amber", "open": open_}
                row |= {"opened_at": finding.opened_at, "changed_at": uow.now, "seq": 1}
                row |= {"closed_at": None if open_ else uow.now, "content": msgspec.json.encode(finding)}
                await uow.upsert(tables.findings, [row])
            uow.emit(FindingOpened(finding=a_finding(severity="amber")))
        await app.settle()
        while await app.sender.drain():
            pass


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "strategy.yaml").write_text(STRATEGY)
    file = tmp_path / "courseline.yaml"
    file.write_text("alerts: {channels: [{name: operators, kind: log}]}\n")
    asyncio.run(drifting(file))
    return file


def ran(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(common.app, [arguments[0], "-c", str(file), *arguments[1:]])


def stored(file: Path, *names: str) -> list[list[Any]]:
    """The rows of some tables."""

    async def read(app: App) -> list[list[Any]]:
        async with app.database.read() as connection:
            return [list(await connection.execute(select(tables.metadata.tables[name]))) for name in names]

    async def run() -> list[list[Any]]:
        async with open_app(load_settings(file, {})[0]) as app:
            return await read(app)

    return asyncio.run(run())


def test_a_decision_is_recorded_and_said_on_the_stream(file: Path) -> None:
    """Its row and its event hold the same; it acknowledges; `drift` and `explain` tell of it."""
    found = ran(file, "decide", "f-1", "keep", *WHY, "--effect", "two weeks later", "--json")
    assert found.exit_code == 0, found.output
    recorded = msgspec.json.decode(found.stdout, type=DecisionRecorded)
    assert (recorded.finding, recorded.node, recorded.decision) == ("f-1", "INI-1", "keep")
    (row,), (known,), log = stored(file, "decisions", "acknowledgements", "log")
    assert {name: getattr(row, name) for name in recorded.__struct_fields__} == msgspec.structs.asdict(recorded)
    (event,) = [wire.decode(one.value) for one in log if one.type == "decision.recorded"]
    assert (event.data, event.key, log[-1].topic) == (recorded, "f-1", "drift")
    assert (known.finding, known.severity, known.by) == ("f-1", "amber", "ada")
    assert "decided by ada on" in ran(file, "drift").stdout
    assert "keep, it's the vendor's delay; expected: two weeks later" in ran(file, "explain", "INI-1").stdout


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        ("keep", "The plan stays: the channels hear of it again when it turns red, and when it closes."),
        ("adjust", "Nothing is rebaselined yet: change strategy.yaml, look at `courseline plan -c {file}`, then"
         " `courseline apply --approve --by ada --why 'it'\"'\"'s the vendor'\"'\"'s delay' -c {file}`."),
        ("stop", "INI-1 is judged for as long as it stands in strategy.yaml: take it out, then `courseline apply"),
    ],
)  # fmt: skip
def test_a_decision_tells_what_is_to_be_done(file: Path, decision: str, said: str) -> None:
    """The command that makes it so, ready for a shell."""
    found = ran(file, "decide", "f-1", decision, *WHY)
    assert found.exit_code == 0, found.output
    assert said.format(file=file) in found.stdout


def test_an_acknowledged_finding_says_by_whom(file: Path) -> None:
    """Until somebody answers, `drift` tells how to."""
    assert "Answer with `courseline decide FINDING keep|adjust|stop" in ran(file, "drift").stdout
    assert ran(file, "ack", "f-1", "--by", "ben").exit_code == 0
    said = ran(file, "drift").stdout
    assert "acknowledged by ben on" in said and "Answer with" not in said
    (one,) = json.loads(ran(file, "drift", "--json").stdout)
    assert (one["acknowledged"]["by"], one["snoozed"], one["decision"]) == ("ben", None, None)


def test_a_snooze_ends_with_its_day_where_the_strategy_lives(file: Path) -> None:
    """Midnight in New York; what is over already is refused, and records nothing."""
    day = (datetime.now(UTC) + timedelta(days=40)).date()
    assert ran(file, "snooze", "f-1", "--until", str(day), "--why", "a freeze").exit_code == 0
    (row,), _ = stored(file, "snoozes", "log")
    assert row.ends_at.hour in (4, 5) and row.ends_at.date() == day + timedelta(days=1)
    assert f"snoozed to the end of {day}: a freeze" in ran(file, "drift").stdout
    for until in (str(day - timedelta(days=60)), "tomorrow", ""):
        found = ran(file, "snooze", "f-1", "--until", until, "--why", "a freeze")
        assert (found.exit_code, "--until" in found.output) == (2, True), until
    assert len(stored(file, "snoozes")[0]) == 1


@pytest.mark.parametrize(("node", "days"), [("INI-1", 30), ("plan", 30), ("OBJ-1", 90), ("strategy", 90)])
def test_an_appraisal_is_recorded_and_the_next_one_dated(file: Path, node: str, days: int) -> None:
    """An initiative keeps the plan's cadence, an objective the strategy's."""
    found = ran(file, "review", node, "adjust", *WHY, "--attendee", "ben", "--attendee", "cem")
    assert found.exit_code == 0, found.output
    ((row,),) = stored(file, "appraisals")
    assert (row.node, row.decision, row.by, json.loads(row.attendees)) == (node, "adjust", "ada", ["ben", "cem"])
    due = row.at.astimezone(ZoneInfo("America/New_York")).date() + timedelta(days=days)
    assert f"The next one is due by {due}." in found.stdout
    if node not in ("plan", "strategy"):
        assert "by ada: adjust" in ran(file, "explain", node).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("decide", "f-1", "perhaps", *WHY), 2, "keep, adjust, stop"),
        (("decide", "f-9", "keep", *WHY), 2, "open are: f-1 (INI-1)"),
        (("decide", "f-0", "keep", *WHY), 1, "f-0 is closed since"),
        (("decide", "f-1", "keep", "--by", " ", "--why", "x"), 2, "--by"),
        (("decide", "f-1", "keep", "--by", "ada"), 2, "--why"),
        (("decide", "f-1", "keep", *WHY, "--effect", ""), 2, "--effect"),
        (("ack", "f-1"), 2, "--by"),
        (("ack", "f-0", "--by", "ada"), 1, "f-0 is closed since"),
        (("snooze", "f-1", "--until", "2099-01-01"), 2, "--why"),
        (("review", "INI-9", "keep", *WHY), 2, "known are INI-1, OBJ-1, strategy, plan"),
        (("review", "INI-1", "maybe", *WHY), 2, "keep, adjust, stop"),
    ],
)
def test_what_is_refused_records_nothing(file: Path, arguments: Sequence[str], code: int, said: str) -> None:
    """With the exit code of a wrong use or a failed check, and words that help."""
    found = ran(file, *arguments)
    words = " ".join(found.output.replace("│", " ").split())
    assert (found.exit_code, said in words) == (code, True), found.output
    assert stored(file, "decisions", "appraisals", "acknowledgements", "snoozes") == [[], [], [], []]


def test_before_the_first_apply_there_is_nothing_to_appraise(tmp_path: Path) -> None:
    """Said in a sentence, with what to do."""
    (tmp_path / "strategy.yaml").write_text(STRATEGY)
    (tmp_path / "courseline.yaml").write_text("http: {port: 0}\n")
    found = ran(tmp_path / "courseline.yaml", "review", "INI-1", "keep", *WHY)
    assert (found.exit_code, "`courseline apply`" in found.output) == (1, True)
