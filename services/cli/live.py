"""Commands that read trackers or keep running: demo, up, run, sync."""

import asyncio
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.app import CONFIG, FAILED, OK, UNAUTHORIZED, UNREACHABLE, Config, app, done, say, settings_of
from services.cli.progress import ProgressShown

if TYPE_CHECKING:
    from services.bootstrap import App, SyncSummary, Time

HttpOption = Annotated[str | None, typer.Option("--http", help="HOST:PORT to serve on; port 0 takes a free one.")]


@app.command()
def sync(
    config: Config = CONFIG,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    full: Annotated[bool, typer.Option(help="Read everything again.")] = False,
) -> None:
    """One complete sync, and everything downstream of it."""
    done(_sync(config, source, full))


async def _sync(config: Path, source: str | None, full: bool) -> int:
    from services.bootstrap import open_app

    settings = settings_of(config)
    if source is not None and source not in {one.name for one in settings.sources}:
        raise typer.BadParameter(f"there is no source {source!r} in {config.name}", param_hint="--source")
    async with open_app(settings) as running:
        with ProgressShown() as shown:
            summary = await running.sync(source, full=full, on_progress=shown)
    return said(summary)


def said(summary: "SyncSummary") -> int:
    """Print what a sync came to; the exit code it means."""
    from connectors.base import AuthenticationFailed

    code = OK
    for one in summary.sources:
        typer.echo(
            f"{one.name}: {one.seen} items seen, {one.changed} changed, {one.deleted} deleted, "
            f"{one.quarantined} quarantined, {one.requests} requests, {len(one.gaps)} gaps"
        )
        for gap in one.gaps:
            typer.echo(f"gap: {gap.container} ({gap.reason})")
            if gap.fix:
                typer.echo(f"  fix: {gap.fix}")
        if one.error is not None:
            say(str(one.error))
            say("Nothing is lost: the next sync goes on from here.")
            refused = isinstance(one.error, AuthenticationFailed)
            code = UNAUTHORIZED if refused or code == UNAUTHORIZED else UNREACHABLE
    return code


@app.command()
def up(config: Config = CONFIG, http: HttpOption = None) -> None:
    """Every stage in one process: reads the trackers, judges, and serves the page."""
    done(_serve(config, None, http))


@app.command(name="run")
def run_stages(
    stages: Annotated[list[str], typer.Argument(help="ingest, align, steer, alert, feed, relay")],
    config: Config = CONFIG,
    http: HttpOption = None,
) -> None:
    """Chosen stages, for production."""
    from services.bootstrap import STAGES

    unknown = sorted(set(stages) - STAGES)
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: known are {', '.join(sorted(STAGES))}")
    done(_serve(config, frozenset(stages), http))


def _address(http: str | None, host: str, port: int) -> tuple[str, int]:
    if http is None:
        return host, port
    name, _, number = http.rpartition(":")
    if not number.isdigit() or int(number) > 65535:
        raise typer.BadParameter("must be HOST:PORT", param_hint="--http")
    return name or host, int(number)


async def _serve(config: Path, stages: frozenset[str] | None, http: str | None) -> int:
    from services.bootstrap import STAGES, open_app
    from services.web import tokens_of

    settings = settings_of(config)
    host, port = _address(http, settings.http.host, settings.http.port)
    tokens_of(settings, host)
    async with open_app(settings) as running:
        await serving(running, stages or STAGES, host, port, lambda url: typer.echo(f"Courseline is at {url}"))
    return OK


async def serving(
    running: "App", stages: frozenset[str], host: str, port: int, on_started: Callable[[str], None]
) -> None:
    """Run stages and the HTTP side until SIGINT or SIGTERM."""
    from services.web import serve_http

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    async with serve_http(running, stages, host, port) as url:
        on_started(url)
        working = asyncio.create_task(running.run(stages))
        stopping = asyncio.create_task(stop.wait())
        finished, _ = await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
        if working in finished:
            working.result()


@app.command()
def demo(
    days: Annotated[int, typer.Option(min=60, max=730, help="Days of history.")] = 365,
    speed: Annotated[float, typer.Option(min=0, help="Simulated seconds in a second.")] = 3600.0,
    seed: Annotated[int, typer.Option(help="Another seed is another year.")] = 7,
    once: Annotated[bool, typer.Option(help="Sync, print the tree, and exit.")] = False,
    data: Annotated[Path | None, typer.Option(file_okay=False, help="Keep the demo's files in this folder.")] = None,
    http: HttpOption = None,
) -> None:
    """A whole organisation on this machine, with work that moves as you watch. No account, nothing to install."""
    done(_demo(days, speed, seed, once, data, http))


async def _demo(days: int, speed: float, seed: int, once: bool, data: Path | None, http: str | None) -> int:
    from services.bootstrap import STAGES, open_app
    from services.cli.strategy import print_tree
    from services.web import tokens_of

    host, port = _address(http, "127.0.0.1", 8600)
    async with AsyncExitStack() as stack:
        folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="courseline-")))
        folder.mkdir(parents=True, exist_ok=True)
        say("Simulating an organisation: a Jira Cloud site and a GitHub host on loopback…")
        config, time = await stack.enter_async_context(_organisation(folder, days, seed, 0.0 if once else speed))
        settings = settings_of(config)
        tokens_of(settings, host)
        running = await stack.enter_async_context(open_app(settings, time=time))
        with ProgressShown() as shown:
            summary = await running.sync(on_progress=shown)
        await running.apply(by="demo", why="the first strategy")
        code = said(summary)
        await print_tree(running.database)
        if once or code != OK:
            return code if code == OK else FAILED
        await serving(
            running, STAGES, host, port,
            lambda url: say(f"\nThe page: {url}   The work goes on as you watch; Ctrl-C ends it."),
        )  # fmt: skip
    return OK


@asynccontextmanager
async def _organisation(folder: Path, days: int, seed: int, speed: float) -> AsyncIterator[tuple[Path, "Time"]]:
    """The simulated trackers, serving from a thread of their own; gives the configuration that reads them.

    We live in the simulation's time: its clock is ours, and what is a minute there passes as fast here.
    """
    from services.bootstrap import Time
    from services.simulator.acme import acme
    from services.simulator.acme_files import config_text, strategy_text, write_files
    from services.simulator.github_host import GithubHost
    from services.simulator.jira_site import JiraSite
    from services.simulator.motion import keep_moving
    from services.simulator.serve import serve_in_thread

    world = await asyncio.to_thread(acme, now=datetime.now(UTC), seed=seed, days=days)
    with serve_in_thread(JiraSite(world).app(), GithubHost(world).app()) as (jira, github):
        config = write_files(
            folder,
            strategy_text(world, days=days),
            config_text(jira, github, poll_every=f"{max(2, round(2 * speed))}s"),
        )
        moving = asyncio.create_task(keep_moving(world, speed))
        try:
            yield config, Time(lambda: world.now, lambda seconds: asyncio.sleep(seconds / max(speed, 1.0)))
        finally:
            moving.cancel()
            await asyncio.gather(moving, return_exceptions=True)
