"""The simulated GitHub host over HTTP: complete lists, conditional requests, limits and redirects."""

from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest

from services.simulator.github_host import GithubHost, github_host
from services.simulator.github_shapes import due_on, events
from services.simulator.model import Item
from services.simulator.world import World
from tests.simulator.conftest import NOW, Ask, all_pages, client, github_headers


@pytest.fixture
async def ask(world: World) -> AsyncIterator[Ask]:
    async with client(github_host(world), github_headers()) as found:
        yield found


def an_issue(world: World, repository: str = "acme/web") -> Item:
    return next(item for item in world.container(repository).items if not item.pull_request and not item.done)


@pytest.mark.parametrize("prefix", ["", "/api/v3"])
@pytest.mark.parametrize("path", ["/repos/acme/web", "/repos/ACME/Web", "/repositories/{id}"])
async def test_the_links_lead_through_all_issues(ask: Ask, world: World, prefix: str, path: str) -> None:
    """Issues and pull requests, open and closed, each once, whichever way the repository is named."""
    where = world.container("acme/web")
    url = f"{prefix}{path.format(id=where.id)}/issues?state=all&per_page=17&sort=updated&direction=asc"
    rows = await all_pages(ask, url)
    assert sorted(row["id"] for row in rows) == [item.id for item in where.items]
    assert [row["updated_at"] for row in rows] == sorted(row["updated_at"] for row in rows)
    assert {row["id"] for row in rows if "pull_request" in row} == {one.id for one in where.items if one.pull_request}


async def test_open_issues_are_the_default_newest_first(ask: Ask, world: World) -> None:
    """Who forgets state=all sees the open ones only."""
    rows = await all_pages(ask, "/repos/acme/pay/issues")
    expected = [item.id for item in world.container("acme/pay").items if item.status == "open"]
    assert [row["id"] for row in rows] == sorted(expected, reverse=True)


async def test_since_includes_its_own_second(ask: Ask, world: World) -> None:
    """An item updated at the very moment is in the answer."""
    items = sorted(world.container("acme/web").items, key=lambda one: one.updated)
    since = items[-5].updated
    rows = await all_pages(ask, f"/repos/acme/web/issues?state=all&since={since:%Y-%m-%dT%H:%M:%SZ}")
    assert {row["id"] for row in rows} == {item.id for item in items if item.updated >= since}


async def test_since_1970_finds_nothing(ask: Ask) -> None:
    """As at the real host."""
    assert (await ask.get("/repos/acme/web/issues?state=all&since=1970-01-01T00:00:00Z")).json() == []


async def test_a_cursor_does_not_drift_but_a_page_number_does(ask: Ask, world: World) -> None:
    """An item that moves while somebody pages pushes another over the edge of a numbered page only."""
    where = world.container("acme/web")
    url = "/repos/acme/web/issues?state=all&sort=updated&direction=asc&per_page=20"
    first = await ask.get(url)
    world.touch(world.items[first.json()[0]["id"]])
    along = first.json() + await all_pages(ask, first.links["next"]["url"])
    numbered = first.json() + [row for page in range(2, 9) for row in (await ask.get(f"{url}&page={page}")).json()]
    everything = {item.id for item in where.items}
    assert {row["id"] for row in along} == everything
    assert len({row["id"] for row in numbered}) == len(everything) - 1


async def test_deep_pages_are_refused(ask: Ask) -> None:
    """From page 100 on a cursor is needed."""
    answer = await ask.get("/repos/acme/web/issues?per_page=100&page=100")
    assert answer.status_code == 422
    assert answer.json()["message"].startswith("Pagination with the page parameter is not supported")


async def test_events_tell_the_whole_life_of_an_issue(ask: Ask, world: World) -> None:
    """Labels and milestone of its creation, closing with a reason, reopening; events and timeline agree."""
    item = an_issue(world)
    later = world.create(world.container("acme/web"), "New", type="Bug", labels=("a", "b"), milestones=item.milestones)
    world.edit(later, labels=("b", "c"), title="Newer", milestones=(), parent=item.id)
    world.finish(later, "not_planned")
    world.reopen(later)
    path = f"/repos/acme/web/issues/{later.number}"
    rows = (await ask.get(f"{path}/timeline?per_page=100")).json()
    assert rows == (await ask.get(f"{path}/events?per_page=100")).json()
    kinds = [row["event"] for row in rows]
    assert kinds[:2] == ["labeled", "labeled"] and kinds[-2:] == ["closed", "reopened"]
    assert {"unlabeled", "renamed", "demilestoned", "parent_issue_added"} <= {*kinds}
    assert rows[-2]["state_reason"] == "not_planned"
    assert len({row["id"] for row in rows}) == len(rows)
    issue = (await ask.get(path)).json()
    assert (issue["state"], issue["state_reason"]) == ("open", "reopened")
    assert [one["name"] for one in issue["labels"]] == ["b", "c"] and issue["milestone"] is None


async def test_a_merged_pull_request_says_so(ask: Ask, world: World) -> None:
    """merged_at stands in the issue's row, and a merged event comes before the closed one."""
    item = next(one for one in world.container("acme/web").items if one.merged)
    row = (await ask.get(f"/repos/acme/web/issues/{item.number}")).json()
    kinds = [one["event"] for one in (await ask.get(f"/repos/acme/web/issues/{item.number}/events")).json()]
    assert row["pull_request"]["merged_at"] == row["closed_at"]
    assert kinds[-2:] == ["merged", "closed"]


async def test_the_repositorys_events_are_all_events_newest_first(ask: Ask, world: World) -> None:
    """Nothing is missing from the list, and each has its issue beside it."""
    rows = await all_pages(ask, "/repos/acme/pay/issues/events?per_page=100")
    expected = [one.id for item in world.container("acme/pay").items for one in events(world, item)]
    assert sorted(row["id"] for row in rows) == sorted(expected)
    assert [row["created_at"] for row in rows] == sorted((row["created_at"] for row in rows), reverse=True)
    assert all(row["issue"]["number"] for row in rows)


async def test_sub_issues_and_parent_are_two_ends_of_one_thing(ask: Ask, world: World) -> None:
    """The parent lists its children, counts the done ones, and each child names it."""
    parent = next(world.items[one] for one in world.children if world.items[one].tracker == "github")
    path = f"/repos/{world.containers[parent.container].key}/issues"
    rows = await all_pages(ask, f"{path}/{parent.number}/sub_issues?per_page=10")
    assert {row["id"] for row in rows} == world.children[parent.id]
    child = rows[0]
    up = (await ask.get(f"{path}/{child['number']}/parent")).json()
    assert up["id"] == parent.id and child["parent_issue_url"].endswith(f"{path}/{parent.number}")
    assert up["sub_issues_summary"]["total"] == len(rows)
    assert up["sub_issues_summary"]["completed"] == sum(1 for row in rows if row["state"] == "closed")
    assert (await ask.get(f"{path}/{parent.number}/parent")).status_code == 404


async def test_an_unchanged_answer_is_not_sent_twice(ask: Ask, world: World) -> None:
    """304 with an empty body, free of charge, until something changes."""
    url = "/repos/acme/web/milestones?state=all"
    first = await ask.get(url)
    again = await ask.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["x-ratelimit-remaining"] == first.headers["x-ratelimit-remaining"]
    world.set_milestone(world.container("acme/web").milestones[0], title="Renamed")
    assert (await ask.get(url, headers={"If-None-Match": first.headers["etag"]})).status_code == 200


async def test_an_etag_belongs_to_its_token(world: World) -> None:
    """After a rotation of the token the same content has another ETag."""
    host = GithubHost(world)
    async with client(host.app(), {}) as ask:
        first = await ask.get("/repos/acme/web/labels", headers=github_headers())
        host.token = "rotated"
        second = await ask.get("/repos/acme/web/labels", headers=github_headers("rotated"))
    assert first.json() == second.json() and first.headers["etag"] != second.headers["etag"]


async def test_the_primary_limit_ends_with_the_hour_of_the_world(world: World) -> None:
    """Once the requests of an hour are used up, 403 and the time of the reset; afterwards all is well."""
    async with client(github_host(world, hourly=2), github_headers()) as ask:
        assert [(await ask.get("/user")).status_code for _ in range(3)] == [200, 200, 403]
        refused = await ask.get("/user")
        assert refused.headers["x-ratelimit-remaining"] == "0"
        assert int(refused.headers["x-ratelimit-reset"]) == int((NOW + timedelta(hours=1)).timestamp())
        assert refused.json()["message"].startswith("API rate limit exceeded")
        assert (await ask.get("/rate_limit")).json()["resources"]["core"]["remaining"] == 0
        world.advance(NOW + timedelta(hours=1))
        assert (await ask.get("/user")).status_code == 200


async def test_a_renamed_repository_leads_to_itself_with_the_whole_question(ask: Ask, world: World) -> None:
    """301 to the address by id, query and all; the former name may be taken by another repository."""
    where = world.container("acme/web")
    world.rename_container("acme/web", "acme/shop")
    moved = await ask.get("/repos/acme/web/issues?state=all&per_page=100")
    assert moved.status_code == 301
    assert moved.headers["location"].endswith(f"/repositories/{where.id}/issues?state=all&per_page=100")
    assert (await ask.get(f"/repositories/{where.id}")).json()["full_name"] == "acme/shop"
    taken = world.add_container("github", "acme/web", "another")
    assert (await ask.get("/repos/acme/web")).json()["id"] == taken.id


async def test_what_became_of_an_issue_is_told(ask: Ask, world: World) -> None:
    """Deleted: 410. Transferred: 301 to the new one, but 404 for its events. Unreadable there: 404."""
    gone, moving = [item for item in world.container("acme/web").items if not item.pull_request][:2]
    world.delete(gone)
    assert (await ask.get(f"/repos/acme/web/issues/{gone.number}")).status_code == 410
    new = world.transfer(moving, world.container("acme/pay"))
    answer = await ask.get(f"/repos/acme/web/issues/{moving.number}")
    assert answer.status_code == 301
    assert (await ask.get(answer.headers["location"])).json()["id"] == new.id
    assert (await ask.get(f"/repos/acme/web/issues/{moving.number}/events")).status_code == 404
    world.set_container("acme/pay", "hidden")
    assert (await ask.get(f"/repos/acme/web/issues/{moving.number}")).status_code == 404
    assert (await ask.get("/repos/acme/pay/issues")).status_code == 404
    assert [row["full_name"] for row in (await ask.get("/orgs/acme/repos")).json()] == ["acme/web"]


async def test_milestones_have_pacific_midnights_and_counts(ask: Ask, world: World) -> None:
    """07:00 UTC in summer, 08:00 in winter; pull requests are counted, too."""
    assert due_on(date(2026, 7, 1)) == "2026-07-01T07:00:00Z"
    assert due_on(date(2026, 12, 1)) == "2026-12-01T08:00:00Z"
    rows = (await ask.get("/repos/acme/web/milestones?state=all")).json()
    where = world.container("acme/web")
    assert rows[0]["open_issues"] + rows[0]["closed_issues"] == sum(1 for one in where.items if one.milestones)
    assert (await ask.get(f"/repos/acme/web/milestones/{rows[0]['number']}")).json() == rows[0]


async def test_an_enterprise_server_knows_less(world: World) -> None:
    """Neither sub-issues nor types, no limits, but a version."""
    async with client(github_host(world, hourly=None, enterprise="3.19.1"), github_headers()) as ask:
        meta = await ask.get("/api/v3/meta")
        row = (await ask.get("/api/v3/repos/acme/web/issues?state=all")).json()[0]
        assert meta.json()["installed_version"] == "3.19.1"
        assert not any(name.startswith("x-ratelimit") for name in meta.headers)
        assert not {"sub_issues_summary", "parent_issue_url", "type"} & row.keys()
        assert (await ask.get(f"/api/v3/repos/acme/web/issues/{row['number']}/sub_issues")).status_code == 404
        assert (await ask.get("/api/v3/rate_limit")).status_code == 404


@pytest.mark.parametrize(
    ("path", "headers", "status", "says"),
    [
        ("/user", {"Authorization": ""}, 401, "Requires authentication"),
        ("/user", {"Authorization": "Bearer wrong"}, 401, "Bad credentials"),
        ("/repos/acme/nope", {}, 404, "Not Found"),
        ("/repos/acme/web/issues/99999", {}, 404, "Not Found"),
        ("/nothing/here", {}, 404, "Not Found"),
        ("/repositories/10000", {}, 404, "Not Found"),
        ("/user", {"X-GitHub-Api-Version": "1999-01-01"}, 400, "not supported"),
        ("/repos/acme/web/issues?since=soon", {}, 422, "since is no time"),
        ("/repos/acme/web/issues?after=nonsense", {}, 422, "cursor"),
    ],
)
async def test_a_refusal_has_the_shape_of_githubs(
    ask: Ask, path: str, headers: dict[str, str], status: int, says: str
) -> None:
    """A message, a status as text, and where to read more."""
    answer = await ask.get(path, headers=headers)
    assert answer.status_code == status
    assert answer.json()["status"] == str(status) and says in answer.json()["message"]
    assert "documentation_url" in answer.json()
