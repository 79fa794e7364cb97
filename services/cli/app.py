"""The commands' common ground: options, exit codes, errors in one sentence."""

import asyncio
import errno
import gc
import io
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from connectors.base import Check
    from services.settings import Settings

OK, FAILED, USAGE, INVALID, UNAUTHORIZED, UNREACHABLE = range(6)
#: What a shell gives for a program that SIGINT or SIGPIPE ended.
INTERRUPTED, NOBODY_READS = 128 + 2, 128 + 13
#: Errors of this machine's files and ports: no server is away.
_LOCAL = frozenset(
    {
        errno.EACCES,
        errno.EADDRINUSE,
        errno.EADDRNOTAVAIL,
        errno.EBADF,
        errno.EFBIG,
        errno.EIO,
        errno.ENOSPC,
        errno.EROFS,
    }
)

app = typer.Typer(
    name="courseline",
    help="Keeps a strategy and its plan true to the work in Jira and GitHub.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
Config = Annotated[Path, typer.Option("-c", "--config", help="The configuration file.", envvar="COURSELINE_CONFIG")]
Json = Annotated[bool, typer.Option("--json", help="Data on stdout, as JSON.")]
CONFIG = Path("courseline.yaml")


@app.callback()
def common(
    log_level: Annotated[
        str, typer.Option(help="debug, info, warning or error.", envvar="COURSELINE_LOG_LEVEL")
    ] = "warning",
) -> None:
    """Keeps a strategy and its plan true to the work in Jira and GitHub."""
    level = logging.getLevelNamesMapping().get(log_level.upper())
    if level is None:
        raise typer.BadParameter("is none of debug, info, warning, error", param_hint="--log-level")
    _log(level)


def _log(level: int) -> None:
    import structlog

    render: Any = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(message)s")


def settings_of(config: Path) -> "Settings":
    """The settings in a file; its warnings go to stderr."""
    from services.settings import load_settings

    settings, warnings = load_settings(config)
    for warning in warnings:
        say(f"warning: {warning}")
    return settings


def say(text: str) -> None:
    """A line for people, on stderr."""
    typer.echo(text, err=True)


def given(value: str | None, option: str) -> str:
    """An option's text without the space around it. Raises BadParameter where there is none."""
    if value is None or not value.strip():
        raise typer.BadParameter("must not be empty", param_hint=option)
    return value.strip()


def reported(checks: Sequence["Check"], as_json: bool) -> int:
    """Print checks, each failure with its fix; the exit code they mean."""
    if as_json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(checks), indent=2).decode())
    for one in [] if as_json else checks:
        typer.echo(f"{'ok  ' if one.ok else 'FAIL'} {one.name}" + (f": {one.detail}" if one.detail else ""))
        if not one.ok and one.fix:
            typer.echo(f"     fix: {one.fix}")
    codes = {one.exit_code for one in checks if not one.ok}
    return next((code for code in (UNAUTHORIZED, UNREACHABLE, FAILED) if code in codes), OK)


def done(work: Coroutine[Any, Any, int]) -> None:
    """Run a command to its end and exit with its code."""
    collect_seldom()
    try:
        code = guarded(lambda: _flushed(asyncio.run(work)))
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        work.close()
    raise typer.Exit(code)


def _flushed(code: int) -> int:
    """The code, once what was printed is out: an error of the last lines is met here, not at the interpreter's end."""
    sys.stdout.flush()
    return code


def collect_seldom() -> None:
    """Look for garbage less often than a batch makes small objects: they go by themselves, and cycles are rare."""
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)


def guarded(work: Callable[[], int]) -> int:
    """The exit code of some work; what went wrong is said in one sentence, without a traceback."""
    from connectors.base import AuthenticationFailed, ConnectorError, Retriable
    from schemas.problems import InvalidFile
    from services.bootstrap import NotMigrated
    from services.storage.database import is_damaged, is_outage
    from services.storage.migrate import UnknownTables

    try:
        return work()
    except InvalidFile as error:
        for line in error.lines():
            say(line)
        return INVALID
    except (NotMigrated, UnknownTables) as error:
        say(str(error))
        return FAILED
    except AuthenticationFailed as error:
        say(str(error))
        return UNAUTHORIZED
    except Retriable as error:
        say(str(error))
        return UNREACHABLE
    except ConnectorError as error:
        say(str(error))
        return FAILED
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except KeyboardInterrupt:
        say("interrupted; nothing is lost: the next run goes on from here")
        return INTERRUPTED
    except BrokenPipeError:
        with open(os.devnull, "w") as nowhere:  # or the interpreter complains when it flushes
            os.dup2(nowhere.fileno(), 1)
        return NOBODY_READS
    except BaseExceptionGroup as group:
        first = group.exceptions[0]
        return guarded(lambda: _raise(first))
    except Exception as error:
        if os.environ.get("COURSELINE_LOG_LEVEL", "").lower() == "debug":
            raise
        if isinstance(error, OSError) and error.errno in _LOCAL:
            say(f"courseline failed: {error.strerror or error}")
            return FAILED
        if is_outage(error):
            say(
                "the database is unreachable; check `database` and that its server runs, or that the file's folder is "
                "there and may be written to"
            )
            return UNREACHABLE
        if is_damaged(error):
            say(
                "the database's file is damaged, or is no database; it was left as it is. Put a copy in its place "
                "(upgrades leave some beside it), or move it away, then `courseline sync` and `courseline apply`"
            )
            return UNREACHABLE
        say(f"courseline failed: {type(error).__name__}: {error}\nCOURSELINE_LOG_LEVEL=debug shows more")
        return FAILED


def _raise(error: BaseException) -> int:
    raise error


def _open_standard_streams() -> None:
    """What is printed is UTF-8 whatever the locale; a stream that was closed from outside swallows it."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def run() -> None:
    """Gather the commands and run the one that is asked for."""
    _open_standard_streams()
    from services.cli import alerts, begin, data, decisions, hooks, live, maintenance, strategy

    for group in (begin, live, strategy, decisions, data, alerts, hooks, maintenance):
        assert group
    app()
