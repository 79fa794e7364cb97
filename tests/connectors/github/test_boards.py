"""Project boards over HTTP: whole, at the price that is promised, and whatever GraphQL answers with 200."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest

from connectors.base import Board
from connectors.github.board_shapes import board_item, fields_of, shape
from connectors.github.graphql import endpoint
from connectors.github.sync import GitHubConnector
from services.simulator import vendor_faults as vendors
from services.simulator.boards import ProjectBoard, add_board
from services.simulator.faults import Fault
from services.simulator.github_host import GithubHost
from services.simulator.serve import serve_in_thread
from tests.connectors.github.conftest import Host

QUERIES = "/graphql"
FIELDS = {"Goal": "Goal", "Size": "Size", "Due": "Due", "Sprint": "Iteration", "Notes": "Notes"}


@pytest.fixture
def board(host: Host) -> ProjectBoard:
    made = add_board(host.world, "acme", 7)
    made.add_field("Goal", "SINGLE_SELECT", options=("Growth", "Trust"))
    made.add_field("Size", "NUMBER")
    made.add_field("Due", "DATE")
    made.add_field("Notes", "TEXT")
    made.add_field("Iteration", "ITERATION")
    made.add_iteration("Sprint 1", date(2026, 11, 2))
    return made


@pytest.fixture
async def connector(host: Host, board: ProjectBoard) -> AsyncIterator[GitHubConnector]:
    made = host.connector(project_boards=("acme/7",), fields=FIELDS, team_field="Notes")
    yield made
    await made.close()


async def read(connector: GitHubConnector, known: bytes = b"{}") -> Board:
    (found,) = await connector.boards({"acme/7": known})
    return found


def on_board(host: Host, board: ProjectBoard, count: int, **values: Any) -> None:
    host.fill(count)
    for item in host.repository.items:
        board.put(item, **values)


def sizes(host: Host) -> list[int]:
    """How many entries each query asked for."""
    return [size for size in map(vendors.page_asked, host.faults.asked) if size is not None]


def reason(board: Board) -> str | None:
    return board.gap.reason if board.gap is not None else None


# -- whole -------------------------------------------------------------------------------------------------------------


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


def test_the_estimate_is_the_field_that_the_configuration_or_its_name_says() -> None:
    """A field that is mapped as one; else by name, the first of three; and never one that is no number."""
    rows = [
        {"id": "1", "name": "Story points", "dataType": "NUMBER"},
        {"id": "2", "name": "estimate", "dataType": "TEXT"},
        {"id": "3", "name": "Größe", "dataType": "NUMBER"},
    ]
    fields = fields_of(rows)
    assert shape(fields, {}, None, {}).estimate == "1"
    assert shape(fields, {"Estimate": "Größe"}, None, {}).estimate == "3"
    assert shape(fields, {"Goal": "Größe"}, None, {}).estimate == "1"
    assert shape(fields_of(rows[1:]), {}, None, {}).estimate is None


def test_an_option_is_called_what_the_board_calls_it_now() -> None:
    """By its id, whatever name stands beside the value; by that name where the board has no such option any more."""
    row = {"id": "F", "name": "Goal", "dataType": "SINGLE_SELECT", "options": [{"id": "1", "name": "New"}]}
    meant = shape(fields_of([row]), {"Goal": "Goal"}, None, {})

    def goal(option: str) -> Any:
        content = {"__typename": "Issue", "fullDatabaseId": "5", "number": 1, "repository": {"nameWithOwner": "a/b"}}
        value = {"optionId": option, "name": "Old", "field": {"id": "F"}}
        found = board_item({"id": "E", "content": content, "fieldValues": {"nodes": [value]}}, meant, "g")
        return found.fields["Goal"] if found is not None else None

    assert (goal("1"), goal("2")) == ("New", "Old")


def test_fields_are_found_by_id_by_name_and_by_what_was_remembered() -> None:
    """A name that is gone leads to the field that last had it, unless that is gone too."""
    fields = fields_of([{"id": "1", "name": "Goal", "dataType": "TEXT"}, {"id": "2", "name": "2", "dataType": "TEXT"}])
    assert shape(fields, {"a": "1", "b": "GOAL", "c": "2"}, None, {}).fields == {"a": "1", "b": "1", "c": "2"}
    assert shape(fields, {"a": "Former"}, None, {"a": "1"}).fields == {"a": "1"}
    assert shape(fields, {"a": "Former"}, "Gone", {"a": "9"}).missing == ("Former", "Gone")


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


ENTRY: dict[str, Any] = {
    "id": "E",
    "isArchived": False,
    "updatedAt": "2026-11-01T00:00:00Z",
    "content": {"__typename": "Issue", "fullDatabaseId": "5", "number": 1, "repository": {"nameWithOwner": "a/b"}},
    "fieldValues": {"nodes": []},
}
ISSUE = ENTRY["content"]
NO_IDS: list[Any] = [None, "x", "²", "9" * 40, True, {}]


@pytest.mark.parametrize(
    "row",
    [
        None, 7, [], {}, {"id": 7}, {**ENTRY, "id": None}, {**ENTRY, "content": None}, {**ENTRY, "content": []},
        *({**ENTRY, "content": {**ISSUE, "number": number}} for number in (None, "1", True, 0, -1, 10**40, 1.5)),
        *({**ENTRY, "content": {**ISSUE, "fullDatabaseId": id_}} for id_ in NO_IDS),
        *({**ENTRY, "content": {**ISSUE, "repository": home}} for home in (None, {}, {"nameWithOwner": 7})),
        {**ENTRY, "content": {**ISSUE, "__typename": "DraftIssue"}},
    ],
)  # fmt: skip
def test_what_is_no_entry_is_passed_over(row: Any) -> None:
    """Whatever stands in the place of an entry, an id, a number or a repository."""
    meant = shape([], {}, None, {})
    assert board_item(ENTRY, meant, "g") is not None
    assert board_item(row, meant, "g") is None


@pytest.mark.parametrize(
    "value",
    [None, 7, [], {}, {"field": None}, {"field": {"id": 7}}, {"field": {"id": "F"}}, {"field": {"id": "F"}, "text": 7},
     {"field": {"id": "F"}, "number": "7"}, {"field": {"id": "F"}, "number": True}, {"field": {"id": "F"}, "date": []},
     {"field": {"id": "F"}, "optionId": {}}, {"field": {"id": "F"}, "optionId": "x", "name": 7}],
)  # fmt: skip
def test_what_is_no_value_is_none(value: Any) -> None:
    """Whatever stands in the place of a value."""
    meant = shape(fields_of([{"id": "F", "name": "Goal", "dataType": "TEXT"}]), {"Goal": "Goal"}, "Goal", {})
    found = board_item({**ENTRY, "fieldValues": {"nodes": [value]}}, meant, "g")
    assert found is not None
    assert (found.fields, found.team) == ({"Goal": None}, None)


# -- limits ------------------------------------------------------------------------------------------------------------


async def test_points_that_are_used_up_are_waited_for(
    host: Host, board: ProjectBoard, connector: GitHubConnector
) -> None:
    """200 with RATE_LIMITED is a limit, and no empty board (F8): nothing more is asked before the reset."""
    on_board(host, board, 150, Goal="Growth")
    host.faults.add(vendors.points_used_up(host.world.now, resets_in=30, skip=1))
    began = host.clock.at
    found = await read(connector)
    assert len(found.items or ()) == 150
    assert host.faults.early == []
    assert host.clock.at - began >= 30


async def test_a_long_wait_for_points_stops_no_reading_of_issues(
    host: Host, board: ProjectBoard, connector: GitHubConnector
) -> None:
    """The board is a gap until then; requests of the other budget go on, and queries none."""
    on_board(host, board, 5, Goal="Growth")
    host.faults.add(vendors.points_used_up(host.world.now, resets_in=300))
    assert reason(await read(connector)) == "rate_limited"
    assert reason(await read(connector)) == "rate_limited"
    assert host.faults.count(QUERIES) == 1
    assert len([page async for page in connector.read(host.there, None)]) == 3
    host.faults.clear()
    host.clock.at += 300
    assert (await read(connector)).complete


@pytest.mark.parametrize("status", [200, 403])
async def test_the_secondary_limit_is_one_of_both_budgets(
    host: Host, board: ProjectBoard, connector: GitHubConnector, status: int
) -> None:
    """However it is answered: a minute without any request."""
    on_board(host, board, 5)
    fault = vendors.secondary_limit(QUERIES, retry_after=60)
    if status == 200:
        fault = vendors.graphql_secondary_limit()
    host.faults.add(fault)
    began = host.clock.at
    assert (await read(connector)).complete
    assert host.clock.at - began >= 60
    assert host.faults.early == []


async def test_what_others_have_spent_is_not_asked_for(
    host: Host, board: ProjectBoard, connector: GitHubConnector
) -> None:
    """Where fewer points are left than a board costs, it is a gap and not a limit; after the reset it is read."""
    on_board(host, board, 250)
    known = bytes((await read(connector)).known)
    host.site.graphql.points = host.site.graphql.used + 6
    assert (await read(connector, known)).complete
    found = await read(connector, known)
    assert (reason(found), found.items, host.faults.count(QUERIES)) == ("rate_limited", None, 8)
    host.world.advance(host.world.now + timedelta(hours=1))
    await connector.discover()
    assert (await read(connector, known)).complete


async def test_no_more_than_a_thousand_points_are_spent_in_an_hour(
    host: Host, board: ProjectBoard, connector: GitHubConnector
) -> None:
    """A large board is read more rarely, and says nothing meanwhile: what was read last stands."""
    on_board(host, board, 3_000)
    known = b"{}"
    for _ in range(60):
        host.clock.at += 60
        found = await read(connector, known)
        known = bytes(found.known) if found.items is not None else known
        assert found.gap is None
    assert 900 <= host.site.graphql.used <= 1_000
    host.clock.at += 3_600
    assert (await read(connector, known)).complete


async def test_points_are_no_requests(host: Host, board: ProjectBoard, connector: GitHubConnector) -> None:
    """What is left of the points is not taken for what is left of the requests."""
    host.site.hourly, host.site.graphql.points = 5_000, 700
    await connector.discover()
    left = connector.client.limits["x-ratelimit-remaining"]
    await read(connector)
    assert connector.client.limits["x-ratelimit-remaining"] == left


# -- answers that are none ---------------------------------------------------------------------------------------------


async def test_pages_that_are_too_heavy_are_halved(host: Host, board: ProjectBoard, connector: GitHubConnector) -> None:
    """502 for every page of more than 25 (F12): the board is read all the same, and later pages are asked for so."""
    on_board(host, board, 60)
    host.faults.add(vendors.too_heavy(25))
    assert len((await read(connector)).items or ()) == 60
    assert sizes(host) == [100, 100, 50, 25, 25, 25]
    await read(connector)
    assert sizes(host)[6:] == [25, 25, 25]


async def test_an_error_that_passes_costs_no_smaller_pages(
    host: Host, board: ProjectBoard, connector: GitHubConnector
) -> None:
    """One 502 is asked again as it was."""
    on_board(host, board, 150)
    host.faults.add(Fault(when=QUERIES, kind="answer", status=502, skip=1, body=b"<html></html>"))
    assert (await read(connector)).complete
    assert sizes(host) == [100, 100, 100]


async def test_a_host_that_never_answers_is_a_gap_after_bounded_tries(
    host: Host, board: ProjectBoard, connector: GitHubConnector
) -> None:
    """502 for ever (F11): six tries, each after a longer pause, and no value is lost."""
    host.faults.add(vendors.server_error(QUERIES, times=None))
    found = await read(connector)
    assert (reason(found), found.items, host.faults.count(QUERIES)) == ("unreadable", None, 6)
    assert len(host.clock.slept) == 5


ODD = {
    "nothing": b"",
    "null": b"null",
    "an empty object": b"{}",
    "a list": b"[]",
    "data of null": b'{"data": null}',
    "no data": b'{"data": {}}',
    "an error without a type": b'{"data": null, "errors": [{"message": "Something went wrong while executing"}]}',
    "a board of nothing": b'{"data": {"repositoryOwner": {"projectV2": {}}}}',
    "entries of nothing": b'{"data": {"node": {"items": null}}}',
    "a page without its end": b'{"data": {"node": {"items": {"nodes": [], "totalCount": 0, "pageInfo": {}}}}}',
    "half an object": b'{"data": {"node": ',
    "HTML": b"<html><body>Unicorn</body></html>",
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
@pytest.mark.parametrize("skip", [0, 1, 2], ids=["fields", "first page", "second page"])
async def test_what_is_no_answer_is_no_empty_board(
    host: Host, board: ProjectBoard, connector: GitHubConnector, body: bytes, skip: int
) -> None:
    """Once it is asked again; for ever it is a gap, and nothing was read (F15, F16, F17)."""
    on_board(host, board, 150)
    html = {"content-type": "text/html"} if body.startswith(b"<") else {}
    once = Fault(when=QUERIES, kind="answer", headers=html, body=body, skip=skip)
    host.faults.add(once)
    found = await read(connector)
    assert (len(found.items or ()), found.complete, found.gap) == (150, True, None)
    host.faults.clear()
    host.faults.add(Fault(when=QUERIES, kind="answer", headers=html, body=body, skip=skip, times=None))
    found = await read(connector)
    assert (found.items, reason(found)) == (None, "unreadable")


async def test_pages_that_lead_in_a_circle_end(host: Host, board: ProjectBoard, connector: GitHubConnector) -> None:
    """A cursor that is given again is no next page."""
    on_board(host, board, 150)

    def again(data: Any) -> Any:
        if "node" in data["data"]:
            data["data"]["node"]["items"]["pageInfo"] = {"hasNextPage": True, "endCursor": "100"}
        return data

    host.faults.add(Fault(when=QUERIES, kind="rewrite", times=None, change=again))
    assert reason(await read(connector)) == "unreadable"
    assert host.faults.count(QUERIES) == 3


async def test_a_board_that_is_sorted_meanwhile_is_read_once_more(
    host: Host, board: ProjectBoard, connector: GitHubConnector
) -> None:
    """An entry that is dragged over the border of a page is missed, the count tells, and the second try is whole."""
    on_board(host, board, 150, Goal="Growth")
    last = host.repository.items[-1]
    host.faults.add(Fault(when=QUERIES, kind="pass", skip=1, act=lambda: board.raise_to_top(last)))
    found = await read(connector)
    assert (len(found.items or ()), found.complete, found.gap) == (150, True, None)
    assert sizes(host) == [100] * 4


async def test_a_count_that_never_fits_is_a_gap_in_the_end(
    host: Host, board: ProjectBoard, connector: GitHubConnector
) -> None:
    """Twice it may be an accident; then it is said that nothing can be taken for gone."""
    on_board(host, board, 3)

    def more(data: Any) -> Any:
        if "node" in data["data"]:
            data["data"]["node"]["items"]["totalCount"] = 4
        return data

    host.faults.add(Fault(when=QUERIES, kind="rewrite", times=None, change=more))
    known, said = b"{}", []
    for _ in range(3):
        found = await read(connector, known)
        known = bytes(found.known)
        said.append((reason(found), found.complete, len(found.items or ())))
    assert said == [(None, False, 3), (None, False, 3), ("incomplete", False, 3)]


# -- what is kept from us ----------------------------------------------------------------------------------------------


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


# -- check, and where it is asked --------------------------------------------------------------------------------------


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
