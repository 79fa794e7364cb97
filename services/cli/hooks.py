"""Commands about the trackers' webhooks: install and check."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.app import CONFIG, Config, Json, app, done, reported, settings_of

hooks = typer.Typer(help="The trackers' webhooks: register them here, and verify them.", no_args_is_help=True)
app.add_typer(hooks, name="hooks")
Source = Annotated[str | None, typer.Option(help="Only this source.")]


@hooks.command()
def install(config: Config = CONFIG, source: Source = None, as_json: Json = False) -> None:
    """Register a webhook with every tracker, or mend the one that is there; may be repeated."""
    done(_hooks(config, source, as_json, install=True))


@hooks.command()
def check(config: Config = CONFIG, source: Source = None, as_json: Json = False) -> None:
    """Whether every tracker sends its hooks here; a fix for each failure."""
    done(_hooks(config, source, as_json, install=False))


async def _hooks(config: Path, source: str | None, as_json: bool, *, install: bool) -> int:
    from services.bootstrap import open_app

    settings = settings_of(config)
    if source is not None and source not in {one.name for one in settings.sources}:
        raise typer.BadParameter(f"there is no source {source}", param_hint="--source")
    async with open_app(settings) as running:
        return reported(await running.hooks(source, install=install), as_json)
