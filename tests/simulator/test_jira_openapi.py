"""The simulated Jira answers as Atlassian's own description of its API says."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from services.simulator.jira_site import jira_site
from services.simulator.world import World
from tests.simulator.conftest import client, jira_headers

DESCRIPTION = Path(__file__).parents[3] / "shared" / "contracts" / "jira-cloud-platform-v3.openapi.json.gz"
Row = dict[str, Any]
IDS = ["10001", "10002", "10005", "10040"]


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    if not DESCRIPTION.exists():
        pytest.skip(f"Atlassian's OpenAPI description is not there: {DESCRIPTION.name} in a folder beside the checkout")
    with gzip.open(DESCRIPTION) as file:
        found: dict[str, Any] = json.load(file)
    return found


@pytest.mark.parametrize(
    ("method", "path", "asked", "template"),
    [
        ("get", "/serverInfo", None, None),
        ("get", "/myself", None, None),
        ("get", "/field", None, None),
        ("get", "/status", None, None),
        ("get", "/statuscategory", None, None),
        ("get", "/issuetype", None, None),
        ("get", "/priority", None, None),
        ("get", "/issueLinkType", None, None),
        ("get", "/mypermissions", None, None),
        ("get", "/project/search", {"maxResults": 2}, None),
        ("get", "/project/PAY", None, "/project/{projectIdOrKey}"),
        ("get", "/project/PAY/version", {"maxResults": 3}, "/project/{projectIdOrKey}/version"),
        ("get", "/project/PAY/versions", None, "/project/{projectIdOrKey}/versions"),
        ("get", "/search/jql", {"jql": "project = PAY", "fields": "*all"}, None),
        ("post", "/search/jql", {"jql": "updated >= -30d ORDER BY updated", "fields": ["*all"], "maxResults": 9}, None),
        ("post", "/search/approximate-count", {"jql": "project = PAY"}, None),
        ("post", "/issue/bulkfetch", {"issueIdsOrKeys": IDS, "fields": ["*all"]}, None),
        ("post", "/changelog/bulkfetch", {"issueIdsOrKeys": IDS, "maxResults": 5}, None),
        ("get", "/issue/10001", {"expand": "changelog"}, "/issue/{issueIdOrKey}"),
        ("get", "/issue/10005/worklog", None, "/issue/{issueIdOrKey}/worklog"),
        ("get", "/project/PAY/components", None, "/project/{projectIdOrKey}/components"),
        ("get", "/issue/10005/changelog", {"maxResults": 2}, "/issue/{issueIdOrKey}/changelog"),
    ],
)
async def test_an_answer_is_what_the_vendor_describes(
    description: Row, world: World, method: str, path: str, asked: Row | None, template: str | None
) -> None:
    """Every answer has the described shape; every request that we answer is one that exists."""
    operation = description["paths"]["/rest/api/3" + (template or path)][method]
    async with client(jira_site(world), jira_headers()) as ask:
        if method == "get":
            answer = await ask.get("/rest/api/3" + path, params=asked)
        else:
            answer = await ask.post("/rest/api/3" + path, json=asked)
    assert answer.status_code == 200, answer.text
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    found = _validator(description, schema).iter_errors(_bare(answer.json()))
    errors = [f"{error.json_path}: {error.message[:200]}" for error in found]
    assert not errors


def test_the_description_would_notice_a_wrong_shape(description: dict[str, Any]) -> None:
    """The check itself can fail."""
    schema = {"$ref": "#/components/schemas/SearchAndReconcileResults"}
    assert list(_validator(description, schema).iter_errors({"issues": {}, "total": 3}))


def _validator(description: dict[str, Any], schema: dict[str, Any]) -> OAS30Validator:
    resource = DRAFT202012.create_resource(description)
    registry: Registry[Any] = Registry().with_resource("urn:jira", resource)
    return OAS30Validator(_absolute(schema), registry=registry)


def _absolute(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            name: f"urn:jira{value}" if name == "$ref" and isinstance(value, str) else _absolute(value)
            for name, value in schema.items()
        }
    return [_absolute(one) for one in schema] if isinstance(schema, list) else schema


def _bare(data: Any) -> Any:
    """Without nulls: Atlassian's description knows none, its answers are full of them."""
    if isinstance(data, dict):
        return {name: _bare(value) for name, value in data.items() if value is not None}
    return [_bare(one) for one in data] if isinstance(data, list) else data
