"""Commands about the strategy: plan, apply, status, drift, explain, unaligned."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.app import CONFIG, FAILED, OK, Config, Json, app, done, given, say, settings_of

if TYPE_CHECKING:
    from services.bootstrap import PlanSummary
    from services.storage.database import Database

_MARKS = {"green": ("●", "green"), "amber": ("▲", "yellow"), "red": ("■", "red"), "unknown": ("○", "dim")}


@app.command()
def plan(config: Config = CONFIG, as_json: Json = False) -> None:
    """What the strategy file would do: items moved, progress before and after, findings opened and closed."""
    done(_plan(config, as_json))


async def _plan(config: Path, as_json: bool) -> int:
    from services.bootstrap import open_app

    async with open_app(settings_of(config)) as running:
        _print_plan(await running.plan(), as_json, "would become")
    return OK


@app.command()
def apply(
    config: Config = CONFIG,
    approve: Annotated[bool, typer.Option(help="Freeze a new baseline.")] = False,
    by: Annotated[str | None, typer.Option(help="Who approves.")] = None,
    why: Annotated[str | None, typer.Option(help="The reason, for the record.")] = None,
    restate: Annotated[bool, typer.Option(help="Let the new rules hold for all history.")] = False,
    as_json: Json = False,
) -> None:
    """Make the strategy file current. The first one, and every approved one, freezes a baseline."""
    by, why = (None if text is None else given(text, name) for text, name in ((by, "--by"), (why, "--why")))
    if approve and not (by and why):
        raise typer.BadParameter("needs --by WHO and --why TEXT", param_hint="--approve")
    done(_apply(config, approve, by, why, restate, as_json))


async def _apply(config: Path, approve: bool, by: str | None, why: str | None, restate: bool, as_json: bool) -> int:
    from services.bootstrap import open_app

    async with open_app(settings_of(config)) as running:
        found = await running.apply(approve=approve, by=by, why=why, restate=restate)
        _print_plan(found, as_json, "is now")
    return OK


def _print_plan(found: "PlanSummary", as_json: bool, verb: str) -> None:
    if as_json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    if not found.changed:
        typer.echo(f"No changes: this strategy is current as version {found.version}.")
        return
    first = ", the first: it freezes the baseline" if found.first else ""
    typer.echo(f"The strategy {verb} version {found.version}{first}.")
    for node in found.nodes:
        if node.change != "same":
            before, after = _percent(node.ratio_before), _percent(node.ratio_after)
            typer.echo(f"  {node.change:8} {node.id:12} {before:>7} → {after:>7}  {node.title}")
    typer.echo(f"{found.moved} items move; {found.findings_opened} findings open, {found.findings_closed} close.")
    for move in found.moves:
        typer.echo(f"  {move.item}: {', '.join(move.before) or 'none'} → {', '.join(move.after) or 'none'}")
    if found.moved > len(found.moves):
        typer.echo(f"  … and {found.moved - len(found.moves)} more")


def _percent(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.0%}"


@app.command()
def status(config: Config = CONFIG, as_json: Json = False) -> None:
    """The tree with progress, chance on time and health."""
    done(_status(config, as_json))


async def _status(config: Path, as_json: bool) -> int:
    from services.bootstrap import open_app

    async with open_app(settings_of(config)) as running:
        await print_tree(running.database, as_json=as_json)
    return OK


async def print_tree(database: "Database", *, as_json: bool = False) -> None:
    """Print the strategy's tree with its figures, and the sources' state."""
    from services.feed.reading import sources, strategy_tree

    async with database.read() as connection:
        tree = await strategy_tree(connection)
        read = await sources(connection)
    if as_json:
        typer.echo(json.dumps({"strategy": tree, "sources": read}, ensure_ascii=False, indent=2))
        return
    if tree is None:
        typer.echo("No strategy is applied yet: `courseline apply` makes strategy.yaml current.")
    else:
        _draw(tree)
    for source in read:
        waits = f", asked to wait until {source['waits_until']}" if source["waits_until"] else ""
        typer.echo(f"{source['name']}: {source['state']}, last complete {source['last_complete_at'] or 'never'}{waits}")
        for gap in source["gaps"]:
            typer.echo(f"  gap: {gap['container']} ({gap['reason']})")


def _draw(tree: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    console.print(Text(tree["vision"] or tree["title"], style="bold"))
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name, how in (("", {}), ("progress", {}), ("done", {"justify": "right"}), ("on time", {"justify": "right"}),
                      ("due", {}), ("P85", {}), ("health", {})):  # fmt: skip
        table.add_column(name, no_wrap=True, overflow="ellipsis", **how)  # type: ignore[arg-type]

    def add(node: dict[str, Any], depth: int) -> None:
        progress, forecast = node["progress"], node["forecast"]
        ratio, chance = progress["ratio"], forecast["chance_on_time"]
        mark, style = _MARKS[node["health"]]
        table.add_row(
            Text("  " * depth + f"{node['id']}  {node['title']}"),
            Text("█" * round((ratio or 0) * 16) + "░" * (16 - round((ratio or 0) * 16)), style=style),
            _percent(ratio),
            _percent(chance),
            forecast["due"] or "–",
            forecast["p85"] or "–",
            Text(f"{mark} {node['health']}", style=style),
        )
        for child in node["children"]:
            add(child, depth + 1)

    for node in tree["nodes"]:
        add(node, 0)
    console.print(table)
    totals = tree["totals"]
    typer.echo(f"{totals['run']:g} items are run, {totals['unaligned']:g} serve nothing (`courseline unaligned`).")
    for finding in tree["findings"]:
        typer.echo(f"{_MARKS[finding['severity']][0]} {finding['sentence']} {finding['why']}")


@app.command()
def drift(
    config: Config = CONFIG,
    fail_on: Annotated[str | None, typer.Option(help="Exit 1 while a finding is that severe: amber or red.")] = None,
    as_json: Json = False,
) -> None:
    """Open findings."""
    if fail_on not in (None, "amber", "red"):
        raise typer.BadParameter("is neither amber nor red", param_hint="--fail-on")
    done(_drift(config, fail_on, as_json))


async def _drift(config: Path, fail_on: str | None, as_json: bool) -> int:
    from services.bootstrap import open_app
    from services.feed.reading import findings

    async with open_app(settings_of(config)) as running, running.database.read() as connection:
        found = [one for one in await findings(connection) if one["state"] == "open"]
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    elif not found:
        typer.echo("No drift: every node is on course.")
    for one in [] if as_json else found:
        typer.echo(f"{_MARKS[one['severity']][0]} {one['id']} {one['node']}: {one['sentence']} {one['why']}")
        for line in _answers(one):
            typer.echo(f"    {line}")
    if not as_json and any(not list(_answers(one)) for one in found):
        typer.echo("Answer with `courseline decide FINDING keep|adjust|stop --by WHO --why TEXT`, `ack` or `snooze`.")
    failing = {"amber": {"amber", "red"}, "red": {"red"}}.get(fail_on or "", set())
    return FAILED if any(one["severity"] in failing for one in found) else OK


def _answers(finding: dict[str, Any]) -> Iterator[str]:
    """What people said of a finding."""
    decided, known, snoozed = finding["decision"], finding["acknowledged"], finding["snoozed"]
    if decided:
        yield f"decided by {decided['by']} on {decided['at'][:10]}: {decided['decision']}, {decided['why']}"
    elif known:
        yield f"acknowledged by {known['by']} on {known['at'][:10]}"
    if snoozed:
        yield f"snoozed to the end of {snoozed['until']}: {snoozed['why']}"


@app.command()
def explain(ref: Annotated[str, typer.Argument(help="A node, or an item by key or uid.")], config: Config = CONFIG,
            as_json: Json = False) -> None:  # fmt: skip
    """Why an item maps where it does, or where a node's number comes from."""
    done(_explain(config, ref, as_json))


async def _explain(config: Path, ref: str, as_json: bool) -> int:
    from services.bootstrap import open_app
    from services.feed.reading import explanation
    from services.ledger.strategies import current_strategy

    async with open_app(settings_of(config)) as running, running.database.read() as connection:
        found = await explanation(connection, ref)
        applied = await current_strategy(connection) is not None
    if found is None:
        say(f"{ref[:100]!r} is no node of the strategy and no item that was read")
        if not applied:
            say("no strategy is applied yet; `courseline apply` makes the strategy file current")
        return FAILED
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        for line in found["lines"]:
            typer.echo(line)
    return OK


@app.command()
def unaligned(config: Config = CONFIG, as_json: Json = False) -> None:
    """Work in scope that serves no node and is not run."""
    done(_unaligned(config, as_json))


async def _unaligned(config: Path, as_json: bool) -> int:
    from services.bootstrap import open_app
    from services.feed.reading import unaligned_items

    async with open_app(settings_of(config)) as running, running.database.read() as connection:
        found = await unaligned_items(connection)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return OK
    for one in found:
        typer.echo(f"{one['key']:16} {one['type'] or '':10} {one['title']}")
    typer.echo(f"{len(found)} items serve nothing.")
    return OK
