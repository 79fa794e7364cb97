"""A database that goes away is named by /readyz, and waited for: no process ends, and the work goes on after."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from services import bootstrap
from services.alert import handlers as alert
from services.bootstrap import STAGES, open_app
from services.settings import load_settings
from services.web import serve_http
from tests.parts import eventually, sql


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
