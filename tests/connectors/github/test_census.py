"""Why a GitHub issue is no longer found: deleted, transferred, or no longer ours to see."""

from datetime import timedelta

import pytest

from connectors.base import Looked, Ref, Skippable
from connectors.github.sync import GitHubConnector
from schemas.work import item_uid
from services.simulator.faults import Fault
from services.simulator.model import Item
from tests.connectors.github.conftest import Host


def ref(host: Host, item: Item) -> Ref:
    return Ref(uid=uid(item), key=host.world.key(item), container=str(item.container))


def uid(item: Item) -> str:
    return item_uid("g", "pull_request" if item.pull_request else "issue", item.id)


def present(looked: Looked) -> set[str]:
    return {item.uid for item in looked.items}


async def test_issues_that_are_there_come_whole_with_their_history(host: Host, connector: GitHubConnector) -> None:
    """What a single look gives of an issue is what a pass gives of it: fields, and every dated change."""
    host.fill(30)
    looked = await connector.look([ref(host, item) for item in host.repository.items])
    read = {item.uid: item async for page in connector.read(host.there, None) for item in page.items}
    assert {item.uid: item for item in looked.items} == read
    assert (looked.left, looked.unsure) == ({}, ())


async def test_a_deleted_issue_is_gone_and_the_others_are_there(host: Host, connector: GitHubConnector) -> None:
    """The host says 410 of a deleted issue (F38) of a repository that we read: it is deleted."""
    host.fill(4)
    asked = [ref(host, item) for item in host.repository.items]
    gone, *rest = list(host.repository.items)
    host.world.delete(gone)
    looked = await connector.look(asked)
    assert looked.left == {uid(gone): "deleted"}
    assert present(looked) == {uid(item) for item in rest}


async def test_a_transferred_issue_moved(host: Host, connector: GitHubConnector) -> None:
    """A redirect to an issue of another id and repository (F39) says that the issue moved, not that it is that one."""
    host.fill(2)
    other = host.world.add_container("github", "acme/ops", "Operations")
    item = host.repository.items[0]
    asked = ref(host, item)
    host.world.transfer(item, other)
    looked = await connector.look([asked])
    assert looked.left == {asked.uid: "moved"}
    assert not looked.items


async def test_a_transfer_to_where_we_cannot_see_is_a_move_too(host: Host, connector: GitHubConnector) -> None:
    """A 404 in a repository that we read (F40, F80) is a move: of what was deleted there, the host says 410."""
    host.fill(2)
    other = host.world.add_container("github", "acme/secret", "Secret")
    item = host.repository.items[0]
    asked = ref(host, item)
    host.world.transfer(item, other)
    host.world.set_container("acme/secret", "hidden")
    assert (await connector.look([asked])).left == {asked.uid: "moved"}


async def test_a_repository_that_was_out_of_sight_for_a_moment_lost_nothing(
    host: Host, connector: GitHubConnector
) -> None:
    """404 of an issue, and then its repository is there: the issue is asked for again before it has moved."""
    host.fill(1)
    (item,) = host.repository.items
    host.faults.add(Fault(when=rf"/issues/{item.number}$", kind="answer", status=404, body=b'{"message": "Not Found"}'))
    looked = await connector.look([ref(host, item)])
    assert (present(looked), looked.left) == ({uid(item)}, {})


async def test_a_repository_that_we_no_longer_see_loses_access_and_no_issue(
    host: Host, connector: GitHubConnector
) -> None:
    """Where the repository answers 404 itself, nothing in it was deleted: we lost access."""
    host.fill(3)
    asked = [ref(host, item) for item in host.repository.items]
    host.world.delete(host.repository.items[0])
    host.world.set_container("acme/web", "hidden")
    assert (await connector.look(asked)).left == {one.uid: "access_lost" for one in asked}


async def test_a_token_without_the_issues_permission_loses_access(host: Host, connector: GitHubConnector) -> None:
    """A repository that answers, and whose issues do not, is no proof that an issue is gone."""
    host.fill(2)
    asked = [ref(host, item) for item in host.repository.items]
    host.faults.add(Fault(when="/issues", kind="answer", times=None, status=404, body=b'{"message": "Not Found"}'))
    assert (await connector.look(asked)).left == {one.uid: "access_lost" for one in asked}


async def test_what_single_sign_on_withholds_is_asked_again(host: Host, connector: GitHubConnector) -> None:
    """A refusal for lack of single sign-on (F48) tells nothing about an issue: it is asked for again."""
    host.fill(2)
    asked = [ref(host, item) for item in host.repository.items]
    told = {"x-github-sso": "required; url=https://github.invalid/sso"}
    host.faults.add(Fault(when="/issues", kind="answer", times=None, status=403, headers=told, body=b"{}"))
    looked = await connector.look(asked)
    assert set(looked.unsure) == {one.uid for one in asked}
    assert not looked.left


async def test_a_name_that_another_repository_took_over_is_not_ours(host: Host, connector: GitHubConnector) -> None:
    """An issue of another repository under the old name (F42) is never taken for the old one's: ids lead."""
    host.fill(2)
    asked = [ref(host, item) for item in host.repository.items]
    host.world.rename_container("acme/web", "acme/old")
    taker = host.world.add_container("github", "acme/web", "Another")
    host.world.create(taker, "Foreign")
    looked = await connector.look(asked)
    assert {(item.uid, item.container) for item in looked.items} == {(one.uid, "acme/old") for one in asked}


@pytest.mark.parametrize("status", [500, 502])
async def test_a_host_in_trouble_says_nothing_of_an_issue(host: Host, connector: GitHubConnector, status: int) -> None:
    """A server error once is asked again, and the answer is the issue."""
    host.fill(1)
    host.faults.add(Fault(when=r"/issues/\d+$", kind="answer", status=status, body=b"{}"))
    (item,) = host.repository.items
    assert present(await connector.look([ref(host, item)])) == {uid(item)}


async def test_a_pull_request_is_looked_at_as_one(host: Host, connector: GitHubConnector) -> None:
    """A pull request (F80) is found by the number it shares with issues, and keeps its kind."""
    item = host.world.create(host.repository, "A pull", pull_request=True)
    looked = await connector.look([ref(host, item)])
    assert [(one.uid, one.kind) for one in looked.items] == [(uid(item), "pull_request")]


async def test_a_census_names_all_issues_with_their_last_change(host: Host, connector: GitHubConnector) -> None:
    """Every issue and pull request, open or closed, 100 a page, and no request for anything else."""
    host.fill(450)
    host.world.create(host.repository, "A pull", pull_request=True)
    found = await connector.census(host.there)
    assert found.present == {uid(item): item.updated for item in host.repository.items}
    assert connector.requests <= 451 // 100 + 3


async def test_a_census_goes_on_past_a_page_without_a_link(host: Host, connector: GitHubConnector) -> None:
    """A proxy that strips the links to the next pages shortens no census."""
    host.fill(250)
    host.faults.add(Fault(when="/issues", kind="rewrite", times=None, headers={"link": ""}))
    found = await connector.census(host.there)
    assert set(found.present) == {uid(item) for item in host.repository.items}


async def test_a_list_that_single_sign_on_shortens_is_no_census(host: Host, connector: GitHubConnector) -> None:
    """A list with ``partial-results`` (F48) is not whole, though it is answered with 200."""
    host.fill(5)
    told = {"x-github-sso": "partial-results; organizations=5"}
    host.faults.add(Fault(when="/issues", kind="rewrite", times=None, headers=told))
    with pytest.raises(Skippable, match="leaves out"):
        await connector.census(host.there)


async def test_an_issue_that_changes_during_a_census_is_in_it(host: Host, connector: GitHubConnector) -> None:
    """Issues that move to the end of the list while it is read push no other over a page's border."""
    host.fill(450)
    early = host.repository.items[:5]

    def stir() -> None:
        host.world.advance(host.world.now + timedelta(seconds=5))
        if early:
            host.world.touch(early.pop())

    host.faults.add(Fault(when="/issues", kind="pass", times=None, act=stir))
    found = await connector.census(host.there)
    assert set(found.present) == {uid(item) for item in host.repository.items}
