"""A database or broker that goes away is named by /readyz, and waited for: no process ends, the work goes on after."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from services import bootstrap
from services.alert import handlers as alert
from services.bootstrap import STAGES, open_app
from services.ingest.poller import sync_source
from services.settings import load_settings
from services.web import serve_http
from tests.parts import a_broker, eventually, sql
from tests.spine.conftest import Organisation
from tests.spine.test_spine import exported

COMPARED = ("items", "milestones", "alignments", "ledger", "progress")


@pytest.mark.postgres
async def test_a_database_that_goes_and_returns(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL cannot be reached, every connection is cut; ready again once it is back, with every stage alive."""
    monkeypatch.setattr(bootstrap, "_TICK_S", 0.05)
    monkeypatch.setattr(alert, "_LOOK_AGAIN_S", 0.05)
    head, _, directory = postgres_url.partition("?host=")
    name = head.rpartition("/")[2]
    server = tmp_path / "server"
    server.symlink_to(directory)
    (tmp_path / "strategy.yaml").write_text("objectives: [{id: OBJ-1, title: One}]")
    file = tmp_path / "courseline.yaml"
    file.write_text(f'database: "{head}?host={server}"\n')
    async with open_app(load_settings(file, {})[0]) as app:
        await app.apply()
        async with (
            serve_http(app, STAGES, "127.0.0.1", 0) as url,
            httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30) as client,
        ):
            working = asyncio.create_task(app.run())

            async def answers(status: int) -> bool:
                assert not working.done(), working
                return (await client.get("/readyz")).status_code == status

            try:
                for _ in range(2):
                    await eventually(lambda: answers(200))
                    server.unlink()
                    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
                    await asyncio.to_thread(sql, postgres_url.replace(f"/{name}?", "/postgres?"), cut)
                    await eventually(lambda: answers(503))
                    assert (await client.get("/readyz")).text == "waiting for the database\n"
                    assert (await client.get("/livez")).status_code == 200
                    server.symlink_to(directory)
                await eventually(lambda: answers(200))
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)


@pytest.mark.kafka
async def test_a_broker_that_goes_and_returns(organisation: Organisation, tmp_path: Path) -> None:
    """Twice Kafka stops while a source is read: /readyz names it, no stage ends, nothing is lost or doubled."""
    async with open_app(organisation.settings("undisturbed"), time=organisation.time) as app:
        await app.sync()
        await app.apply()
        undisturbed = {what: await exported(app, what) for what in COMPARED}
    broker = await asyncio.to_thread(a_broker, tmp_path / "broker")
    settings = organisation.settings(stream="kafka", kafka=f"{{bootstrap_servers: ['{broker.address}']}}")
    try:
        async with (
            open_app(settings, time=organisation.time) as app,
            serve_http(app, STAGES, "127.0.0.1", 0) as url,
            httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30) as client,
        ):
            working = asyncio.create_task(app.run(STAGES - {"ingest"}))

            async def says(text: str) -> bool:
                assert not working.done(), working
                return (await client.get("/readyz")).text == text

            try:
                for source in settings.sources:
                    await eventually(lambda: says("ok\n"))
                    await asyncio.to_thread(broker.stop)
                    await eventually(lambda: says("waiting for broker\n"))
                    assert (await client.get("/readyz")).status_code == 503
                    assert (await client.get("/livez")).status_code == 200
                    read = await sync_source(
                        app.database, app.connectors[source.name], poll_every=source.poll_every, kind=source.kind
                    )
                    assert read.error is None
                    await asyncio.to_thread(broker.start)
                await eventually(lambda: says("ok\n"))
                await app.apply()
                assert {what: await exported(app, what) for what in COMPARED} == undisturbed
                assert not working.done()
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)
    finally:
        await asyncio.to_thread(broker.stop, kill=True)
