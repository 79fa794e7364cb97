"""The feed over real HTTP: what it promises, and what it says when it is asked for something that is not there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openapi_spec_validator import validate
from sqlalchemy import delete, func, select

from services.bootstrap import App, open_app
from services.ingest.apply import apply_items
from services.settings import load_settings
from services.storage import tables
from services.web import serve_http
from tests.work_items import an_item

STRATEGY = """
strategy: {title: Acme}
objectives: [{id: OBJ-1, title: "<script>alert(1)</script>", match: {label: growth}}]
"""


@asynccontextmanager
async def served(folder: Path, items: int = 0) -> AsyncIterator[tuple[App, httpx2.AsyncClient]]:
    """The feed over a database with some items and an applied strategy."""
    (folder / "strategy.yaml").write_text(STRATEGY)
    (folder / "courseline.yaml").write_text("http: {port: 0}")
    async with open_app(load_settings(folder / "courseline.yaml", {})[0]) as app:
        await added(app, range(items))
        await app.apply()
        async with (
            serve_http(app, frozenset({"feed"}), "127.0.0.1", 0) as url,
            httpx2.AsyncClient(base_url=url, trust_env=False, timeout=10) as client,
        ):
            yield app, client


async def added(app: App, numbers: range) -> None:
    async with app.database.write() as uow:
        await apply_items(uow, [an_item(100 + number, labels=("growth",)) for number in numbers])
    await app.settle()


async def test_the_description_is_valid_and_every_route_answers(tmp_path: Path) -> None:
    """The OpenAPI document is one, and no GET that it names fails; figures carry an ETag, which gives 304."""
    async with served(tmp_path, 3) as (_, client):
        document = (await client.get("/openapi.json")).json()
        validate(document)
        paths = [path for path in document["paths"] if path != "/api/v1/events"]
        assert len(paths) > 15
        for path in paths:
            url = path.format(node="OBJ-1", ref="acme-jira:issue:100") if "{ref}" in path else path.format(node="OBJ-1")
            answer = await client.get(url)
            assert answer.status_code == 200, (url, answer.text)
            if path.startswith("/api/"):
                again = await client.get(url, headers={"if-none-match": f'W/"other", {answer.headers["etag"]}'})
                assert (again.status_code, again.content) == (304, b""), url


async def test_a_cursor_gives_each_item_once_while_others_are_added(tmp_path: Path) -> None:
    """Items that were there from the first page to the last are each given exactly once."""
    async with served(tmp_path, 30) as (app, client):
        seen: list[str] = []
        cursor, more = None, 30
        while True:
            query = {"limit": "7"} | ({"cursor": cursor} if cursor else {})
            page = (await client.get("/api/v1/items", params=query)).json()
            seen += [one["uid"] for one in page["items"]]
            await added(app, range(more, more + 2))
            more += 2
            if (cursor := page["next"]) is None or len(seen) > 200:
                break
        assert len(seen) == len(set(seen))
        assert {f"acme-jira:issue:{100 + number}" for number in range(30)} <= set(seen)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/api/v1/items?cursor=zz", 400, "cursor was not given by us"),
        ("/api/v1/milestones?cursor=ff", 400, "cursor was not given by us"),
        ("/api/v1/findings?cursor=6162", 400, "cursor was not given by us"),
        ("/api/v1/items?limit=0", 400, "limit"),
        ("/api/v1/items?limit=501", 400, "limit"),
        ("/api/v1/items?limit=x", 400, "limit"),
        ("/api/v1/items?node=OBJ-9", 404, "known are OBJ-1"),
        ("/api/v1/nodes/OBJ-9", 404, "known are OBJ-1"),
        ("/api/v1/nodes/OBJ-9/burnup", 404, "known are OBJ-1"),
        ("/api/v1/items/PAY-999", 404, "PAY-999"),
        ("/api/v1/strategy?as_of=yesterday", 400, "as_of"),
        ("/api/v1/strategy?as_of=2026-11-23T10:00:00", 400, "no zone"),
        ("/api/v1/strategy?as_of=0001-01-01T00:00:00%2B10:00", 400, "as_of"),
        ("/api/v1/events?topic=secret", 400, "topics are"),
        ("/badge/OBJ-9.svg", 404, "OBJ-9"),
        ("/nowhere", 404, "openapi.json"),
    ],
)
async def test_a_wrong_question_is_told_what_is_wrong(tmp_path: Path, path: str, status: int, said: str) -> None:
    """The promised shape, a status that fits, and words that help."""
    async with served(tmp_path) as (_, client):
        answer = await client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["status"] == status
    assert said in answer.json()["error"]["message"] + answer.json()["error"]["fix"]


async def events(client: httpx2.AsyncClient, after: str, count: int) -> list[tuple[str, str]]:
    """The next events after an id: their ids and types."""
    found: list[tuple[str, str]] = []
    async with (
        asyncio.timeout(20),
        client.stream("GET", "/api/v1/events", headers={"last-event-id": after}) as answer,
    ):
        assert answer.status_code == 200
        number = ""
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                number = value
            elif name == "event":
                found.append((number, value))
                if len(found) == count:
                    return found
    return found


async def public(app: App) -> list[tuple[str, str]]:
    log = tables.log.c
    statement = (
        select(log.position, log.type).where(log.topic.in_(("work", "progress", "drift"))).order_by(log.position)
    )
    async with app.database.read() as connection:
        return [(str(row.position), row.type) for row in await connection.execute(statement)]


async def test_a_resumed_stream_gives_exactly_what_was_missed(tmp_path: Path) -> None:
    """Cut anywhere, twice: all events after the last id, in order, none twice; also more than one chunk of them."""
    async with served(tmp_path, 230) as (app, client):
        every = await public(app)
        first = await events(client, "0", 5)
        second = await events(client, first[-1][0], 7)
        await added(app, range(230, 233))
        every = await public(app)
        rest = await events(client, second[-1][0], len(every) - 12)
    assert first + second + rest == every


async def test_an_id_that_is_no_longer_kept_is_told(tmp_path: Path) -> None:
    """`reset` with an id to go on from, both for what was cleared away and for another log's id; nonsense is 400."""
    async with served(tmp_path, 10) as (app, client):
        async with app.database.write() as uow:
            await uow.connection.execute(delete(tables.log).where(tables.log.c.position <= 5))
            end: Any = (await uow.connection.execute(select(func.max(tables.log.c.position)))).scalar()
        assert await events(client, "2", 1) == [(str(end), "reset")]
        assert await events(client, "999999", 1) == [(str(end), "reset")]
        for wrong in ("x", "-1", "9" * 40):
            answer = await client.get("/api/v1/events", headers={"last-event-id": wrong})
            assert answer.status_code == 400, wrong


async def test_pages_show_hostile_text_as_text_under_a_strict_policy(tmp_path: Path) -> None:
    """A title that is a script stands escaped in each page, picture and badge, and the policy allows none inline."""
    async with served(tmp_path, 1) as (_, client):
        for path in ("/", "/nodes/OBJ-1", "/sources", "/nowhere", "/embed/OBJ-1.svg", "/badge/OBJ-1.svg"):
            answer = await client.get(path, headers={"accept": "text/html"})
            assert "<script>alert" not in answer.text, path
            policy = answer.headers["content-security-policy"]
            assert "unsafe-eval" not in policy and "script-src 'unsafe" not in policy, path
            if not path.endswith(".svg"):
                assert "default-src 'self'; script-src 'self'; style-src 'self';" in policy, path
            assert answer.headers["x-content-type-options"] == "nosniff"
