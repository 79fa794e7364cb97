"""Limits that GraphQL answers with 200, pages that are too heavy, and answers that are none."""

from datetime import timedelta
from typing import Any

import pytest

from connectors.github.sync import GitHubConnector
from services.simulator import vendor_faults as vendors
from services.simulator.boards import ProjectBoard
from services.simulator.faults import Fault
from tests.connectors.github.boards import QUERIES, board, connector, on_board, read, reason, sizes
from tests.connectors.github.conftest import Host

__all__ = ["board", "connector"]


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
    host.clock.at += 301
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
    host.clock.at += 3_601
    assert (await read(connector, known)).complete


async def test_points_are_no_requests(host: Host, board: ProjectBoard, connector: GitHubConnector) -> None:
    """What is left of the points is not taken for what is left of the requests."""
    host.site.hourly, host.site.graphql.points = 5_000, 700
    await connector.discover()
    left = connector.client.credentials[0].limits["x-ratelimit-remaining"]
    await read(connector)
    assert connector.client.credentials[0].limits["x-ratelimit-remaining"] == left


async def test_pages_that_are_too_heavy_are_halved(host: Host, board: ProjectBoard, connector: GitHubConnector) -> None:
    """502 for every page of more than 25 (F12): the board is read all the same, and later pages are asked for so, for
    an hour."""
    on_board(host, board, 60)
    host.faults.add(vendors.too_heavy(25))
    assert len((await read(connector)).items or ()) == 60
    assert sizes(host) == [100, 100, 50, 25, 25, 25]
    await read(connector)
    assert sizes(host)[6:] == [25, 25, 25]
    host.faults.clear()
    host.clock.at += 3_601
    await read(connector)
    assert sizes(host)[9:] == [100]


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
