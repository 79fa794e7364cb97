"""Commands about alerts: test, preview."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from services.alert.preview import Previewed

alerts = typer.Typer(
    help="Who is told of drift: try the channels, or see what they would have heard.", no_args_is_help=True
)
app.add_typer(alerts, name="alerts")


@alerts.callback()
def group() -> None:
    """Who is told of drift: try the channels, or see what they would have heard."""


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
        if as_json:
            typer.echo("[]")
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


@alerts.command("preview")
def alerts_preview(
    last: Annotated[str, typer.Option(help="How far back: days or weeks, such as 90d or 12w.")] = "90d",
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Judge the past anew, week by week, and tell which messages the channels would have been sent."""
    from pydantic import TypeAdapter, ValidationError

    from schemas.strategy_file import Days

    try:
        span = TypeAdapter(Days).validate_python(last)
    except ValidationError:
        raise typer.BadParameter("must be days or weeks, such as 90d or 12w", param_hint="--last") from None
    done(_preview(config, span, as_json))


async def _preview(config: Path, span: timedelta, as_json: bool) -> int:
    from services.alert.attention import everything_said
    from services.alert.preview import preview
    from services.bootstrap import open_app
    from services.ledger.strategies import current_strategy
    from services.steer.hindsight import hindsight

    settings = settings_of(config)
    channels = [one.name for one in settings.alerts.channels]
    async with open_app(settings) as running, running.database.read() as connection:
        strategy = await current_strategy(connection)
        if strategy is None:
            say("no strategy is applied yet; `courseline apply` makes strategy.yaml current")
            return FAILED
        until = running.database.now()
        since = until - span
        past = await hindsight(connection, since, until)
        answered = await everything_said(connection)
    found = preview(past.before, past.said, answered, strategy.file, channels, since=since, until=until)
    if as_json:
        typer.echo(json.dumps([_message_json(one) for one in found], ensure_ascii=False, indent=2))
    else:
        _print_messages(found, strategy.zone, span.days)
    if not channels:
        say(f"{settings.file}: alerts.channels names no channel: nobody would be told of drift")
        return FAILED
    return OK


def _message_json(one: "Previewed") -> dict[str, Any]:
    import msgspec

    from services.alert.render import lines, title

    return {
        "at": one.at.isoformat().replace("+00:00", "Z"),
        "channels": list(one.channels),
        "held_back": one.held,
        "title": title(one.happened),
        "text": lines(one.happened, None),
        "finding": msgspec.to_builtins(one.happened.finding),
    }


def _print_messages(found: Sequence["Previewed"], zone: tzinfo, days: int) -> None:
    from services.alert.render import lines, title

    sent: dict[str, int] = {}
    for one in found:
        for channel in one.channels if one.held is None else ():
            sent[channel] = sent.get(channel, 0) + 1
        to = ", ".join(one.channels) or "nobody"
        typer.echo(f"{one.at.astimezone(zone):%Y-%m-%d %H:%M}  to {to}: {title(one.happened)}")
        for line in lines(one.happened, None):
            typer.echo(f"    {line}")
        if one.held is not None:
            typer.echo(f"    not sent: {one.held}")
    held = sum(one.held is not None for one in found)
    by_channel = ", ".join(f"{count} to {channel}" for channel, count in sorted(sent.items())) or "none"
    typer.echo(f"Messages of the last {days} days: {by_channel}" + (f"; {held} held back" if held else "") + ".")
