"""Why a Jira issue is no longer found: deleted, moved, archived, in the trash, or no longer ours to see."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from connectors.base import AuthenticationFailed, Looked, Ref, Retriable, Unreachable
from connectors.jira.sync import JiraConnector
from schemas.work import Availability, item_uid
from services.simulator.faults import Fault
from services.simulator.jira_site import NOT_FOUND
from services.simulator.model import Item
from tests.connectors.jira.conftest import Site, to_millisecond

BULK = "/issue/bulkfetch"


def ref(site: Site, item: Item) -> Ref:
    return Ref(uid=uid(item), key=site.world.key(item), container=str(item.container))


def uid(item: Item) -> str:
    return item_uid("j", "issue", item.id)


def present(looked: Looked) -> set[str]:
    return {item.uid for item in looked.items}


async def test_issues_that_are_there_come_whole_with_their_history(site: Site, connector: JiraConnector) -> None:
    """What a single look gives of an issue is what a pass gives of it: fields, and every dated change."""
    site.fill(120)
    looked = await connector.look([ref(site, item) for item in site.project.items])
    assert len(looked.items) == 120
    assert not looked.left
    assert not looked.unsure
    read = {item.uid: item async for page in connector.read(site.there, None) for item in page.items}
    assert {item.uid: item for item in looked.items} == read
    assert site.faults.count(BULK) == 2


async def test_a_deleted_issue_is_told_from_one_that_is_there(site: Site, connector: JiraConnector) -> None:
    """Jira leaves a deleted issue out without a word; it is deleted once it was asked for alone, in a live project."""
    site.fill(5)
    asked = [ref(site, item) for item in site.project.items]
    gone, *rest = list(site.project.items)
    site.world.delete(gone)
    looked = await connector.look(asked)
    assert looked.left == {uid(gone): "deleted"}
    assert present(looked) == {uid(item) for item in rest}
    assert site.faults.count(f"/issue/{gone.id}$|/issue/{gone.id}\\?") == 1


async def test_an_issue_that_jira_cannot_tell_of_now_is_asked_again(site: Site, connector: JiraConnector) -> None:
    """A retriable error of one issue (F38) is never taken for a deletion, and the other issues are read."""
    site.fill(3)
    later, *rest = [ref(site, item) for item in site.project.items]

    def failing(data: Any) -> Any:
        issues = [row for row in data["issues"] if row["id"] != later.uid.rpartition(":")[2]]
        return data | {"issues": issues, "issueErrors": [{"id": later.uid.rpartition(":")[2], "errorMessage": "busy"}]}

    site.faults.add(Fault(when=BULK, kind="rewrite", change=failing))
    looked = await connector.look([later, *rest])
    assert looked.unsure == (later.uid,)
    assert not looked.left
    assert present(looked) == {one.uid for one in rest}


async def test_an_issue_that_moved_is_the_same_under_another_key(site: Site, connector: JiraConnector) -> None:
    """An issue that went to another project (F36, F90) comes under its own uid with its new key and project."""
    site.fill(2)
    other = site.world.add_container("jira", "OPS", "Operations")
    item = site.project.items[0]
    before = ref(site, item)
    site.world.move(item, other)
    looked = await connector.look([before])
    assert [(one.uid, one.key, one.container) for one in looked.items] == [(before.uid, site.world.key(item), "OPS")]


async def test_ids_that_were_not_asked_for_are_nobodys(site: Site, connector: JiraConnector) -> None:
    """An answer that names another id than the one asked for (F90) adds no item, and the asked one is looked for."""
    site.fill(2)
    one, other = site.project.items
    site.faults.add(
        Fault(
            when=BULK,
            kind="rewrite",
            change=lambda data: data | {"issues": [row | {"id": str(other.id)} for row in data["issues"]]},
        )
    )
    looked = await connector.look([ref(site, one)])
    assert present(looked) == {uid(one)}


@pytest.mark.parametrize(
    ("state", "why"), [("archived", "archived"), ("trashed", "trashed"), ("hidden", "access_lost")]
)
async def test_what_became_of_a_project_became_of_its_issues(
    site: Site, connector: JiraConnector, state: Any, why: Availability
) -> None:
    """Issues of an archived, a trashed (F50) or a hidden project are not deleted, whatever each of them answers."""
    site.fill(3)
    await connector.discover()
    asked = [ref(site, item) for item in site.project.items]
    site.world.set_container("WEB", state)
    connector.states = {}
    looked = await connector.look(asked)
    assert looked.left == {one.uid: why for one in asked}
    assert not looked.items


async def test_a_lost_session_is_no_deletion(site: Site, connector: JiraConnector) -> None:
    """Where a site answers an expired token as it answers anonymous visitors (F47), a look ends with the refusal."""
    site.fill(3)
    asked = [ref(site, item) for item in site.project.items]
    await connector.discover()
    site.faults.add(
        Fault(when=BULK, kind="answer", times=None, body=b'{"issues": [], "issueErrors": []}'),
        Fault(
            when=r"/issue/\d+", kind="answer", times=None, status=404,
            body=msgspec.json.encode({"errorMessages": [NOT_FOUND]}),
        ),
        Fault(when="/myself", kind="answer", skip=1, times=None, status=401),
        Fault(when="/project/search", kind="pass"),
    )  # fmt: skip
    with pytest.raises(AuthenticationFailed):
        await connector.look(asked)


async def test_a_site_without_bulk_reads_is_asked_one_by_one(site: Site, connector: JiraConnector) -> None:
    """Where a site has no bulk reads, every issue is asked for alone, with the same outcomes."""
    site.fill(4)
    asked = [ref(site, item) for item in site.project.items]
    gone = site.project.items[1]
    site.world.delete(gone)
    site.faults.add(Fault(when=BULK, kind="answer", times=None, status=404, body=b'{"errorMessages": ["null"]}'))
    looked = await connector.look(asked)
    assert looked.left == {uid(gone): "deleted"}
    assert len(looked.items) == 3


async def test_a_census_of_ten_thousand_issues_costs_two_pages(site: Site, connector: JiraConnector) -> None:
    """Ids alone come 5,000 a page; beside them one page of what changed lately, one count, and who we are."""
    site.fill(10_000, apart=timedelta(minutes=20))
    await connector.discover()
    before = connector.requests
    found = await connector.census(site.there)
    assert set(found.present) == {uid(item) for item in site.project.items}
    assert sum(1 for one in site.faults.asked if b'"maxResults":5000' in one.body.replace(b" ", b"")) == 2
    assert connector.requests - before == 2 + 1 + 1 + 3
    lately = [item for item in site.project.items if site.world.now - item.updated < timedelta(hours=25)]
    assert all(found.present[uid(item)] == to_millisecond(item.updated) for item in lately)


async def test_a_census_that_ends_early_is_none(site: Site, connector: JiraConnector) -> None:
    """A search that ends normally at 64 % of what is counted (F26) is no census."""
    site.fill(200)

    def short(data: Any) -> Any:
        return {"issues": data["issues"][:128], "isLast": True}

    site.faults.add(Fault(when="/search/jql", kind="rewrite", change=short))
    with pytest.raises(Retriable, match="128 of about 200"):
        await connector.census(site.there)


async def test_a_census_of_an_anonymous_visitor_is_none(site: Site, connector: JiraConnector) -> None:
    """Empty lists and a count of nothing, served to a token that expired (F47), are no empty project."""
    site.fill(20)
    await connector.discover()
    site.faults.add(
        Fault(when="/search/jql", kind="answer", times=None, body=b'{"issues": [], "isLast": true}'),
        Fault(when="/approximate-count", kind="answer", times=None, body=b'{"count": 0}'),
        Fault(when="/myself", kind="answer", skip=1, times=None, status=401),
    )
    with pytest.raises(AuthenticationFailed):
        await connector.census(site.there)


async def test_a_census_whose_tokens_lead_in_a_circle_is_none(site: Site, connector: JiraConnector) -> None:
    """The end of the list is proven by the chain of its tokens, which a repeated token is not."""
    site.fill(3)
    body = b'{"issues": [{"id": "10001"}], "nextPageToken": "again"}'
    site.faults.add(Fault(when="/search/jql", kind="answer", times=None, body=body))
    with pytest.raises(Unreachable, match="token twice"):
        await connector.census(site.there)


async def test_a_census_whose_token_is_forgotten_begins_anew_next_time(site: Site, connector: JiraConnector) -> None:
    """A page token that the site no longer knows ends this census, and no gap is opened for the project."""
    site.fill(3)
    body = b'{"errorMessages": ["The provided next page token is invalid or expired."]}'
    site.faults.add(Fault(when="/search/jql", kind="answer", status=400, body=body))
    with pytest.raises(Retriable, match="invalid or expired"):
        await connector.census(site.there)
    assert len((await connector.census(site.there)).present) == 3
