"""Exit codes that scripts can rely on, and messages that people can."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli import app as common
from services.cli import data, live, maintenance, strategy
from services.simulator.faults import Fault
from tests.spine.conftest import Organisation, organisation

assert data and live and maintenance and strategy
__all__ = ["organisation"]


def courseline(*arguments: str) -> Result:
    return CliRunner().invoke(common.app, list(arguments))


def test_a_wrong_configuration_is_3(tmp_path: Path) -> None:
    """Every reading command refuses it the same way, without a traceback."""
    file = tmp_path / "courseline.yaml"
    file.write_text("sorces: []")
    for command in ("sync", "status", "check", "plan"):
        found = courseline(command, "-c", str(file))
        assert (found.exit_code, "Traceback" in found.output) == (3, False)
        assert "courseline.yaml: sorces: unknown key; did you mean `sources`?" in found.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("initiatives: [{id: INI-1, serves: {OBJ-9: 1.0}}]", "OBJ-9"),
        ("objectives: [{id: A, share: 0.7}, {id: B, share: 0.7}]", "share"),
        ("objectives: [{id: A, parent: B}, {id: B, parent: A}]", "parent"),
        ("objectives: [{id: A}]\ninitiatives: [{id: I, serves: {A: 1.0}, start: 2026-01-01, due: 2027-06-01}]", "due"),
        ("objectives: [{id: A, match: {not: {label: x}}}]", "not"),
    ],
)
def test_a_wrong_strategy_is_3(organisation: Organisation, text: str, said: str) -> None:
    """A missing objective, shares over one, a circle, an initiative over a year, a match of `not` alone."""
    config = organisation.configured()
    (config.parent / "strategy.yaml").write_text(text)
    found = courseline("apply", "-c", str(config))
    assert (found.exit_code, "Traceback" in found.output) == (3, False)
    assert "strategy.yaml: " in found.output
    assert said in found.output


def test_a_refused_token_is_4_and_the_rest_goes_on(organisation: Organisation) -> None:
    """One source is refused; the other is read, and nothing names the token."""
    config = organisation.configured()
    (config.parent / "secrets" / "jira").write_text("canary-wrong")
    found = courseline("sync", "-c", str(config))
    assert (found.exit_code, "canary" in found.output) == (4, False)
    assert "acme-jira: 0 items seen" in found.output
    assert "acme-github: 0 items seen" not in found.output


def test_a_tracker_that_is_down_is_5_and_the_next_run_carries_on(organisation: Organisation) -> None:
    """Rubbish, then health: exit code 5, nothing lost, then everything."""
    config = organisation.configured()
    fault = Fault(when="/search/jql", kind="truncated", size=40, times=None)
    organisation.faults.add(fault)
    first = courseline("sync", "-c", str(config), "--source", "acme-jira")
    organisation.faults.clear()
    second = courseline("sync", "-c", str(config))
    assert (first.exit_code, second.exit_code) == (5, 0)
    assert "Nothing is lost" in first.output


def test_a_database_that_is_away_is_5(organisation: Organisation) -> None:
    """A PostgreSQL server that does not answer is named, with what to check."""
    config = organisation.configured(database="postgresql://courseline@127.0.0.1:9/none")
    found = courseline("status", "-c", str(config))
    assert found.exit_code == 5
    assert "database" in found.output


def test_a_container_that_cannot_be_read_is_a_gap_and_no_failure(organisation: Organisation) -> None:
    """`sync` exits 0 and says what is missing and how to mend it."""
    config = organisation.configured()
    config.write_text(config.read_text().replace("[acme/web, acme/pay]", "[acme/web, acme/secret]"))
    found = courseline("sync", "-c", str(config))
    assert found.exit_code == 0
    assert "gap: acme/secret (not_found)" in found.output


def test_commands_tell_the_same_story(organisation: Organisation) -> None:
    """sync, plan, apply, status, drift, explain, unaligned, export and check, one after the other."""
    config = str(organisation.configured())
    assert courseline("status", "-c", config).exit_code == 0
    assert courseline("sync", "-c", config).exit_code == 0
    assert "INI-2" in courseline("plan", "-c", config).output
    assert courseline("apply", "-c", config).exit_code == 0
    tree = json.loads(courseline("status", "-c", config, "--json").stdout)
    assert tree["strategy"]["nodes"]
    assert courseline("drift", "-c", config).exit_code == 0
    red = any(one["severity"] == "red" for one in json.loads(courseline("drift", "-c", config, "--json").stdout))
    assert courseline("drift", "-c", config, "--fail-on", "red").exit_code == int(red)
    items = [json.loads(line) for line in courseline("export", "items", "-c", config).stdout.splitlines()]
    aligned = next(row for row in items if row["alignment"])
    assert aligned["alignment"][0]["rule"] in courseline("explain", aligned["key"], "-c", config).output
    assert courseline("explain", "INI-2", "-c", config).exit_code == 0
    assert courseline("explain", "NOPE-1", "-c", config).exit_code == 1
    assert courseline("unaligned", "-c", config).exit_code == 0
    assert courseline("export", "ledger", "-c", config, "--format", "csv").stdout.startswith("day,node,item,type")
    assert courseline("config", "show", "-c", config).exit_code == 0
    assert courseline("db", "check", "-c", config).exit_code == 0
    assert courseline("redrive", "-c", config).output.endswith("0 dead letters.\n")


def test_usage_is_2(tmp_path: Path) -> None:
    """What is asked for wrongly is no failure of ours."""
    assert courseline("export", "everything").exit_code == 2
    assert courseline("run", "everything").exit_code == 2
    assert courseline("apply", "--approve").exit_code == 2


def _no_database(file: Path) -> None:
    file.write_bytes(b"no database at all " * 1000)


def _half_overwritten(file: Path) -> None:
    found = bytearray(file.read_bytes())
    found[4096:] = b"Z" * (len(found) - 4096)
    file.write_bytes(found)


@pytest.mark.parametrize("damage", [_no_database, _half_overwritten])
def test_a_damaged_database_file_is_5_and_is_left_as_it_is(
    sqlite_url: str, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """Every command says what to do, and none makes it worse."""
    (tmp_path / "strategy.yaml").write_text("objectives: [{id: OBJ-1, title: One}]")
    config = tmp_path / "courseline.yaml"
    config.write_text(f"database: {sqlite_url}\n")
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    damage(file)
    before = file.read_bytes()
    for command in (["status"], ["sync"], ["apply"], ["check"], ["export", "items"]):
        found = courseline(*command, "-c", str(config))
        assert (found.exit_code, "Traceback" in found.output) == (5, False), (command, found.output)
        assert "the database's file is damaged" in found.output
    assert file.read_bytes() == before


def test_a_misspelt_board_is_3_and_one_that_is_refused_is_a_gap(organisation: Organisation) -> None:
    """The path of the key is named; without the scope for boards `sync` goes on, and `check` says how to mend it."""
    config = organisation.configured()
    text = config.read_text()
    config.write_text(text.replace("[acme/web, acme/pay]", "[acme/web, acme/pay], project_boards: [acme-7]"))
    found = courseline("sync", "-c", str(config))
    assert (found.exit_code, "Traceback" in found.output) == (3, False)
    assert "courseline.yaml: sources[1].project_boards[0]: must be the owner and the number" in found.output
    config.write_text(text.replace("[acme/web, acme/pay]", "[acme/web, acme/pay], project_boards: [acme/7]"))
    body = b'{"errors": [{"type": "INSUFFICIENT_SCOPES", "message": "requires one of: [read:project]"}]}'
    organisation.faults.add(Fault(when="/graphql", kind="answer", times=None, body=body))
    found = courseline("sync", "-c", str(config))
    assert (found.exit_code, "gap: board acme/7 (forbidden)" in found.output) == (0, True)
    found = courseline("check", "-c", str(config))
    assert (found.exit_code, "read:project" in found.output) == (1, True)
