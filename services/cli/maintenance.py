"""Commands for operators: check, replay, redrive, db, config."""

import json
from pathlib import Path
from typing import Annotated

import typer

from services.cli.app import (
    CONFIG,
    FAILED,
    OK,
    Config,
    Json,
    app,
    done,
    guarded,
    reported,
    say,
    settings_of,
)

db = typer.Typer(help="The database: migrations and backup.", no_args_is_help=True)
configuration = typer.Typer(help="The configuration: its schema, and what is in force.", no_args_is_help=True)
app.add_typer(db, name="db")
app.add_typer(configuration, name="config")


@app.command()
def check(config: Config = CONFIG, as_json: Json = False) -> None:
    """Configuration, strategy, database, credentials, containers; a fix for each failure."""
    done(_check(config, as_json))


async def _check(config: Path, as_json: bool) -> int:
    from services.bootstrap import open_app

    settings = settings_of(config)
    async with open_app(settings) as running:
        running.strategy()
        checks = await running.check()
    return reported(checks, as_json)


@app.command()
def replay(config: Config = CONFIG) -> None:
    """Rebuild everything computed from the event log; must give the same answer."""
    done(_replay(config))


async def _replay(config: Path) -> int:
    from services.bootstrap import open_app

    async with open_app(settings_of(config)) as running:
        read = await running.replay(lambda count: say(f"{count} events read"))
    typer.echo(f"Rebuilt from {read} events.")
    return OK


@app.command()
def redrive(
    topic: Annotated[str | None, typer.Argument(help="Only this topic.")] = None,
    config: Config = CONFIG,
    everything: Annotated[bool, typer.Option("--all", help="Send all of them again.")] = False,
    ids: Annotated[list[int] | None, typer.Option("--id", min=1, max=2**63 - 1, help="Send this one again.")] = None,
    as_json: Json = False,
) -> None:
    """List dead letters with their errors, or send them again."""
    done(_redrive(config, topic, everything, ids, as_json))


async def _redrive(config: Path, topic: str | None, everything: bool, ids: list[int] | None, as_json: bool) -> int:
    from sqlalchemy import select

    from schemas.wire import TOPICS
    from services.bootstrap import open_app
    from services.storage import tables

    names = [one.name for one in TOPICS]
    if topic is not None and topic not in names:
        raise typer.BadParameter(f"is none of {', '.join(names)}", param_hint="TOPIC")
    async with open_app(settings_of(config)) as running:
        if everything or ids:
            sent = await running.redrive(topic, ids)
            typer.echo(f"{sent} sent again.")
            if ids and sent < len(set(ids)):
                say(f"{len(set(ids)) - sent} of the numbers are no dead letter's{f' of {topic}' if topic else ''}")
                return FAILED
            return OK
        table = tables.dead_letters.c
        statement = select(tables.dead_letters).where(table.redriven_at.is_(None)).order_by(table.id)
        async with running.database.read() as connection:
            rows = (
                await connection.execute(statement if topic is None else statement.where(table.topic == topic))
            ).all()
    if as_json:
        letters = [
            {
                "id": row.id,
                "at": row.at.isoformat().replace("+00:00", "Z"),
                "consumer": row.consumer,
                "topic": row.topic,
                "type": row.type,
                "key": row.key,
                "error": row.error,
            }
            for row in rows
        ]
        typer.echo(json.dumps(letters, ensure_ascii=False, indent=2))
        return OK
    for row in rows:
        typer.echo(f"{row.id}  {row.at:%Y-%m-%d %H:%M}  {row.consumer}  {row.topic}  {row.type or '?'}  {row.error}")
    typer.echo(f"{len(rows)} dead letters.")
    return OK


@app.command()
def purge(
    person: Annotated[str, typer.Option(help="A name, as it stands in the strategy and in decisions.")],
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Erase a person's name from everything stored, the event log and past strategies among it."""
    if not person.strip():
        raise typer.BadParameter("is empty", param_hint="--person")
    done(_purge(config, person.strip(), as_json))


async def _purge(config: Path, person: str, as_json: bool) -> int:
    import yaml

    from services.bootstrap import open_app
    from services.storage.people import erase, mentions, places_of

    async with open_app(settings_of(config)) as running:
        text, _ = running.strategy()
        if places := list(places_of(yaml.safe_load(text), person)):
            name = running.settings.strategy_file.name
            say(f"{name} still names this person: {', '.join(places)}")
            say(
                f"take the name out and make it current with `courseline apply`, then purge: {name} would bring it back"
            )
            return FAILED
        async with running.database.write() as uow:
            erased = await erase(uow.connection, person)
            texts = await mentions(uow.connection, person)
        on_kafka = running.settings.stream == "kafka"
    if as_json:
        typer.echo(json.dumps({"erased": erased, "mentions": texts}, indent=2))
    else:
        rows = ", ".join(f"{count} in {table}" for table, count in erased.items())
        typer.echo(f"Erased: {rows}." if rows else "Nothing stored names this person.")
        for one in texts:
            typer.echo(f"free text mentions the name, and was left as it is: {one}")
    if on_kafka and erased:
        say("records that are on Kafka already stay there until their topic's retention ends")
    return OK


@db.command("upgrade")
def db_upgrade(config: Config = CONFIG) -> None:
    """Bring the database to this version's tables."""
    done(_db_upgrade(config))


async def _db_upgrade(config: Path) -> int:
    from services.storage import migrate
    from services.storage.database import Database

    database = Database(settings_of(config).database_url)
    try:
        await migrate.upgrade(database)
        typer.echo(f"The database is at revision {await migrate.current(database)}.")
    finally:
        await database.close()
    return OK


@db.command("check")
def db_check(config: Config = CONFIG, as_json: Json = False) -> None:
    """Whether the database has this version's tables."""
    done(_db_check(config, as_json))


async def _db_check(config: Path, as_json: bool) -> int:
    from services.storage import migrate
    from services.storage.database import Database

    database = Database(settings_of(config).database_url)
    try:
        current, needed = await migrate.current(database), migrate.head()
    finally:
        await database.close()
    if as_json:
        typer.echo(json.dumps({"revision": current, "needed": needed, "ok": current == needed}))
    else:
        typer.echo(f"{'empty' if current is None else f'at revision {current}'}, needed is {needed}")
        if current != needed:
            say("`courseline db upgrade` brings it there, or says why it cannot")
    return OK if current == needed else FAILED


@db.command("backup")
def db_backup(config: Config = CONFIG) -> None:
    """A copy of the SQLite file, safe while it is in use."""
    from datetime import UTC, datetime

    from services.storage.database import driver_url
    from services.storage.migrate import backup

    def work() -> int:
        url = driver_url(settings_of(config).database_url)
        if not url.drivername.startswith("sqlite") or not url.database:
            say("only for SQLite; use pg_dump for PostgreSQL")
            return FAILED
        typer.echo(str(backup(Path(url.database), datetime.now(UTC))))
        return OK

    raise typer.Exit(guarded(work))


@configuration.command("schema")
def config_schema() -> None:
    """JSON Schema of courseline.yaml, for editors."""
    from services.settings import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


@configuration.command("show")
def config_show(config: Config = CONFIG, as_json: Json = False) -> None:
    """The configuration in force, as JSON (always, with or without --json), secrets redacted."""
    from services.settings import redacted

    def work() -> int:
        typer.echo(json.dumps(redacted(settings_of(config)), indent=2))
        return OK

    raise typer.Exit(guarded(work))
