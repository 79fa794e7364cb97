"""Backfill of each tracker from a server on this machine, into the log: issues a second, requests made."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from math import ceil

from connectors.base import Connector
from connectors.github.config import GitHubConfig
from connectors.github.sync import GitHubConnector
from connectors.jira.client import JiraConfig
from connectors.jira.sync import JiraConnector
from services.ingest.poller import sync_source
from services.simulator import github_host, jira_site
from services.storage import migrate
from services.storage.database import Database
from tests.benchmarks.parts import said, timed

LANES = 4  #: what a source may use at once by default


@contextmanager
def trackers(items: int, latency_ms: int) -> Iterator[tuple[str, str]]:
    """A simulator in a process of its own, so that it does not share our interpreter; its two addresses."""
    command = [sys.executable, "-m", "services.simulator", "--items", str(items), "--latency", str(latency_ms)]
    command += ["--repositories", "8"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = dict(re.findall(r"(jira|github) (http\S+)", process.stdout.readline() + process.stdout.readline()))
        yield found["jira"], found["github"]
    finally:
        process.terminate()
        process.wait()


#: The part of the simulated organization's items that a tracker holds.
SHARES = {"jira": 0.7, "github": 0.3}


async def run(items: int) -> None:
    """Print issues a second and requests for both trackers, at 0 ms and at 150 ms a request."""
    for latency in (0, 150):
        for kind, share in SHARES.items():
            with trackers(ceil(items / share), latency) as (jira, github):
                await _read_all(kind, connector_to(kind, jira if kind == "jira" else github), latency)


def connector_to(kind: str, url: str) -> Connector:
    """The connector that reads a simulated tracker at this address, all of it."""
    if kind == "jira":
        return JiraConnector(JiraConfig(name="j", url=url, email=jira_site.EMAIL, token=jira_site.TOKEN))
    return GitHubConnector(GitHubConfig(name="g", url=url, token=github_host.TOKEN, organizations=("acme",)))


async def _read_all(kind: str, connector: Connector, latency: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/courseline.db")
        await migrate.upgrade(database)
        with timed() as took:
            found = await sync_source(database, connector, poll_every=timedelta(seconds=60), kind=kind)
        await database.close()
    await connector.close()
    assert found.error is None, found.error
    waited = found.requests * latency / 1000 / LANES / took.seconds
    said(
        f"backfill {kind} at {latency} ms: {found.seen / took.seconds:,.0f} issues/s into the log "
        f"({found.seen} issues, {found.requests} requests, {took.seconds:.1f} s"
        + (f", {waited:.0%} of what {LANES} lanes can at this latency)" if latency else ")")
    )
