"""The program among others in a shell: closed pipes, odd locales, a busy port, an interrupt, a busy database."""

import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from schemas.problems import InvalidFile
from services.bootstrap import open_app
from services.settings import load_settings

_PROGRAM = [sys.executable, "-c", "from services.cli import main; main()"]
_PATIENCE = 60.0
#: Without what the test command sets for itself, which the program would warn of.
_OURS = {name: value for name, value in os.environ.items() if not name.startswith("COURSELINE_")}


@pytest.fixture
def config(sqlite_url: str, tmp_path: Path) -> Path:
    """A configuration without trackers, over a migrated database."""
    (tmp_path / "strategy.yaml").write_text("objectives: [{id: OBJ-1, title: Über alles}]", encoding="utf-8")
    file = tmp_path / "courseline.yaml"
    file.write_text(f"database: {sqlite_url}\n")
    return file


def shell(line: str, config: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """What a shell gives for a line, in which $COURSELINE is the program."""
    program = " ".join(f"'{word}'" for word in _PROGRAM)
    return subprocess.run(
        ["bash", "-c", line.replace("$COURSELINE", program)],
        env={**_OURS, "COURSELINE_CONFIG": str(config), **environment},
        capture_output=True,
        timeout=_PATIENCE,
        check=False,
    )


def test_a_reader_that_closes_the_pipe_ends_a_command_in_silence(config: Path) -> None:
    """`| head` is no unreachable database: no message, and the code of a program that SIGPIPE ended."""
    ended = shell("($COURSELINE config schema; echo $? >&2) | true", config)
    assert ended.stderr in (b"141\n", b"1\n", b"0\n")  # our own code, or that of the command line library
    shut = shell("exec 3> >(true); wait $!; $COURSELINE status --json >&3; exit $?", config)
    assert (shut.returncode, shut.stderr) == (141, b"")


def test_what_is_printed_is_utf_8_in_any_locale(config: Path) -> None:
    """A tree with its marks comes out of a cron job without a locale."""
    told = shell("$COURSELINE apply", config, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert told.returncode == 0, told.stderr
    assert "Über alles" in told.stdout.decode()


@pytest.mark.parametrize("line", ["$COURSELINE export items >&-", "$COURSELINE status >&-", "$COURSELINE status 2>&-"])
def test_closed_standard_streams_break_nothing(config: Path, line: str) -> None:
    """A service manager may close them."""
    ended = shell(line, config)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_full_disk_is_no_unreachable_database(config: Path) -> None:
    """The reason is said."""
    ended = shell("$COURSELINE status > /dev/full", config)
    assert ended.returncode == 1
    assert b"No space left" in ended.stderr


def test_a_port_in_use_is_said(config: Path) -> None:
    """Exit code 1, and the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = shell(f"$COURSELINE up --http 127.0.0.1:{taken.getsockname()[1]}", config)
    assert ended.returncode == 1
    assert b"in use" in ended.stderr
    assert b"127.0.0.1" in ended.stderr


def test_an_interrupted_command_is_no_success(config: Path) -> None:
    """Ctrl-C ends it with 130, in one sentence."""
    code = (
        "import services.cli.strategy as strategy\n"
        "from services.cli.app import run\n"
        "def stop(*_): raise KeyboardInterrupt\n"
        "strategy.settings_of = stop\n"
        "run()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, "status", "-c", str(config)],
        capture_output=True,
        timeout=_PATIENCE,
        check=False,
    )
    assert ended.returncode == 130
    assert ended.stderr.decode().splitlines() == ["interrupted; nothing is lost: the next run goes on from here"]


def test_reading_commands_do_not_wait_for_a_writer(config: Path, sqlite_url: str) -> None:
    """While a long write holds the database, status answers."""
    assert shell("$COURSELINE status", config).returncode == 0
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        ended = shell("timeout 20 $COURSELINE status", config)
    assert ended.returncode == 0


async def test_a_strategy_that_is_no_text_is_invalid(config: Path) -> None:
    """It is refused as any other invalid file, with its name."""
    (config.parent / "strategy.yaml").write_bytes(b"\xff\xfe")
    async with open_app(load_settings(config, {})[0]) as running:
        with pytest.raises(InvalidFile, match=r"^strategy\.yaml: cannot be read: byte 0 is no text in UTF-8"):
            running.strategy()
