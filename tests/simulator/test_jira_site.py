"""The simulated Jira site over HTTP: complete answers, and refusals of Jira's shape."""

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from services.simulator.jira_site import JiraSite, jira_site
from services.simulator.model import fold
from services.simulator.world import World
from tests.simulator.conftest import NOW, Ask, all_issues, client, jira_headers


@pytest.fixture
async def ask(world: World) -> AsyncIterator[Ask]:
    async with client(jira_site(world), jira_headers()) as found:
        yield found


async def test_a_search_gives_every_issue_page_by_page(ask: Ask, world: World) -> None:
    """The chain of tokens ends with all issues of all projects, each once."""
    issues = await all_issues(ask, "project in (PAY, WEB, OPS) ORDER BY created ASC, key ASC", maxResults=40)
    assert [int(issue["id"]) for issue in issues] == [item.id for item in world.of("jira")]


async def test_pages_with_fields_are_smaller_than_asked_for(ask: Ask) -> None:
    """A page of full issues holds a hundred at most, one of ids five thousand."""
    body = {"jql": "created > -500d", "maxResults": 5000, "fields": ["summary"]}
    full = (await ask.post("/rest/api/3/search/jql", json=body)).json()
    bare = (await ask.post("/rest/api/3/search/jql", json=body | {"fields": ["id"]})).json()
    assert len(full["issues"]) == 100 and "nextPageToken" in full
    assert len(bare["issues"]) > 400 and bare["isLast"] and bare["issues"][0].keys() == {"id"}


async def test_a_search_by_get_is_the_same_search(ask: Ask) -> None:
    """Query parameters mean what the body means, below both versions of the path."""
    url = "/rest/api/2/search/jql?jql=project%20%3D%20PAY&fields=summary,status&maxResults=3"
    by_get = (await ask.get(url)).json()
    body = {"jql": "project = PAY", "fields": ["summary", "status"], "maxResults": 3}
    by_post = (await ask.post("/rest/api/3/search/jql", json=body)).json()
    assert by_get == by_post
    assert len(by_get["issues"]) == 3 and by_get["issues"][0]["fields"].keys() == {"summary", "status"}


async def test_the_count_is_that_of_the_search(ask: Ask) -> None:
    """An estimate that happens to be exact."""
    for jql in ("project = WEB", "updated >= -30d", "project = OPS AND created < -100d"):
        counted = (await ask.post("/rest/api/3/search/approximate-count", json={"jql": jql})).json()
        assert counted == {"count": len(await all_issues(ask, jql))}


async def test_bulk_fetch_leaves_out_what_is_gone_and_follows_moves(ask: Ask, world: World) -> None:
    """Deleted issues are in neither list; a former key gives the issue under its new key; ids ascend."""
    pay = world.container("PAY")
    moved, gone, stays = pay.items[3], pay.items[4], pay.items[5]
    former = world.key(moved)
    world.move(moved, world.container("WEB"))
    world.delete(gone)
    wanted = [str(stays.id), former, str(gone.id), "NOPE-1"]
    body = {"issueIdsOrKeys": wanted, "fields": ["summary", "project"]}
    answer = (await ask.post("/rest/api/3/issue/bulkfetch", json=body)).json()
    assert [issue["id"] for issue in answer["issues"]] == [str(moved.id), str(stays.id)]
    assert answer["issues"][0]["key"] == world.key(moved)
    assert answer["issueErrors"] == []


async def test_the_bulk_changelog_interleaves_issues_and_is_complete(ask: Ask, world: World) -> None:
    """Pages go by date over all issues, so one issue's history is spread; together nothing is missing."""
    items = world.container("WEB").items[:60]
    body: dict[str, object] = {"issueIdsOrKeys": [str(item.id) for item in items], "maxResults": 25}
    found: dict[str, list[str]] = {}
    pages = []
    while True:
        answer = (await ask.post("/rest/api/3/changelog/bulkfetch", json=body)).json()
        pages.append({log["issueId"] for log in answer["issueChangeLogs"]})
        for log in answer["issueChangeLogs"]:
            found.setdefault(log["issueId"], []).extend(one["id"] for one in log["changeHistories"])
        if "nextPageToken" not in answer:
            break
        body["nextPageToken"] = answer["nextPageToken"]
    assert found == {str(item.id): [str(change.id) for change in item.history] for item in items if item.history}
    assert len(pages) > 3 and any(left & right for left, right in pairwise(pages))


async def test_the_bulk_changelog_keeps_to_the_fields_asked_for(ask: Ask, world: World) -> None:
    """Only histories that touch a wanted field come, and only with these items."""
    ids = [str(item.id) for item in world.container("PAY").items[:80]]
    body = {"issueIdsOrKeys": ids, "fieldIds": ["status", "resolution"]}
    answer = (await ask.post("/rest/api/3/changelog/bulkfetch", json=body)).json()
    fields = {
        row["fieldId"] for log in answer["issueChangeLogs"] for one in log["changeHistories"] for row in one["items"]
    }
    assert fields == {"status", "resolution"}


async def test_a_changelog_tells_of_every_kind_of_change(ask: Ask, world: World) -> None:
    """Each attribute that can change has an item of its own in the history, from and to as Jira words them."""
    item = next(one for one in world.container("WEB").items if one.type == "Story" and one.parent)
    world.edit(item, labels=("a", "b"), components=("Search",), milestones=(), parent=None, points=13.0, goal="Growth")
    world.edit(item, title="other", type="Bug", assignee=None, estimate_s=3600, team=None, due=NOW.date())
    world.move(item, world.container("PAY"))
    log = (await ask.get(f"/rest/api/3/issue/{item.id}/changelog", params={"maxResults": 100})).json()
    assert log["isLast"] and log["total"] == len(item.history) == len(log["values"])
    rows = {row["field"]: row for history in log["values"] for row in history["items"]}
    assert (rows["labels"]["toString"], rows["labels"]["to"]) == ("a b", None)
    assert rows["Story Points"]["toString"] == "13" and rows["Story Points"]["fieldtype"] == "custom"
    assert rows["IssueParentAssociation"]["to"] is None and "fieldId" not in rows["IssueParentAssociation"]
    assert re.fullmatch(r"WEB-\d+", rows["Key"]["fromString"]) and rows["Key"]["toString"] == world.key(item)
    assert rows["project"]["toString"] == "Payments"
    assert {"Component", "Goal", "Team", "summary", "issuetype", "assignee", "duedate"} <= rows.keys()
    assert rows["Fix Version"]["to"] is None and rows["timeoriginalestimate"]["to"] == "3600"


async def test_history_and_fields_agree(ask: Ask, world: World) -> None:
    """The last status of the changelog is the status that the issue shows, with the same id."""
    for item in [one for one in world.of("jira") if "status" in fold(one)][:60]:
        issue = (await ask.get(f"/rest/api/3/issue/{item.id}", params={"expand": "changelog"})).json()
        moves = [
            row for one in issue["changelog"]["histories"] for row in one["items"] if row.get("fieldId") == "status"
        ]
        assert moves[0]["to"] == issue["fields"]["status"]["id"]
        assert moves[0]["toString"] == issue["fields"]["status"]["name"] == item.status


async def test_a_team_managed_project_has_statuses_and_points_of_its_own(ask: Ask) -> None:
    """The same name has another id there, and estimates lie in another field."""
    body = {"fields": ["status", "customfield_10016", "customfield_10028"], "maxResults": 100}
    own, other = [
        (await ask.post("/rest/api/3/search/jql", json=body | {"jql": f"project = {key}"})).json()["issues"]
        for key in ("OPS", "PAY")
    ]
    ids = [{issue["fields"]["status"]["id"] for issue in issues} for issues in (own, other)]
    assert ids[0].isdisjoint(ids[1])
    assert any(issue["fields"]["customfield_10016"] for issue in own)
    assert not any(issue["fields"]["customfield_10028"] for issue in own)
    assert any(issue["fields"]["customfield_10028"] for issue in other)


async def test_projects_are_listed_by_their_state(ask: Ask, world: World) -> None:
    """Live, archived and deleted projects are three lists; the issues of an archived one can still be read."""
    world.set_container("OPS", "archived")
    world.set_container("WEB", "trashed")
    listed = {}
    for state in ("live", "archived", "deleted"):
        rows = (await ask.get("/rest/api/3/project/search", params={"status": state})).json()["values"]
        listed[state] = [row["key"] for row in rows]
    assert listed == {"live": ["PAY"], "archived": ["OPS"], "deleted": ["WEB"]}
    assert (await ask.get("/rest/api/3/issue/OPS-1")).status_code == 200
    assert (await ask.get("/rest/api/3/issue/WEB-1")).status_code == 404
    assert (await ask.get("/rest/api/3/project/WEB")).status_code == 404


async def test_versions_come_in_pages_and_whole(ask: Ask, world: World) -> None:
    """Both endpoints give the same rows, with plain days."""
    whole = (await ask.get("/rest/api/3/project/PAY/versions")).json()
    page = (await ask.get("/rest/api/3/project/PAY/version", params={"maxResults": 2})).json()
    assert page["values"] == whole[:2] and page["total"] == len(whole) and not page["isLast"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", row["releaseDate"]) for row in whole)
    assert {row["released"] for row in whole} == {True, False}


async def test_without_the_right_token_nothing_is_told(world: World) -> None:
    """401 and plain text, as at Jira's; only the server's own description is open."""
    site = jira_site(world)
    for headers in ({}, jira_headers("wrong"), {"Authorization": "Basic !!!"}, {"Authorization": "Bearer x"}):
        async with client(site, headers) as stranger:
            answer = await stranger.get("/rest/api/3/myself")
            assert answer.status_code == 401
            assert answer.text == "Client must be authenticated to access this resource."
            assert answer.headers["www-authenticate"].startswith("Basic")
            info = (await stranger.get("/rest/api/3/serverInfo")).json()
            assert info["deploymentType"] == "Cloud"


async def test_a_token_may_expire_while_the_site_runs(world: World) -> None:
    """Whoever changes the site's token shuts its clients out."""
    site = JiraSite(world)
    async with client(site.app(), jira_headers()) as ask:
        assert (await ask.get("/rest/api/3/myself")).status_code == 200
        site.token = "another"
        assert (await ask.get("/rest/api/3/myself")).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("GET", "/rest/api/3/search?jql=project%3DPAY", None, 410, "migrate to the /rest/api/3/search/jql"),
        ("POST", "/rest/api/2/search", {"jql": "project = PAY"}, 410, "CHANGE-2046"),
        ("GET", "/rest/api/3/issue/PAY-9999", None, 404, "Issue does not exist or you do not have permission"),
        ("GET", "/rest/api/3/project/NOPE", None, 404, "No project could be found"),
        ("POST", "/rest/api/3/search/jql", {"jql": ""}, 400, "Unbounded"),
        ("POST", "/rest/api/3/search/jql", {"jql": "project = PAY", "nextPageToken": "x"}, 400, "invalid or expired"),
        ("POST", "/rest/api/3/search/jql", {"jql": "id = 10001", "reconcileIssues": [1]}, 400, "reconcile"),
        ("POST", "/rest/api/3/issue/bulkfetch", {"issueIdsOrKeys": ["1"] * 101}, 400, "between 1 and 100"),
        ("POST", "/rest/api/3/changelog/bulkfetch", {"issueIdsOrKeys": []}, 400, "At most 1000"),
    ],
)
async def test_a_refusal_has_the_shape_of_jiras(
    ask: Ask, method: str, path: str, body: object, status: int, says: str
) -> None:
    """A status and a list of messages."""
    answer = await ask.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.json().keys() == {"errorMessages", "errors"}
    assert says in answer.json()["errorMessages"][0]


async def test_every_answer_carries_the_worlds_date(ask: Ask, world: World) -> None:
    """Refusals, too; the date moves with the world."""
    for path in ("/rest/api/3/serverInfo", "/rest/api/3/issue/NOPE-1"):
        assert (await ask.get(path)).headers["date"] == "Mon, 23 Nov 2026 10:00:00 GMT"
    world.advance(NOW + timedelta(hours=1))
    assert (await ask.get("/rest/api/3/myself")).headers["date"] == "Mon, 23 Nov 2026 11:00:00 GMT"


async def test_times_have_jiras_own_form(ask: Ask, world: World) -> None:
    """No colon in the offset; Python reads it all the same."""
    fields = (await ask.get("/rest/api/3/issue/PAY-1")).json()["fields"]
    item = world.container("PAY").items[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", fields["created"])
    assert datetime.fromisoformat(fields["created"]) == item.created
