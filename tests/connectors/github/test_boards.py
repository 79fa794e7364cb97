"""Project boards over HTTP: whole, at the price that is promised, and nothing of what is kept from us is gone."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from connectors.github.graphql import endpoint
from connectors.github.sync import GitHubConnector
from services.simulator import vendor_faults as vendors
from services.simulator.boards import ProjectBoard, add_board
from services.simulator.faults import Fault
from services.simulator.github_host import GithubHost
from services.simulator.serve import serve_in_thread
from tests.connectors.github.boards import QUERIES, board, connector, on_board, read, reason
from tests.connectors.github.conftest import Host

__all__ = ["board", "connector"]


async def test_values_of_every_kind_are_read(host: Host, board: ProjectBoard, connector: GitHubConnector) -> None:
    """Option, number, date, text and iteration; status and when it was chosen; drafts are no work items."""
    host.fill(1)
    (item,) = host.repository.items
    board.put(item, Status="In Progress")
    chosen = host.world.now
    host.world.advance(host.world.now + timedelta(hours=1))
    board.put(item, Goal="Trust", Size=2.5, Due="2026-12-24", Notes="web", Iteration="Sprint 1")
    board.put(None, Goal="Growth")
    found = await read(connector)
    assert found.items is not None
    (one,) = found.items
    assert one.fields == {"Goal": "Trust", "Size": 2.5, "Due": "2026-12-24", "Notes": "web", "Sprint": "Sprint 1"}
    assert (one.status, one.status_at, one.begun, one.team) == ("In Progress", chosen, True, "web")
    assert (one.uid, one.key, one.updated_at) == (f"g:issue:{item.id}", host.world.key(item), host.world.now)
    assert (found.complete, found.gap, len(found.milestones)) == (True, None, 1)


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (99, 1), (100, 1), (101, 2), (250, 3)])
async def test_a_board_costs_one_point_and_one_for_each_hundred_entries(
    host: Host, board: ProjectBoard, connector: GitHubConnector, count: int, pages: int
) -> None:
    """All entries, archived ones too, by as few queries as can be."""
    on_board(host, board, count, Goal="Growth")
    for item in host.repository.items[::3]:
        board.archive(item)
    found = await read(connector)
    assert found.items is not None
    assert {one.uid for one in found.items} == {f"g:issue:{item.id}" for item in host.repository.items}
    assert {one.uid for one in found.items if one.archived} == {
        f"g:issue:{item.id}" for item in host.repository.items[::3]
    }
    assert found.complete
    assert (host.faults.count(QUERIES), host.site.graphql.used) == (1 + pages, 1 + pages)


async def test_an_entry_of_a_pull_request_has_no_uid(
    host: Host, board: ProjectBoard, connector: GitHubConnector
) -> None:
    """Its database id is not the one that the list of issues shows; the number is."""
    board.put(host.world.create(host.repository, "A pull", pull_request=True), Goal="Growth")
    found = await read(connector)
    assert [(one.uid, one.key) for one in found.items or ()] == [(None, "acme/web#1")]


async def test_no_person_and_no_text_is_asked_for(host: Host, board: ProjectBoard, connector: GitHubConnector) -> None:
    """Queries name neither assignees nor titles, and pages of at most a hundred."""
    on_board(host, board, 3)
    await read(connector)
    asked = [one.body.decode() for one in host.faults.asked if one.path == "/graphql"]
    assert asked
    assert not [word for word in ("assignees", "login ", "creator", "body", "author", "email") if word in str(asked)]


@pytest.mark.parametrize("name", ['"', "\\", "a\x00b\ud83d", "💥" * 400, "__typename", "}{", "$owner", " Goal "])
async def test_hostile_names_are_only_names(
    host: Host, board: ProjectBoard, connector: GitHubConnector, name: str
) -> None:
    """Fields, options and iterations may be called anything: what is stored is clean and bounded."""
    host.fill(1)
    where = board.field("Goal")
    option = next(iter(where.options))
    board.put(host.repository.items[0], Goal="Growth", Notes=name.replace("\ud83d", ""), Iteration="Sprint 1")
    where.options[option] = name.replace("\ud83d", "")
    board.field("Iteration").iterations[0].title = name.replace("\ud83d", "")
    board.field("Size").name = name.replace("\ud83d", "")
    found = await read(connector)
    assert found.items is not None
    (one,) = found.items
    for value in (one.fields["Goal"], one.fields["Notes"], one.fields["Sprint"], found.milestones[0].title):
        assert isinstance(value, str)
        assert "\x00" not in value
        assert len(value) <= 1024


async def test_the_good_part_of_an_answer_is_kept(host: Host, board: ProjectBoard, connector: GitHubConnector) -> None:
    """Null in place of an entry, and an error that says so (F9): the others count, and nothing is taken for gone."""
    on_board(host, board, 10, Goal="Growth")
    host.faults.add(vendors.partly_forbidden(3))
    found = await read(connector)
    assert (len(found.items or ()), found.complete, reason(found)) == (9, False, "incomplete")


async def test_an_entry_whose_values_are_kept_from_us_is_unseen(
    host: Host, board: ProjectBoard, connector: GitHubConnector
) -> None:
    """A value that is null for lack of permission is not a value that was cleared."""
    on_board(host, board, 10, Goal="Growth")

    def blind(data: Any) -> Any:
        if "node" in data["data"]:
            data["data"]["node"]["items"]["nodes"][4]["fieldValues"]["nodes"][1] = None
            path = ["node", "items", "nodes", 4, "fieldValues", "nodes", 1]
            data["errors"] = [{"type": "FORBIDDEN", "path": path, "message": "Resource not accessible"}]
        return data

    host.faults.add(Fault(when=QUERIES, kind="rewrite", times=None, change=blind))
    found = await read(connector)
    assert (len(found.items or ()), found.unseen, found.complete) == (9, (board.entries[4].id,), False)


async def test_fields_that_are_kept_from_us_are_not_gone(
    host: Host, board: ProjectBoard, connector: GitHubConnector
) -> None:
    """A board that tells a part of its fields is not read: the others would look cleared."""
    on_board(host, board, 1, Goal="Growth")

    def blind(data: Any) -> Any:
        if "repositoryOwner" in data["data"]:
            data["data"]["repositoryOwner"]["projectV2"]["fields"]["nodes"][2] = None
            path = ["repositoryOwner", "projectV2", "fields", "nodes", 2]
            data["errors"] = [{"type": "FORBIDDEN", "path": path, "message": "Resource not accessible"}]
        return data

    host.faults.add(Fault(when=QUERIES, kind="rewrite", times=None, change=blind))
    found = await read(connector)
    assert (found.items, reason(found)) == (None, "incomplete")


@pytest.mark.parametrize(
    ("problem", "expected", "fix"),
    [
        ({"type": "INSUFFICIENT_SCOPES", "message": "requires read:project"}, "forbidden", "read:project"),
        ({"type": "FORBIDDEN", "message": "Resource not accessible by integration"}, "forbidden", "Projects: read"),
        ({"type": "FORBIDDEN", "message": "protected by organization SAML enforcement"}, "forbidden", "single sign-on"),
        ({"type": "NOT_FOUND", "message": "Could not resolve to a ProjectV2"}, "not_found", "the number"),
        ({"extensions": {"code": "undefinedField"}, "message": "Field doesn't exist"}, "unreadable", "version"),
    ],
)
async def test_a_board_that_is_refused_says_how_to_mend_it(
    host: Host, board: ProjectBoard, connector: GitHubConnector, problem: dict[str, Any], expected: str, fix: str
) -> None:
    """Each refusal with its reason; it is not asked again within a pass."""
    body = msgspec.json.encode({"data": {"repositoryOwner": None}, "errors": [problem]})
    host.faults.add(Fault(when=QUERIES, kind="answer", times=None, body=body))
    found = await read(connector)
    assert found.gap is not None
    assert (found.gap.container, found.gap.reason, found.items) == ("board acme/7", expected, None)
    assert fix in found.gap.fix
    assert host.faults.count(QUERIES) == 1


@pytest.mark.parametrize("name", ["nobody/7", "acme/8"])
async def test_a_board_that_does_not_exist_is_not_found(host: Host, board: ProjectBoard, name: str) -> None:
    """Neither an unknown owner, who is null without a word, nor an unknown number is an empty board."""
    connector = host.connector(project_boards=(name,))
    (found,) = await connector.boards({})
    assert reason(found) == "not_found"
    assert host.faults.count(QUERIES) == 1
    await connector.close()


async def test_a_secret_that_comes_back_in_an_error_is_not_repeated(
    host: Host, board: ProjectBoard, connector: GitHubConnector
) -> None:
    """What the host says of a query may hold the token (F84)."""
    body = msgspec.json.encode({"errors": [{"type": "FORBIDDEN", "message": f"token {connector.config.token}"}]})
    host.faults.add(Fault(when=QUERIES, kind="answer", times=None, body=body))
    found = await read(connector)
    assert found.gap is not None
    assert connector.config.token not in str(found.gap)


async def test_check_says_what_each_board_is_used_for(
    host: Host, board: ProjectBoard, connector: GitHubConnector
) -> None:
    """Which fields are the status, the team, the estimate; which are missing; and a board that cannot be read."""
    board.add_field("Points", "NUMBER")
    (line,) = [one for one in await connector.check() if "board" in one.name]
    assert (line.name, line.ok) == ("g: board acme/7", True)
    assert "status from 'Status'" in line.detail
    assert "estimate from 'Points'" in line.detail
    board.fields.remove(board.field("Size"))
    assert [(one.ok, "'Size'" in one.detail) for one in await connector.check() if "board" in one.name] == [
        (True, False), (False, True)
    ]  # fmt: skip
    host.site.graphql.projects = False
    (line,) = [one for one in await connector.check() if "board" in one.name]
    assert (line.ok, line.exit_code, "read:project" in line.fix) == (False, 1, True)


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("https://api.github.com", "https://api.github.com/graphql"),
        ("https://ghes.corp.example/api/v3", "https://ghes.corp.example/api/graphql"),
        ("http://127.0.0.1:80", "http://127.0.0.1:80/graphql"),
    ],
)
def test_graphql_lies_beside_the_rest(root: str, expected: str) -> None:
    """On the same origin, wherever that is."""
    assert endpoint(root) == expected


async def test_an_enterprise_server_is_asked_at_its_own_address(host: Host, board: ProjectBoard) -> None:
    """``/api/graphql`` where the REST API is at ``/api/v3``."""
    on_board(host, board, 3)
    connector = host.connector(url=f"{host.url}/api/v3", project_boards=("acme/7",))
    (found,) = await connector.boards({})
    assert len(found.items or ()) == 3
    assert {one.path for one in host.faults.asked} == {"/api/graphql"}
    await connector.close()


async def test_an_older_enterprise_server_is_asked_in_its_own_words() -> None:
    """What its schema does not know is left out, from then on; archived entries are told apart all the same (F75)."""
    host = Host()
    host.site = GithubHost(host.world, hourly=None, enterprise="3.12.0")
    board = add_board(host.world, "acme", 7)
    on_board(host, board, 150)
    board.archive(host.repository.items[0])
    with serve_in_thread(host.faults.around(host.site.app())) as (host.url,):
        connector = host.connector(url=f"{host.url}/api/v3", project_boards=("acme/7",))
        for expected in (5, 3):
            before = host.faults.count(QUERIES)
            (found,) = await connector.boards({})
            assert {one.uid for one in found.items or ()} == {f"g:issue:{item.id}" for item in host.repository.items}
            assert (sum(one.archived for one in found.items or ()), found.complete) == (1, True)
            assert host.faults.count(QUERIES) - before == expected
        await connector.close()


async def test_a_redirect_of_a_query_is_not_followed(
    host: Host, board: ProjectBoard, connector: GitHubConnector
) -> None:
    """A query goes to its one address only (F81), wherever an answer points."""
    away = {"location": f"{host.url}/elsewhere"}
    host.faults.add(Fault(when=QUERIES, kind="answer", status=307, headers=away, times=None))
    assert reason(await read(connector)) == "unreadable"
    assert {one.path for one in host.faults.asked} == {"/graphql"}
