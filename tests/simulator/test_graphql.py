"""The simulated GraphQL answers what was asked, refuses what GitHub refuses, and counts what it costs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from services.simulator.boards import ProjectBoard, add_board
from services.simulator.github_host import TOKEN, GithubHost
from services.simulator.graphql import InvalidQuery, parse
from services.simulator.serve import serve_in_thread
from services.simulator.world import World

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
ITEMS = "query ($first: Int!) { node(id: %r) { ... on ProjectV2 { items(first: $first%s) { nodes { %s } } } } }"


class Asking:
    def __init__(self) -> None:
        self.world = World(seed=1, start=NOW - timedelta(days=3), watched=NOW)
        self.repository = self.world.add_container("github", "acme/web", "Web")
        self.board: ProjectBoard = add_board(self.world, "acme", 7)
        self.site = GithubHost(self.world)
        self.url = ""

    def ask(self, query: str, token: str = TOKEN, **variables: Any) -> Any:
        headers = {"authorization": f"bearer {token}"}
        body = {"query": query, "variables": variables}
        return requests.post(f"{self.url}/graphql", json=body, headers=headers, timeout=10)

    def items(self, nodes: str = "id", first: int = 100, more: str = "") -> Any:
        return self.ask((ITEMS % (self.board.id, more, nodes)).replace("'", '"'), first=first).json()


@pytest.fixture
def asking() -> Iterator[Asking]:
    made = Asking()
    with serve_in_thread(made.site.app()) as (made.url,):
        yield made


def test_only_what_was_asked_is_answered(asking: Asking) -> None:
    """Fields, aliases, fragments on types and interfaces."""
    item = asking.world.create(asking.repository, "One")
    asking.board.put(item, Status="Done")
    values = "fieldValues(first: 9) { nodes { ... on ProjectV2ItemFieldSingleSelectValue { chosen: name } } }"
    found = asking.items(f"kind: type {values} content {{ ... on Issue {{ number }} ... on PullRequest {{ title }} }}")
    (node,) = found["data"]["node"]["items"]["nodes"]
    assert node == {"kind": "ISSUE", "fieldValues": {"nodes": [{}, {"chosen": "Done"}]}, "content": {"number": 1}}


def test_archived_entries_are_listed_where_they_are_asked_for(asking: Asking) -> None:
    """The default is those that are not archived."""
    item = asking.world.create(asking.repository, "One")
    asking.board.put(item)
    asking.board.archive(item)
    assert asking.items()["data"]["node"]["items"]["nodes"] == []
    assert len(asking.items(more=", archivedStates: [ARCHIVED]")["data"]["node"]["items"]["nodes"]) == 1


@pytest.mark.parametrize(
    ("first", "nodes", "more", "code"),
    [
        (0, "id", "", "EXCESSIVE_PAGINATION"),
        (101, "id", "", "EXCESSIVE_PAGINATION"),
        (10, "id fieldValues(first: 101) { nodes { __typename } }", "", "EXCESSIVE_PAGINATION"),
        (10, "nonsense", "", "undefinedField"),
        (10, "id", ", nonsense: 1", "argumentNotAccepted"),
        (10, "content", "", "selectionMismatch"),
        (10, "id {", "", "parseError"),
        (10, "...Missing", "", "useAndDefineFragment"),
    ],
)
def test_what_github_refuses_is_refused(asking: Asking, first: int, nodes: str, more: str, code: str) -> None:
    """Pages that are too large, names that do not exist, and what is no query."""
    asking.board.put(asking.world.create(asking.repository, "One"))
    found = asking.items(nodes, first, more)
    assert [one["extensions"]["code"] for one in found["errors"]] == [code]
    assert "data" not in found


def test_only_the_token_opens_it_and_only_the_scope_shows_boards(asking: Asking) -> None:
    """401 for a wrong token; an error of its own kind where the scope is missing."""
    assert asking.ask("{ rateLimit { cost } }", token="wrong").status_code == 401
    asking.site.graphql.projects = False
    assert [one["type"] for one in asking.items()["errors"]] == ["INSUFFICIENT_SCOPES"]


def test_a_query_costs_its_connections(asking: Asking) -> None:
    """A hundredth of the connections that it asks for, one at least; when all points are spent, that is an error."""
    nested = "id fieldValues(first: 10) { nodes { __typename } }"
    asking.items(nested, 100)
    assert asking.site.graphql.used == 1
    asking.ask("query { a: rateLimit { cost } }")
    assert asking.site.graphql.used == 2
    asking.site.graphql.points = 2
    assert [one["type"] for one in asking.items()["errors"]] == ["RATE_LIMITED"]
    asking.world.advance(asking.world.now + timedelta(hours=1))
    assert "errors" not in asking.items()


@pytest.mark.parametrize("text", ["", "{", "query", "mutation { x }", "{ a } { b }", "query { a(b: ) }", "{ a ; b }"])
def test_what_is_no_query_is_refused(text: str) -> None:
    """Anything that the grammar does not know, or that we do not ask for."""
    with pytest.raises(InvalidQuery):
        parse(text)
