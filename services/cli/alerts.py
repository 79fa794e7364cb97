"""Commands about alerts: test."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.app import (
    CONFIG,
    FAILED,
    OK,
    UNAUTHORIZED,
    UNREACHABLE,
    Config,
    Json,
    app,
    done,
    say,
    settings_of,
)

alerts = typer.Typer(help="Who is told of drift: try the channels.", no_args_is_help=True)
app.add_typer(alerts, name="alerts")


@alerts.callback()
def group() -> None:
    """Who is told of drift: try the channels."""


@alerts.command("test")
def alerts_test(
    channel: Annotated[str | None, typer.Argument(help="Only this channel.")] = None,
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Send a message that is marked as a test to every channel, and say what was answered."""
    done(_test(config, channel, as_json))


async def _test(config: Path, channel: str | None, as_json: bool) -> int:
    from services.bootstrap import channel_for

    settings = settings_of(config)
    configured = settings.alerts.channels
    if channel is not None and channel not in {one.name for one in configured}:
        known = ", ".join(one.name for one in configured) or "none"
        problem = f"there is no channel {channel!r} in {config.name}; known: {known}"
        raise typer.BadParameter(problem, param_hint="CHANNEL")
    if not configured:
        say(f"{settings.file}: alerts.channels names no channel: nobody would be told of drift")
        return FAILED
    tried = [await _tried(channel_for(one, settings)) for one in configured if channel in (None, one.name)]
    if as_json:
        typer.echo(json.dumps(tried, ensure_ascii=False, indent=2))
    for one in [] if as_json else tried:
        typer.echo(f"{'ok  ' if one['exit_code'] == OK else 'FAIL'} {one['channel']}: {one['answer']}")
    codes = {one["exit_code"] for one in tried}
    return next((code for code in (UNAUTHORIZED, UNREACHABLE, FAILED) if code in codes), OK)


async def _tried(channel: Any) -> dict[str, Any]:
    """What came of one test: the channel, the answer, and the exit code that it means."""
    from schemas import wire
    from services.alert.channels import Message, Undelivered
    from services.alert.render import a_test

    at = datetime.now(UTC)
    happened = a_test(channel.name, at)
    event = wire.an_event(happened, at=at)
    code = OK
    try:
        answer = await channel.send(Message(event.id, happened, wire.encode(event)))
    except Undelivered as error:
        answer = str(error)
        code = UNREACHABLE if error.status is None else UNAUTHORIZED if error.status in (401, 403) else FAILED
    return {"channel": channel.name, "answer": answer, "exit_code": code}
