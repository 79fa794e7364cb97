"""Commands that give data out: export."""

import sys
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated

import typer

from services.cli.app import CONFIG, OK, Config, app, done, settings_of

_WHAT = ("items", "milestones", "alignments", "ledger", "progress", "findings")

_FIRST_YEAR = 1970


@app.command()
def export(
    what: Annotated[str, typer.Argument(help=", ".join(_WHAT))],
    config: Config = CONFIG,
    form: Annotated[str, typer.Option("--format", help="jsonl or csv.")] = "jsonl",
    as_of: Annotated[str | None, typer.Option(help="A day; its end counts.")] = None,
) -> None:
    """Everything, one line each, on stdout."""
    if what not in _WHAT:
        raise typer.BadParameter(f"is none of {', '.join(_WHAT)}", param_hint="WHAT")
    if form not in ("jsonl", "csv"):
        raise typer.BadParameter("is neither jsonl nor csv", param_hint="--format")
    try:
        day = date.fromisoformat(as_of) if as_of is not None else None
    except ValueError:
        raise typer.BadParameter("is no date such as 2026-11-23", param_hint="--as-of") from None
    if day is not None and day.year < _FIRST_YEAR:
        raise typer.BadParameter("is before there were trackers", param_hint="--as-of")
    done(_export(config, what, form, day))


async def _export(config: Path, what: str, form: str, day: date | None) -> int:
    from services.bootstrap import open_app
    from services.feed.exports import COLUMNS, EXPORTS, Then, as_csv, jsonl
    from services.ledger.strategies import current_strategy
    from services.steer.history import PastFigures

    async with open_app(settings_of(config)) as running, running.database.read() as connection:
        moment = None
        if day is not None:
            strategy = await current_strategy(connection)
            zone, now = strategy.zone if strategy else UTC, running.database.now()
            if day > now.astimezone(zone).date():
                raise typer.BadParameter("is a day to come; nothing is known of it", param_hint="--as-of")
            moment = min(datetime.combine(day, time.max, zone).astimezone(UTC), now)
        rows = EXPORTS[what](connection, Then(moment, PastFigures()))
        async for line in jsonl(rows) if form == "jsonl" else as_csv(rows, COLUMNS[what]):
            sys.stdout.write(line)
    return OK
