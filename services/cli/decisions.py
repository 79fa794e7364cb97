"""Commands that answer drift: decide, snooze, ack, review."""

import json
import shlex
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from services.cli.app import CONFIG, FAILED, OK, Config, Json, app, done, given, say, settings_of

if TYPE_CHECKING:
    from schemas.events import Finding
    from schemas.strategy import StrategyFile
    from services.storage.unit_of_work import UnitOfWork

T = TypeVar("T")
_VERDICTS = ("keep", "adjust", "stop")
FindingId = Annotated[str, typer.Argument(metavar="FINDING", help="Its id, as `courseline drift` lists it.")]
By = Annotated[str, typer.Option(help="Who.", show_default=False)]
Why = Annotated[str, typer.Option(help="The reason, for the record.", show_default=False)]


def _verdict(value: str) -> Any:
    if value not in _VERDICTS:
        raise typer.BadParameter(f"is none of {', '.join(_VERDICTS)}", param_hint="DECISION")
    return value


async def _answer(
    config: Path, ref: str, answer: "Callable[[UnitOfWork, Finding], Awaitable[T]]"
) -> "tuple[Finding, T]":
    """Answer to an open finding in one transaction, with all that it causes."""
    from services.bootstrap import open_app

    async with open_app(settings_of(config)) as running:
        await running.settle()
        async with running.database.write() as uow:
            found = await _open_finding(uow, ref)
            answered = await answer(uow, found)
        await running.settle()
    return found, answered


async def _open_finding(uow: "UnitOfWork", ref: str) -> "Finding":
    import msgspec
    from sqlalchemy import select

    from schemas.events import Finding
    from services.storage import tables

    table = tables.findings.c
    row = (await uow.connection.execute(select(tables.findings).where(table.id == ref))).first()
    if row is not None and row.open:
        return msgspec.json.decode(row.content, type=Finding)
    if row is not None:
        say(f"{ref} is closed since {row.closed_at:%Y-%m-%d}: there is nothing to answer")
        raise typer.Exit(FAILED)
    rows = await uow.connection.execute(select(table.id, table.node).where(table.open).order_by(table.id))
    known = ", ".join(f"{one.id} ({one.node})" for one in rows) or "none"
    raise typer.BadParameter(f"there is no finding {ref[:100]!r}; open are: {known}", param_hint="FINDING")


@app.command()
def decide(
    finding: FindingId,
    decision: Annotated[str, typer.Argument(help="keep, adjust or stop")],
    by: By,
    why: Why,
    effect: Annotated[str | None, typer.Option(help="What is expected of it.")] = None,
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Record a decision about a finding: keep the plan, adjust it, or stop the work."""
    verdict, by, why = _verdict(decision), given(by, "--by"), given(why, "--why")
    effect = given(effect, "--effect") if effect is not None else None
    done(_decide(config, finding, verdict, by, why, effect, as_json))


async def _decide(config: Path, ref: str, verdict: Any, by: str, why: str, effect: str | None, as_json: bool) -> int:
    from services.steer.decisions import decide

    found, recorded = await _answer(
        config, ref, lambda uow, found: decide(uow, found, verdict, by=by, why=why, effect=effect)
    )
    if as_json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(recorded), indent=2).decode())
        return OK
    typer.echo(f"Recorded as {recorded.id}: {verdict} {found.node}, by {by}.")
    where = "" if config == CONFIG else f" -c {shlex.quote(str(config))}"
    applies = f"`courseline apply --approve --by {shlex.quote(by)} --why {shlex.quote(why)}{where}`"
    if verdict == "adjust":
        typer.echo(
            f"Nothing is rebaselined yet: change strategy.yaml, look at `courseline plan{where}`, then {applies}."
        )
    elif verdict == "stop":
        typer.echo(f"{found.node} is judged for as long as it stands in strategy.yaml: take it out, then {applies}.")
    else:
        typer.echo(f"The plan stays: {_TOLD_AGAIN[found.severity]}")
    return OK


_TOLD_AGAIN = {
    "amber": "the channels hear of it again when it turns red, and when it closes.",
    "red": "the channels hear of it again when it closes.",
}


@app.command()
def ack(finding: FindingId, by: By, config: Config = CONFIG, as_json: Json = False) -> None:
    """Acknowledge a finding: somebody knows, and the channels hear of it again only when it is worse, or closes."""
    done(_ack(config, finding, given(by, "--by"), as_json))


async def _ack(config: Path, ref: str, by: str, as_json: bool) -> int:
    from services.alert.attention import acknowledge

    found, _ = await _answer(config, ref, lambda uow, found: acknowledge(uow, found, by=by))
    if as_json:
        typer.echo(json.dumps({"finding": found.id, "severity": found.severity, "by": by}, ensure_ascii=False))
    else:
        typer.echo(f"{found.id} of {found.node} is acknowledged by {by}: {_TOLD_AGAIN[found.severity]}")
    return OK


@app.command()
def snooze(
    finding: FindingId,
    until: Annotated[str, typer.Option(help="Its last day, such as 2026-12-31.", show_default=False)],
    why: Why,
    by: Annotated[str | None, typer.Option(help="Who.")] = None,
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Mute a finding until a day has ended; if it is open then, the channels hear of it."""
    try:
        day = date.fromisoformat(until)
    except ValueError:
        raise typer.BadParameter("is no date such as 2026-12-31", param_hint="--until") from None
    done(_snooze(config, finding, day, given(why, "--why"), given(by, "--by") if by is not None else None, as_json))


async def _snooze(config: Path, ref: str, until: date, why: str, by: str | None, as_json: bool) -> int:
    from services.alert.attention import snooze

    async def answer(uow: "UnitOfWork", found: "Finding") -> None:
        if await snooze(uow, found, until, why=why, by=by) <= uow.now:
            raise typer.BadParameter(f"{until} is over already", param_hint="--until")

    found, _ = await _answer(config, ref, answer)
    if as_json:
        typer.echo(json.dumps({"finding": found.id, "until": str(until), "by": by, "why": why}, ensure_ascii=False))
    else:
        typer.echo(f"{found.id} of {found.node} is snoozed to the end of {until}: nobody is told, whatever it does.")
        typer.echo("If it is open then, the channels hear of it.")
    return OK


@app.command()
def review(
    node: Annotated[str, typer.Argument(help="A node, or `strategy` or `plan` as a whole.")],
    decision: Annotated[str, typer.Argument(help="keep, adjust or stop")],
    by: By,
    why: Why,
    attendee: Annotated[list[str] | None, typer.Option(help="Who was there; repeat for more.")] = None,
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Record an appraisal: people looked at a node, the strategy or the plan, and this came of it."""
    there = [given(one, "--attendee") for one in attendee or ()]
    done(_review(config, node, _verdict(decision), given(by, "--by"), given(why, "--why"), there, as_json))


async def _review(config: Path, node: str, verdict: Any, by: str, why: str, attendees: list[str], as_json: bool) -> int:
    from services.bootstrap import open_app
    from services.ledger.strategies import current_strategy
    from services.steer.decisions import appraise

    async with open_app(settings_of(config)) as running, running.database.write() as uow:
        strategy = await current_strategy(uow.connection)
        if strategy is None:
            say("no strategy is applied yet; `courseline apply` makes strategy.yaml current")
            return FAILED
        every = _cadence(strategy.file, node)
        key = await appraise(uow, node, verdict, by=by, why=why, attendees=attendees)
        today = uow.now.astimezone(strategy.zone).date()
    if as_json:
        recorded = {"id": key, "node": node, "decision": verdict, "by": by, "why": why, "attendees": attendees}
        typer.echo(json.dumps(recorded, ensure_ascii=False))
        return OK
    due = f" The next one is due by {today + every}." if every else ""
    typer.echo(f"Recorded as {key}: {node} was appraised, {verdict}, by {by}.{due}")
    return OK


def _cadence(file: "StrategyFile", node: str) -> timedelta | None:
    """How often what is appraised is to be: an initiative as the plan, an objective as the strategy."""
    from services.steer.decisions import PLAN, STRATEGY

    objectives, initiatives = {one.id for one in file.objectives}, {one.id for one in file.initiatives}
    if node in initiatives or (node == PLAN and node not in objectives):
        return file.plan.review_every
    if node in objectives or node == STRATEGY:
        return file.strategy.review_every
    known = ", ".join(sorted(objectives | initiatives)[:20])
    raise typer.BadParameter(f"there is no node {node[:100]!r}; known are {known}, strategy, plan", param_hint="NODE")
