"""The simulated trackers as servers: in the loop, in a thread, and in a process of their own."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from services.simulator.github_host import github_host
from services.simulator.jira_site import jira_site
from services.simulator.motion import keep_moving
from services.simulator.serve import serve, serve_in_thread
from services.simulator.world import World
from tests.simulator.conftest import NOW, github_headers, jira_headers

AT = "2026-11-23T10:00:00Z"


async def test_two_servers_run_in_one_loop_and_end(world: World) -> None:
    """Each has a port of its own, and none is left behind."""
    async with serve(jira_site(world)) as jira, serve(github_host(world)) as github, httpx2.AsyncClient() as ask:
        assert (await ask.get(f"{jira}/rest/api/3/myself", headers=jira_headers())).json()["accountId"] == "acc-1"
        assert (await ask.get(f"{github}/user", headers=github_headers())).json()["login"] == "dev1"
    with pytest.raises(httpx2.ConnectError):
        async with httpx2.AsyncClient() as ask:
            await ask.get(jira)


def test_servers_in_a_thread_answer_a_blocking_client(world: World) -> None:
    """A client that blocks the caller's thread is answered all the same."""
    with serve_in_thread(jira_site(world), github_host(world)) as (jira, github):
        assert httpx2.get(f"{jira}/rest/api/3/serverInfo").json()["baseUrl"] == jira
        assert httpx2.get(f"{github}/meta", headers=github_headers()).status_code == 200


def test_the_simulator_runs_as_a_process(tmp_path: Path) -> None:
    """It prints its addresses, writes the files that lead to it, and ends on SIGTERM."""
    command = [sys.executable, "-m", "services.simulator", "--items", "200", "--write", str(tmp_path), "--now", AT]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [*command, "--now", "2026-11-23T10:00:00Z"], stdout=subprocess.PIPE, text=True, cwd=root
    ) as run:
        assert run.stdout is not None
        try:
            urls = dict(run.stdout.readline().split() for _ in range(2))
            count = httpx2.post(
                f"{urls['jira']}/rest/api/3/search/approximate-count",
                json={"jql": "created > -500d"},
                headers=jira_headers(),
            ).json()
            listed = httpx2.get(f"{urls['github']}/repos/acme/pay/issues?state=all", headers=github_headers())
        finally:
            run.terminate()
    assert run.returncode == 0
    assert count == {"count": 140} and len(listed.json()) == 30
    assert urls["jira"] in (tmp_path / "courseline.yaml").read_text()


async def test_a_watched_world_keeps_pace_with_the_clock(world: World) -> None:
    """Ten seconds at an hour a second are ten simulated hours."""
    clock = iter([0.0, 0.0, 4.0, 10.0])

    async def pause(seconds: float) -> None:
        if world.now >= NOW + timedelta(hours=10):
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await keep_moving(world, 3600, monotonic=lambda: next(clock), sleep=pause)
    assert world.now == NOW + timedelta(hours=10)
