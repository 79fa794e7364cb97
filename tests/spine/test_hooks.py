"""Hooks by the front door: signed requests of both trackers, while no poll looks."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from services.bootstrap import App, open_app
from services.ingest.hooks import LARGEST_BODY, HookSource, Inbox
from services.ingest.receive import hooks_route
from services.settings import load_settings
from services.simulator.acme_files import GITHUB, JIRA
from services.simulator.model import Item
from services.storage import tables
from services.storage.database import Database
from services.web import serve_http
from tests.spine.conftest import Organisation

SECRET = "correct-horse"
ENVIRONMENT = {f"COURSELINE_SOURCES__{n}__WEBHOOK_SECRET": SECRET for n in (0, 1)}


@dataclass
class Posted:
    """A hook as it goes over the wire."""

    source: str
    body: bytes
    headers: Mapping[str, str]


def signed(body: bytes, header: str, secret: str = SECRET) -> dict[str, str]:
    return {header: "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def a_hook(world: Any, item: Item, event: str, delivery: str) -> Posted:
    """What the item's tracker would send."""
    home = world.containers[item.container]
    if item.tracker == "jira":
        issue = {"id": str(item.id), "key": f"{home.key}-{item.number}", "fields": {"project": {"id": str(home.id)}}}
        body = json.dumps({"webhookEvent": f"jira:issue_{event}", "issue": issue}).encode()
        named = {"X-Atlassian-Webhook-Identifier": delivery}
        return Posted(JIRA, body, named | signed(body, "X-Hub-Signature"))
    data = {
        "action": event,
        "issue": {"id": item.id, "number": item.number},
        "repository": {"id": home.id, "full_name": home.key},
    }
    body = json.dumps(data).encode()
    named = {"X-GitHub-Event": "issues", "X-GitHub-Delivery": delivery}
    return Posted(GITHUB, body, named | signed(body, "X-Hub-Signature-256"))


@asynccontextmanager
async def serving(organisation: Organisation, name: str = "it") -> AsyncIterator[tuple[App, httpx2.AsyncClient]]:
    """The application and its HTTP side; nothing polls, and hooks are only seen to when a test says so."""
    settings = load_settings(organisation.configured(name), ENVIRONMENT)[0]
    async with (
        open_app(settings, time=organisation.time) as running,
        serve_http(running, frozenset({"ingest"}), "127.0.0.1", 0) as url,
        httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30) as client,
    ):
        yield running, client


async def post(client: httpx2.AsyncClient, hook: Posted) -> int:
    answer = await client.post(f"/hooks/{hook.source}", content=hook.body, headers=dict(hook.headers))
    return answer.status_code


async def stored(database: Database) -> dict[str, tuple[str, str, str]]:
    """Status, availability and title of every item."""
    async with database.read() as connection:
        rows = await connection.execute(select(tables.items.c.uid, tables.items.c.content))
        items = {row.uid: json.loads(row.content) for row in rows}
    return {uid: (one["status"], one["availability"], one["title"]) for uid, one in items.items()}


async def see_to(running: App) -> None:
    for connector in running.connectors.values():
        while await running.inbox.handle(connector):
            pass


def some(organisation: Organisation, tracker: str, count: int, *, open_: bool = True) -> list[Item]:
    """Issues without children, so that a deletion takes nothing along."""
    world = organisation.world
    found = [
        item
        for item in world.items.values()
        if item.tracker == tracker and not world.children.get(item.id) and item.done is not open_
        and not getattr(item, "pull_request", False) and item.type != "Epic"
        and world.containers[item.container].key in ("PAY", "WEB", "OPS", "acme/web", "acme/pay")
    ]  # fmt: skip
    return [item for item in found if item.type is not None or tracker == "github"][:count]


async def test_a_hook_brings_the_change_that_no_poll_looked_for(organisation: Organisation) -> None:
    """Created, changed and deleted on both trackers: stored at once, by asking for the very item."""
    world = organisation.world
    async with serving(organisation) as (running, client):
        await running.sync()
        (jira, doomed), (issue,) = some(organisation, "jira", 2), some(organisation, "github", 1)
        world.edit(jira, title="Told by a hook")
        world.edit(issue, title="Told by another")
        new = world.create(world.container("PAY"), "Born under a hook", type="Story")
        world.delete(doomed)
        told = [(jira, "updated"), (new, "created"), (doomed, "deleted"), (issue, "edited")]
        before = len(organisation.faults.asked)
        for number, (item, event) in enumerate(told):
            assert await post(client, a_hook(world, item, event, f"d-{number}")) == 200
        await see_to(running)
        found = await stored(running.database)
        searched = [one.line for one in organisation.faults.asked[before:] if "/search/jql" in one.path]
    assert found[f"{JIRA}:issue:{jira.id}"][2] == "Told by a hook"
    assert found[f"{JIRA}:issue:{new.id}"][2] == "Born under a hook"
    assert found[f"{JIRA}:issue:{doomed.id}"][1] == "deleted"
    assert found[f"{GITHUB}:issue:{issue.id}"][2] == "Told by another"
    assert searched == []


async def test_a_hook_is_durable_before_it_is_answered(organisation: Organisation) -> None:
    """A process that ends after its 200 leaves the hook to the next one."""
    world = organisation.world
    async with serving(organisation) as (running, client):
        await running.sync()
        (item,) = some(organisation, "jira", 1)
        world.edit(item, title="Survived")
        assert await post(client, a_hook(world, item, "updated", "d-1")) == 200
        assert (await stored(running.database))[f"{JIRA}:issue:{item.id}"][2] != "Survived"
    async with serving(organisation) as (running, client):
        await see_to(running)
        assert (await stored(running.database))[f"{JIRA}:issue:{item.id}"][2] == "Survived"


async def test_running_ingest_sees_to_hooks_at_once(organisation: Organisation) -> None:
    """The running stage hears a hook without waiting for a poll."""
    world = organisation.world
    async with serving(organisation) as (running, client):
        await running.sync()
        (item,) = some(organisation, "github", 1)
        passes = await synced(running.database)
        working = asyncio.create_task(running.run(frozenset({"ingest"})))
        await until(running.database, lambda: synced(running.database), passes + 2)  # the next polls are a minute away
        world.edit(item, title="At once")
        assert await post(client, a_hook(world, item, "edited", "g-1")) == 200
        await until(running.database, lambda: title(running.database, f"{GITHUB}:issue:{item.id}"), "At once")
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def until(database: Database, found: Callable[[], Awaitable[object]], wanted: object) -> None:
    """Wait for something that the log's growth brings."""
    async with asyncio.timeout(30):
        while True:
            ticket = database.appended.ticket()
            if await found() == wanted:
                return
            await ticket.wait()


async def synced(database: Database) -> int:
    async with database.read() as connection:
        rows = await connection.execute(select(tables.log.c.id).where(tables.log.c.type == "source.synced"))
        return len(rows.all())


async def title(database: Database, uid: str) -> str:
    return (await stored(database))[uid][2]


async def test_any_order_and_repetition_of_hooks_ends_the_same(organisation: Organisation) -> None:
    """Hooks come late, twice and in any order; the state is the trackers', and the effects are counted once."""
    world, dice = organisation.world, Random(5)
    async with serving(organisation) as (running, client):
        await running.sync()
        hooks = []
        for number, item in enumerate([*some(organisation, "jira", 6), *some(organisation, "github", 6)]):
            world.edit(item, title=f"First {number}")
            hooks.append(a_hook(world, item, "updated", f"a-{number}"))
            world.edit(item, title=f"Last {number}")
            hooks.append(a_hook(world, item, "updated", f"b-{number}"))
        hooks += dice.sample(hooks, 8)
        dice.shuffle(hooks)
        for place, hook in enumerate(hooks):
            assert await post(client, hook) == 200
            if place % 5 == 0:
                await see_to(running)
        await see_to(running)
        by_hooks = await stored(running.database)
        summary = await running.sync()
        assert await stored(running.database) == by_hooks
        assert [one.changed for one in summary.sources] == [0, 0]


@pytest.fixture
async def client(organisation: Organisation) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(organisation) as (_, client):
        yield client


async def test_what_is_not_signed_or_no_hook_is_refused(client: httpx2.AsyncClient) -> None:
    """401 before anything is parsed, 400 for what is signed and no hook, 404 for a source that is not configured."""
    good = json.dumps({"webhookEvent": "jira:issue_updated", "issue": {"id": "1"}}).encode()

    async def status(source: str, body: bytes, headers: dict[str, str]) -> int:
        return (await client.post(f"/hooks/{source}", content=body, headers=headers)).status_code

    assert await status(JIRA, good, {}) == 401
    assert await status(JIRA, b"{", {"X-Hub-Signature": "sha256=00"}) == 401
    assert await status(JIRA, good, signed(good, "X-Hub-Signature", "wrong")) == 401
    assert await status(JIRA, good + b" ", signed(good, "X-Hub-Signature")) == 401
    assert await status(GITHUB, good, signed(good, "X-Hub-Signature")) == 401
    assert await status(JIRA, b"[1]", signed(b"[1]", "X-Hub-Signature")) == 400
    assert await status(GITHUB, b"{}", signed(b"{}", "X-Hub-Signature-256")) == 400
    assert await status("elsewhere", good, signed(good, "X-Hub-Signature")) == 404
    assert await status(JIRA, good, signed(good, "X-Hub-Signature")) == 200
    assert (await client.get(f"/hooks/{JIRA}")).status_code in (404, 405)


async def test_a_body_without_bounds_is_refused(client: httpx2.AsyncClient) -> None:
    """413 by what it says of its length, and while it is read where it says nothing."""
    large = b" " * (LARGEST_BODY + 1)
    assert (await client.post(f"/hooks/{JIRA}", content=large)).status_code == 413

    async def drops() -> AsyncIterator[bytes]:
        for _ in range(26):
            yield b" " * 1024 * 1024

    assert (await client.post(f"/hooks/{JIRA}", content=drops())).status_code == 413


async def test_a_source_without_a_secret_takes_no_hook(organisation: Organisation) -> None:
    """However it is signed, an empty secret included."""
    settings = load_settings(organisation.configured(), {})[0]
    body = b'{"webhookEvent": "jira:issue_updated"}'
    async with (
        open_app(settings) as running,
        serve_http(running, frozenset({"ingest"}), "127.0.0.1", 0) as url,
        httpx2.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        answer = await client.post(f"/hooks/{JIRA}", content=body, headers=signed(body, "X-Hub-Signature", ""))
    assert answer.status_code == 401


async def test_a_database_that_is_away_is_no_2xx() -> None:
    """The sender is asked to send the hook again."""
    from starlette.applications import Starlette

    inbox = Inbox(Database("postgresql://nobody@127.0.0.1:1/nothing"), {"j": HookSource("jira", SECRET)})
    body = b'{"webhookEvent": "jira:issue_updated"}'
    transport = httpx2.ASGITransport(app=Starlette(routes=[hooks_route(inbox)]))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.post("/hooks/j", content=body, headers=signed(body, "X-Hub-Signature"))
    await inbox.database.close()
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "30"


async def test_a_hook_hastens_what_is_read_once_an_hour(organisation: Organisation) -> None:
    """A label that is renamed and a sprint that is given another end are there with the next pass."""
    world = organisation.world
    async with serving(organisation) as (running, client):
        await running.sync()
        (issue,) = some(organisation, "github", 1)
        home = world.containers[issue.container]
        world.edit(issue, labels=("steady",))
        project = world.container("PAY")
        sprint = world.add_sprint(project, "Sprint 1", start=world.now, end=world.now + timedelta(days=14))
        story = next(item for item in project.items if not item.done)
        world.edit(story, sprints=(sprint.id,))
        await running.sync()
        world.rename_label(home, "steady", "run")
        world.set_sprint(sprint, end=world.now + timedelta(days=21))
        body = json.dumps({"action": "edited", "label": {}, "repository": {"id": home.id}}).encode()
        named = {"X-GitHub-Event": "label", "X-GitHub-Delivery": "l-1"} | signed(body, "X-Hub-Signature-256")
        assert await post(client, Posted(GITHUB, body, named)) == 200
        body = json.dumps({"webhookEvent": "sprint_updated", "sprint": {"id": sprint.id}}).encode()
        named = {"X-Atlassian-Webhook-Identifier": "s-1"} | signed(body, "X-Hub-Signature")
        assert await post(client, Posted(JIRA, body, named)) == 200
        await see_to(running)
        await running.sync()
        async with running.database.read() as connection:
            table, dates = tables.items.c, tables.milestones.c
            item = (await connection.execute(select(table.content).where(table.key == world.key(issue)))).scalar_one()
            ours = dates.uid == f"{JIRA}:sprint:{sprint.id}"
            dated = (await connection.execute(select(dates.content).where(ours))).scalar_one()
    assert json.loads(item)["labels"] == ["run"]
    assert json.loads(dated)["due_date"] == (world.now + timedelta(days=21)).date().isoformat()
