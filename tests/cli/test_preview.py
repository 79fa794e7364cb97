"""`alerts preview` judges the past anew and tells what the channels would have heard; it sends and records nothing."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner, Result

from services.bootstrap import open_app
from services.cli import alerts
from services.cli import app as common
from services.ingest.apply import apply_items
from services.settings import load_settings
from services.storage import tables
from tests.work_items import an_item, done

assert alerts


async def stalled(file: Path, start: datetime) -> None:
    """Half a year of forty items, of which two a week were finished for eight weeks, and none since."""
    async with open_app(load_settings(file, {})[0]) as app:
        dated: dict[str, Any] = {"labels": ("pay",), "created_at": start, "updated_at": start}
        items = [an_item(number, **dated) for number in range(16, 40)]
        for number in range(16):
            when = f"{start + timedelta(weeks=number // 2, days=2):%Y-%m-%d %H:%M}"
            items.append(done(number, when, labels=("pay",), created_at=start))
        async with app.database.write() as uow:
            await apply_items(uow, items)
        await app.settle()
        await app.apply()


def a_folder(folder: Path, channels: str = "[{name: operators, kind: log}]") -> Path:
    today = datetime.now(UTC)
    start = today - timedelta(weeks=26)
    (folder / "strategy.yaml").write_text(
        "objectives: [{id: OBJ-1}]\n"
        "initiatives: [{id: INI-1, title: Pay by link, serves: {OBJ-1: 1.0}, match: {label: pay}, owner: ada, "
        f"start: {start.date()}, due: {(today + timedelta(weeks=8)).date()}}}]\n"
    )
    file = folder / "courseline.yaml"
    file.write_text(f"alerts: {{channels: {channels}}}\n")
    asyncio.run(stalled(file, start))
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return a_folder(tmp_path)


def ran(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(common.app, ["alerts", "preview", "-c", str(file), *arguments])


def counts(file: Path) -> Mapping[str, int]:
    """How many rows each table has."""

    async def run() -> dict[str, int]:
        async with open_app(load_settings(file, {})[0]) as app, app.database.read() as connection:
            return {
                name: (await connection.execute(select(func.count()).select_from(table))).scalar() or 0
                for name, table in tables.metadata.tables.items()
            }

    return asyncio.run(run())


def test_half_a_year_is_told_message_by_message(file: Path) -> None:
    """When, to whom, what and why, and how many in all; nothing is written and nothing sent."""
    before = counts(file)
    found = ran(file, "--last", "26w")
    assert found.exit_code == 0, found.output
    assert "to operators: ▲ Drift: INI-1 is amber" in found.stdout
    assert "to operators: ■ Drift is worse: INI-1 is red" in found.stdout
    assert "    To decide: ada.\nMessages of the last 182 days: 2 to operators.\n" in found.stdout
    assert counts(file) == before
    told = json.loads(ran(file, "--last", "182d", "--json").stdout)
    assert [(one["channels"], one["held_back"]) for one in told] == [(["operators"], None)] * 2
    assert [one["finding"]["severity"] for one in told] == ["amber", "red"]
    assert told[0]["at"] < told[1]["at"] and told[0]["at"].endswith("Z")


def test_a_quiet_time_is_told_as_such(file: Path) -> None:
    """Days in which nothing changed hands: no message, and the drift that goes on is none."""
    found = ran(file, "--last", "7d")
    assert (found.exit_code, found.stdout) == (0, "Messages of the last 7 days: none.\n")


def test_without_a_channel_nobody_would_be_told(tmp_path: Path) -> None:
    """The drift is shown all the same; the exit code says that something is amiss."""
    found = ran(a_folder(tmp_path, "[]"), "--last", "26w")
    assert found.exit_code == 1
    assert "to nobody: ▲ Drift" in found.output and "names no channel" in found.output


@pytest.mark.parametrize("last", ["90", "0d", "a week", "90h", ""])
def test_a_wrong_span_is_2(file: Path, last: str) -> None:
    """With what would be right."""
    found = ran(file, "--last", last)
    assert (found.exit_code, "such as 90d or 12w" in found.output) == (2, True)


def test_before_the_first_apply_is_1(tmp_path: Path) -> None:
    """There is nothing to judge by."""
    (tmp_path / "strategy.yaml").write_text("strategy: {title: Acme}")
    (tmp_path / "courseline.yaml").write_text("http: {port: 0}\n")
    found = ran(tmp_path / "courseline.yaml")
    assert (found.exit_code, "`courseline apply`" in found.output) == (1, True)
