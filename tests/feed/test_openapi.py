"""What the OpenAPI document says of an answer is what a running app answers: every key, and no other."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError

from services.bootstrap import App, open_app
from services.storage import tables
from services.web import serve_http
from tests.feed.test_access import FIRST, a_folder, bearer
from tests.feed.test_access import served as served_with_tokens
from tests.feed.test_rest import served
from tests.spine.conftest import Organisation, organisation

__all__ = ["organisation"]
FORMATS = FormatChecker(formats=["date"])
#: Times are UTC, RFC 3339.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)


@FORMATS.checks("date-time", raises=ValueError)
def _is_a_time(value: object) -> bool:
    return not isinstance(value, str) or (_TIME.fullmatch(value) is not None and bool(datetime.fromisoformat(value)))


def parts_of(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema in one, itself included."""
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from parts_of(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from parts_of(value)


class Document:
    """An OpenAPI document whose objects are closed: a key that it does not name is refused."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.paths = document["paths"]
        self.components = deepcopy(document["components"])
        for schema in parts_of(self.components):
            if isinstance(schema.get("properties"), dict):
                schema["additionalProperties"] = False

    def schema(self, path: str, status: int) -> dict[str, Any]:
        """The schema of one answer of GET."""
        found: dict[str, Any] = self.paths[path]["get"]["responses"][str(status)]["content"]["application/json"]
        return {**found["schema"], "components": self.components}

    def validate(self, path: str, answer: httpx2.Response) -> Any:
        """The answer's JSON. Raises ValidationError where it is not as described."""
        data = answer.json()
        Draft202012Validator(self.schema(path, answer.status_code), format_checker=FORMATS).validate(data)
        return data


async def document_of(client: httpx2.AsyncClient, **how: Any) -> Document:
    return Document((await client.get("/openapi.json", **how)).json())


async def an_unread_container(app: App) -> None:
    async with app.database.write() as uow:
        gap = {"source": "acme-jira", "container": "*", "reason": "forbidden", "detail": "d", "fix": "f"}
        await uow.upsert(tables.gaps, [gap | {"opened_at": uow.now}])


async def every(client: httpx2.AsyncClient, document: Document, path: str) -> list[dict[str, Any]]:
    """A list to its end, each page as described."""
    found: list[dict[str, Any]] = []
    query: dict[str, str] = {"limit": "200"} if "limit" in str(document.paths[path]) else {}
    while True:
        page = document.validate(path, await client.get(path, params=query))
        found += page["items"]
        if page["next"] is None:
            return found
        query["cursor"] = page["next"]


async def test_every_answer_is_as_described(organisation: Organisation) -> None:
    """Months of an organisation's work: each list to its end, each node at length and as of an earlier day."""
    world = organisation.world
    blocker, blocked = world.of("jira")[:2]
    tie = world.link("Blocks", blocker, blocked)
    async with open_app(organisation.settings(), time=organisation.time) as app:
        await app.sync()
        await app.apply()
        await an_unread_container(app)
        async with (
            serve_http(app, frozenset({"feed"}), "127.0.0.1", 0) as url,
            httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30) as client,
        ):
            document = await document_of(client)
            answered = set()
            lists: dict[str, list[dict[str, Any]]] = {}
            for name in ("items", "milestones", "findings", "decisions", "sources"):
                path = f"/api/v1/{name}"
                lists[name] = await every(client, document, path)
                answered.add(path)
            day = (organisation.world.now - timedelta(days=40)).date().isoformat()
            for query in ({}, {"as_of": day}):
                tree = document.validate("/api/v1/strategy", await client.get("/api/v1/strategy", params=query))
                answered.add("/api/v1/strategy")
                for node in {one["id"] for one in branches(tree["nodes"])}:
                    for rest in ("", "/burnup", "/forecast", "/explain"):
                        path = "/api/v1/nodes/{node}" + rest
                        answer = await client.get(path.format(node=node), params=query)
                        told = document.validate(path, answer)
                        assert told.get("id", node) == node
                        answered.add(path)
                    # Of the last path: what is explained adds up to the node's figures of that day.
                    if told["node"]["kind"] == "initiative":
                        own = {name: sum(one[name] for one in told["items"]) for name in ("scope", "done")}
                        assert own == pytest.approx(told["node"]["progress"]["own"])
            for item in lists["items"][::40]:
                answer = await client.get(f"/api/v1/items/{item['uid']}")
                assert document.validate("/api/v1/items/{ref}", answer) == item | {"links": []}
                answered.add("/api/v1/items/{ref}")
            told = document.validate("/api/v1/items/{ref}", await client.get(f"/api/v1/items/{world.key(blocked)}"))
            link = {"id": str(tie.id), "kind": "blocks", "inward": True, "name": "is blocked by"}
            assert told["links"] == [link | {"item": f"acme-jira:issue:{blocker.id}"}]
            document.validate("/badge/{node}.json", await client.get("/badge/INI-1.json"))
    assert lists["items"] and lists["milestones"] and lists["findings"]
    assert [len(source["gaps"]) for source in lists["sources"] if source["name"] == "acme-jira"] == [1]
    assert answered == {path for path in document.paths if path.startswith("/api/")} - {"/api/v1/events"}


def branches(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        yield node
        yield from branches(node["children"])


async def test_a_key_too_many_or_too_few_is_no_answer(tmp_path: Path) -> None:
    """Every object that is described names all of its keys as required, at any depth."""
    async with served(tmp_path, 2) as (_, client):
        document = await document_of(client)
        node = (await client.get("/api/v1/nodes/OBJ-1")).json()
    described = [schema for schema in parts_of(document.components) if isinstance(schema.get("properties"), dict)]
    assert len(described) > 25
    for schema in described:
        assert set(schema["properties"]) == set(schema.get("required", ())), schema.get("title")
    validator = Draft202012Validator(document.schema("/api/v1/nodes/{node}", 200), format_checker=FORMATS)
    validator.validate(node)
    few = {**node, "progress": {key: value for key, value in node["progress"].items() if key != "reason"}}
    many = {**node, "forecast": node["forecast"] | {"p95": None}}
    for wrong in (few, many, node | {"health": "fine"}, node | {"as_of": "2026-11-23T10:00:00+01:00"}):
        with pytest.raises(ValidationError):
            validator.validate(wrong)


@pytest.mark.parametrize(
    ("url", "path", "status"),
    [
        ("/api/v1/items?cursor=zz", "/api/v1/items", 400),
        ("/api/v1/milestones?limit=0", "/api/v1/milestones", 400),
        ("/api/v1/strategy?as_of=yesterday", "/api/v1/strategy", 400),
        ("/api/v1/events?topic=secret", "/api/v1/events", 400),
        ("/api/v1/nodes/OBJ-9/explain", "/api/v1/nodes/{node}/explain", 404),
        ("/api/v1/items/PAY-999", "/api/v1/items/{ref}", 404),
        ("/badge/OBJ-9.json", "/badge/{node}.json", 404),
    ],
)
async def test_a_problem_is_as_described(tmp_path: Path, url: str, path: str, status: int) -> None:
    """Also what is wrong with a question has its schema, by its status."""
    async with served(tmp_path) as (_, client):
        document = await document_of(client)
        answer = await client.get(url)
    assert answer.status_code == status
    assert document.validate(path, answer)["error"]["status"] == status


async def test_a_refused_reader_is_told_as_described(tmp_path: Path) -> None:
    """401 without a token, 421 by another name; nothing that we never answer is described."""
    async with served_with_tokens(a_folder(tmp_path)) as client:
        document = await document_of(client, headers=bearer(FIRST))
        for status, headers in ((401, {}), (421, {"host": "evil.example"})):
            answer = await client.get("/api/v1/items", headers=headers)
            assert answer.status_code == status
            document.validate("/api/v1/items", answer)
    for path, operations in document.paths.items():
        assert "422" not in operations["get"]["responses"], path


async def test_a_node_that_was_not_there_yet_is_left_out(tmp_path: Path) -> None:
    """As of a day before an objective came below another one, the tree stands without it."""
    async with served(tmp_path, 1) as (app, client):
        document = await document_of(client)
        before = app.database.now().isoformat()
        file = tmp_path / "strategy.yaml"
        file.write_text(file.read_text().replace("}}]", "}}, {id: OBJ-2, parent: OBJ-1}]"))
        await app.apply()
        path = "/api/v1/strategy"
        names = []
        for query in ({}, {"as_of": before}):
            tree = document.validate(path, await client.get(path, params=query))
            names.append([one["id"] for one in branches(tree["nodes"])])
    assert names == [["OBJ-1", "OBJ-2"], ["OBJ-1"]]
    assert json.dumps(document.paths).count("application/json") > 20
