"""What the tests of the simulator share: a moment, a world at that moment, and clients that know the tokens."""

import base64
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp

from services.simulator import github_host, jira_site
from services.simulator.acme import acme
from services.simulator.world import World

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
Ask = httpx2.AsyncClient


@pytest.fixture
def world() -> World:
    return acme(now=NOW)


def jira_headers(token: str = jira_site.TOKEN) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{jira_site.EMAIL}:{token}".encode()).decode()}


def github_headers(token: str = github_host.TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def client(app: ASGIApp, headers: dict[str, str]) -> Ask:
    """A client that talks to an application without a network."""
    transport = httpx2.ASGITransport(app=app)
    return httpx2.AsyncClient(transport=transport, base_url="http://tracker.invalid", headers=headers)


async def all_issues(ask: Ask, jql: str, **further: Any) -> list[dict[str, Any]]:
    """Every issue of a Jira search, page by page."""
    found: list[dict[str, Any]] = []
    body: dict[str, Any] = {"jql": jql, "fields": ["updated", "created"], **further}
    while True:
        page = (await ask.post("/rest/api/3/search/jql", json=body)).json()
        found += page["issues"]
        assert page["isLast"] is ("nextPageToken" not in page)
        if page["isLast"]:
            return found
        body["nextPageToken"] = page["nextPageToken"]


async def all_pages(ask: Ask, url: str) -> list[dict[str, Any]]:
    """Every row of a GitHub list, along its Link headers."""
    found: list[dict[str, Any]] = []
    following: str | None = url
    while following:
        answer = await ask.get(following)
        assert answer.status_code == 200, answer.text
        found += answer.json()
        following = answer.links.get("next", {}).get("url")
    return found
