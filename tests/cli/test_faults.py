"""Every command meets every fault that may befall it: one sentence on stderr, its code, no traceback, no secret."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli import alerts, data, decisions, hooks, live, maintenance, strategy
from services.cli import app as common

assert alerts and data and decisions and hooks and live and maintenance and strategy

WHY = ("--by", "ada", "--why", "because")
#: Each with all that it needs but a configuration.
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("check",),
    ("sync",),
    ("sync", "--full"),
    ("plan",),
    ("apply",),
    ("status",),
    ("drift",),
    ("explain", "OBJ-1"),
    ("unaligned",),
    ("decide", "f-1", "keep", *WHY),
    ("snooze", "f-1", "--until", "2099-01-01", *WHY),
    ("ack", "f-1", "--by", "ada"),
    ("review", "OBJ-1", "keep", *WHY),
    ("alerts", "test"),
    ("alerts", "preview"),
    *(("export", what) for what in ("items", "milestones", "alignments", "ledger", "progress", "findings")),
    ("replay",),
    ("redrive",),
    ("redrive", "--all"),
    ("hooks", "check"),
    ("hooks", "install"),
    ("db", "upgrade"),
    ("db", "check"),
    ("db", "backup"),
    ("config", "show"),
    ("up", "--http", "127.0.0.1:0"),
    ("run", "align", "--http", "127.0.0.1:0"),
)
CANARY = "canary-5f1c"


def ran(config: Path, *arguments: str) -> Result:
    found = CliRunner().invoke(common.app, [*arguments, "-c", str(config)])
    assert "Traceback" not in found.output
    assert CANARY not in found.output
    assert found.exception is None or isinstance(found.exception, SystemExit)
    return found


def said(found: Result) -> str:
    """What was printed, without the frames and folds of usage errors."""
    return " ".join(found.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "there is no such file; `courseline init` writes one"),
        ("a folder", "cannot be read: is a directory"),
        (b"", "is empty"),
        (b"database: \xff", "cannot be read: byte 10 is no text in UTF-8"),
        (b"sources: [", "not valid YAML"),
        (b"- a list", "mapping"),
        (b"stream: embedded\nstream: kafka", "stream"),
        (b"databse: sqlite:///x.db", "did you mean `database`?"),
        (b"http: {port: canary-5f1c}", "http.port"),
        (b"sources: [{name: j, kind: jira, url: 'https://ada:canary-5f1c@jira.example', token: x}]", "sources[0].url"),
        (b"sources: [{name: j, kind: jira, url: 'https://jira.example', token_file: gone}]", "sources[0].token_file"),
        (b"strategy: gone.yaml", "strategy: there is no such file"),
        (b"database: mysql://canary-5f1c@db/x", "database: "),
        (b"database: postgresql://u:canary-5f1c@h:port/d", "database: "),
    ],
)
def test_every_command_refuses_a_wrong_configuration_with_3(
    tmp_path: Path, content: bytes | str | None, problem: str
) -> None:
    """The sentence begins with the file's name and the key's path."""
    config = tmp_path / "courseline.yaml"
    (tmp_path / "strategy.yaml").write_text("objectives: [{id: OBJ-1}]")
    if isinstance(content, bytes):
        config.write_bytes(content)
    elif content is not None:
        config.mkdir()
    for command in COMMANDS:
        found = ran(config, *command)
        assert (found.exit_code, found.stdout) == (3, ""), command
        assert found.stderr.startswith("courseline.yaml: "), command
        assert problem in found.stderr, command


def _another_programs(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE bookmarks (a)")


def _from_the_future(file: Path) -> None:
    assert ran(file.with_name("courseline.yaml"), "db", "upgrade").exit_code == 0
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()


#: These do without the tables: they look at the file, or at none.
_NO_TABLES = {("db", "check"), ("db", "backup"), ("config", "show"), ("alerts", "test")}


@pytest.mark.parametrize(
    ("spoil", "code", "problem"),
    [
        (_another_programs, 1, "tables that are not Courseline's"),
        (_from_the_future, 1, "this version does not know"),
        (lambda file: file.write_bytes(b"no database" * 500), 5, "is damaged, or is no database"),
        (lambda file: file.mkdir(), 5, "the database is unreachable"),
    ],
)
def test_every_command_leaves_a_database_that_is_not_its_own_as_it_is(
    tmp_path: Path, spoil: Callable[[Path], object], code: int, problem: str
) -> None:
    """Neither emptied nor upgraded; the sentence says what to do."""
    (tmp_path / "strategy.yaml").write_text("objectives: [{id: OBJ-1}]")
    config, file = tmp_path / "courseline.yaml", tmp_path / "courseline.db"
    config.write_text("alerts: {channels: [{name: operators, kind: log}]}")
    spoil(file)
    before = file.read_bytes() if file.is_file() else None
    for command in COMMANDS:
        if command in _NO_TABLES:
            continue
        found = ran(config, *command)
        assert (found.exit_code, found.stdout) == (code, ""), command
        assert problem in found.stderr, command
    assert before == (file.read_bytes() if file.is_file() else None)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "strategy.yaml").write_text("objectives: [{id: OBJ-1}]")
    config = tmp_path / "courseline.yaml"
    config.write_text("alerts: {channels: [{name: operators, kind: log}]}")
    return config


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (("explain", "NOPE-1"), 1, "no strategy is applied yet"),
        (("redrive", "nowhere"), 2, "is none of work, progress, drift"),
        (("redrive", "--id", "99"), 1, "no dead letter's"),
        (("redrive", "--id", "x"), 2, "Invalid value"),
        (("redrive", "--id", str(2**64)), 2, "Invalid value"),
        (("apply", "--approve", "--by", " ", "--why", " "), 2, "must not be empty"),
        (("export", "items", "--as-of", ""), 2, "is no date"),
        (("export", "progress", "--as-of", "0001-01-01"), 2, "before there were trackers"),
        (("sync", "--source", "nobody"), 2, "nobody"),
        (("hooks", "check", "--source", "nobody"), 2, "nobody"),
        (("alerts", "test", "nobody"), 2, "nobody"),
        (("run",), 2, "Missing argument"),
        (("run", "everything"), 2, "everything"),
        (("up", "--http", "nowhere"), 2, "must be HOST:PORT"),
        (("up", "--http", "127.0.0.1:99999"), 2, "must be HOST:PORT"),
        (("up", "--http", "0.0.0.0:0"), 3, "http.tokens_file"),
        (("decide", "f-1", "keep", *WHY), 2, "f-1"),
        (("decide", "f-1", "maybe", *WHY), 2, "is none of keep, adjust, stop"),
        (("snooze", "f-1", "--until", "never", *WHY), 2, "--until"),
        (("apply", "--approve"), 2, "--by"),
        (("drift", "--fail-on", "purple"), 2, "neither amber nor red"),
        (("status", "extra"), 2, "extra"),
        (("nonsense",), 2, "nonsense"),
    ],
)
def test_what_cannot_be_meant_is_refused(config: Path, arguments: Sequence[str], code: int, problem: str) -> None:
    """Names that nobody has, values that cannot be, and words that are none."""
    found = ran(config, *arguments)
    assert found.exit_code == code, found.output
    assert problem in said(found)


@pytest.mark.parametrize(
    "command",
    [
        ("check",),
        ("plan",),
        ("status",),
        ("drift",),
        ("unaligned",),
        ("redrive",),
        ("db", "check"),
        ("config", "show"),
        ("hooks", "check"),
    ],
)
def test_before_anything_was_read_a_reading_command_gives_json_alone(config: Path, command: Sequence[str]) -> None:
    """Data on stdout, and nothing else."""
    found = ran(config, *command, "--json")
    assert json.loads(found.stdout) is not None
    assert (found.exit_code, found.stderr) == (1 if command == ("db", "check") else 0, "")
