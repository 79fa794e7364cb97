"""What pull requests close and what blocks issues: asked for by the hundred, and never worth a failed pass."""

import json
from typing import Any

import pytest

from connectors.base import Ref
from connectors.github.links import links_of
from connectors.github.sync import GitHubConnector
from schemas.work import Link
from services.simulator.faults import Fault
from services.simulator.model import Item
from services.simulator.vendor_faults import server_error
from tests.connectors.github.conftest import Host, items, read

GRAPHQL = "/graphql"


def pieces(host: Host, count: int = 2) -> list[Item]:
    host.fill(count)
    return list(host.repository.items)


async def links(host: Host, connector: GitHubConnector) -> dict[int, tuple[Link, ...] | None]:
    return {int(id_): item.links for id_, item in items(await read(connector, host.there)).items()}


def queries(host: Host) -> int:
    return len([one for one in host.faults.asked if one.path.endswith(GRAPHQL)])


async def test_a_pull_request_tells_what_it_closes(host: Host, connector: GitHubConnector) -> None:
    first, second = pieces(host)
    pull = host.world.create(host.repository, "Mend both", pull_request=True)
    for item in (first, second):
        host.world.link("closes", pull, item)
    found = await links(host, connector)
    assert found[pull.id] == tuple(
        Link(id=f"closes:{pull.id}:{item.id}", kind="closes", to=f"g:issue:{item.id}", name="closes")
        for item in (first, second)
    )


async def test_each_end_of_a_dependency_is_told_its_side(host: Host, connector: GitHubConnector) -> None:
    """Only issues that say that they have any are asked for."""
    first, second, *others = pieces(host, 5)
    host.world.link("Blocks", first, second)
    found = await links(host, connector)
    id_ = f"blocks:{first.id}:{second.id}"
    assert found[first.id] == (Link(id=id_, kind="blocks", to=f"g:issue:{second.id}", name="blocks"),)
    assert found[second.id] == (
        Link(id=id_, kind="blocks", to=f"g:issue:{first.id}", inward=True, name="is blocked by"),
    )
    assert {found[one.id] for one in others} == {()}
    (asked,) = [json.loads(one.body) for one in host.faults.asked if one.path.endswith(GRAPHQL)]
    assert sorted(asked["variables"]["ids"]) == sorted([f"I_{first.id}", f"I_{second.id}"])


async def test_issues_without_links_cost_nothing(host: Host, connector: GitHubConnector) -> None:
    pieces(host, 120)
    await links(host, connector)
    assert queries(host) == 0


async def test_a_hundred_pull_requests_are_one_query(host: Host, connector: GitHubConnector) -> None:
    """And an idle poll asks nothing."""
    for number in range(200):
        host.world.create(host.repository, f"Mend {number}", pull_request=True)
        host.world.advance(host.world.now + (host.world.now - host.world.now))
    pages = await read(connector, host.there)
    assert 2 <= queries(host) <= 3
    before = queries(host)
    await read(connector, host.there, bytes(pages[-1].checkpoint))
    assert queries(host) - before <= 3


async def test_a_single_look_tells_links_too(host: Host, connector: GitHubConnector) -> None:
    first, second = pieces(host)
    host.world.link("Blocks", first, second)
    ref = Ref(uid=f"g:issue:{second.id}", key=host.world.key(second), container=str(host.repository.id))
    (found,) = (await connector.look([ref])).items
    assert found.links is not None
    assert [one.to for one in found.links] == [f"g:issue:{first.id}"]


async def test_an_older_host_knows_no_dependencies(host: Host, connector: GitHubConnector) -> None:
    """The words it does not know are left out, and what it knows is told."""
    host.site.graphql._old = True
    first, second = pieces(host)
    pull = host.world.create(host.repository, "Mend", pull_request=True)
    host.world.link("closes", pull, first)
    host.world.link("Blocks", first, second)
    found = await links(host, connector)
    assert [one.to for one in found[pull.id] or ()] == [f"g:issue:{first.id}"]
    assert found[first.id] is None  # not known: what was stored before stays


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 403, "body": b'{"message": "Resource not accessible by integration"}'},
        {"status": 404, "body": b'{"message": "Not Found"}'},
        {"body": b'{"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}'},
        {"body": b'{"data": {"nodes": [null, null, 5]}, "errors": [{"type": "FORBIDDEN", "message": "no"}]}'},
        {"body": b'{"data": null, "errors": [{"type": "FORBIDDEN", "message": "no"}]}'},
        {"body": b'{"data": {"nodes": [{"id": "PR_1", "closingIssuesReferences": null}]}}'},
        {"body": b"<html>"},
    ],
)
async def test_links_that_cannot_be_told_stop_nothing(
    host: Host, connector: GitHubConnector, answer: dict[str, Any]
) -> None:
    """Whatever GraphQL answers, the issues themselves are read, and their links are not known now."""
    pieces(host)
    pull = host.world.create(host.repository, "Mend", pull_request=True)
    host.faults.add(Fault(when=GRAPHQL, kind="answer", times=None, **answer))
    found = await links(host, connector)
    assert len(found) == 3
    assert found[pull.id] is None


async def test_a_host_whose_graphql_is_away_is_not_asked_page_by_page(host: Host, connector: GitHubConnector) -> None:
    for number in range(250):
        host.world.create(host.repository, f"Mend {number}", pull_request=True)
    host.faults.add(server_error(GRAPHQL, times=None))
    assert len(await links(host, connector)) == 250
    assert queries(host) <= 6


def test_odd_nodes_are_no_links() -> None:
    row = {"id": 7}
    nodes = [None, 5, {}, {"fullDatabaseId": "x"}, {"fullDatabaseId": True}, {"databaseId": 9}, {"fullDatabaseId": "9"}]
    found = links_of({"closingIssuesReferences": {"nodes": nodes}}, row, "g")
    assert found is not None
    assert [one.to for one in found] == ["g:issue:9"]
    assert links_of({"blockedBy": {"nodes": []}}, row, "g") is None
    many = [{"fullDatabaseId": str(number)} for number in range(5000)]
    assert len(links_of({"closingIssuesReferences": {"nodes": many}}, row, "g") or ()) == 200
