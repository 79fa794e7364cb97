"""A list of issues is read to its proven end, however its pages come."""

from datetime import timedelta
from typing import Any

import pytest

from connectors.base import Unreachable
from connectors.github import events as histories
from connectors.github import lists
from connectors.github.sync import GitHubConnector
from services.simulator import github_lists
from services.simulator.faults import Fault
from tests.connectors.github.conftest import EVENTS, ISSUES, Host, items, read, seen


async def test_a_backfill_reads_everything_with_its_history(host: Host, connector: GitHubConnector) -> None:
    """Issues and events of several pages come as they are, each once, and the pass ends complete."""
    host.fill(250)
    pages = await read(connector, host.there)
    assert seen(pages) == host.truth()
    assert sum(len(page.items) for page in pages) == 250
    assert [page.complete for page in pages] == [False] * (len(pages) - 1) + [True]
    for item in items(pages).values():
        told = sorted(change.field for change in item.history)
        assert told == (["labels", "resolution", "status"] if item.status == "closed" else ["labels"])
    assert host.faults.count(r"/issues/\d+/events") == 0


async def test_a_short_page_in_the_middle_ends_nothing(host: Host, connector: GitHubConnector) -> None:
    """Fewer entries than asked for, and a next page: all of them are read."""
    host.fill(250)
    host.faults.add(Fault(when=ISSUES, kind="short_page", skip=1, times=1, size=30))
    assert seen(await read(connector, host.there)) == host.truth()


@pytest.mark.parametrize("cap", [100, 30])
async def test_lost_links_end_nothing_early(host: Host, connector: GitHubConnector, cap: int) -> None:
    """A proxy that strips every Link header, and a host with smaller pages, lose no issue."""
    host.fill(250)
    if cap == 30:
        host.faults.add(
            Fault(when=ISSUES, kind="rewrite", times=None, change=lambda rows: rows[:30], headers={"link": ""})
        )
    host.faults.add(Fault(when=ISSUES, kind="rewrite", times=None, headers={"link": ""}))
    assert seen(await read(connector, host.there)) == host.truth()


@pytest.mark.parametrize("link", ["kept", "lost"])
async def test_hundreds_of_updates_in_one_second_are_all_read(
    host: Host, connector: GitHubConnector, link: str
) -> None:
    """More issues of one second than a page holds are read on by links, or by numbers where the links are lost."""
    host.fill(70)
    host.fill(330, apart=timedelta(0))
    host.fill(70)
    if link == "lost":
        host.faults.add(Fault(when=ISSUES, kind="rewrite", times=None, headers={"link": ""}))
    assert seen(await read(connector, host.there)) == host.truth()


@pytest.mark.parametrize("where", ["issues", "milestones", "events", "repositories"])
async def test_a_next_link_to_itself_is_no_endless_loop(host: Host, where: str) -> None:
    """A list that leads back to itself ends in a typed error after few requests."""
    host.fill(120, apart=timedelta(0))
    for number in range(3):
        host.world.add_milestone(host.repository, f"M{number}")
    path = {"repositories": r"/orgs/acme/repos", "events": EVENTS}.get(where, rf"/repositories/\d+/{where}\?")
    link = {
        "repositories": f"{host.url}/orgs/acme/repos?page=2",
        "events": f"{host.url}/repositories/{host.repository.id}/issues/events?page=2",
    }.get(where, f"{host.url}/repositories/{host.repository.id}/{where}?state=all&per_page=100&page=2")
    host.faults.add(Fault(when=path, kind="rewrite", times=None, headers={"link": f'<{link}>; rel="next"'}))
    connector = host.connector(repositories=(), organizations=("acme",))
    with pytest.raises(Unreachable, match="circle"):
        _ = await (connector.discover() if where == "repositories" else read(connector, host.there))
    assert len(host.faults.asked) < 12
    await connector.close()


async def test_pages_without_end_that_hold_nothing_new_are_left(host: Host, connector: GitHubConnector) -> None:
    """Ever new next links over the same issues are no endless loop either."""
    host.fill(3)
    count = iter(range(1_000_000))

    class Ever(dict[str, str]):
        def items(self) -> Any:
            here = f"{host.url}/repositories/{host.repository.id}/issues?state=all&sort=updated&direction=asc"
            return [("link", f'<{here}&n={next(count)}>; rel="next"')]

    host.faults.add(Fault(when=ISSUES, kind="rewrite", times=None, headers=Ever()))
    with pytest.raises(Unreachable, match="circle"):
        await read(connector, host.there)
    assert len(host.faults.asked) < 40


async def test_a_list_that_is_not_sorted_is_read_by_its_links(
    host: Host, connector: GitHubConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that ignores the order we ask for loses nothing: no anchor is taken from such a page."""
    host.fill(250)
    for item, updated in zip(host.repository.items, [one.updated for one in host.repository.items][::-1], strict=True):
        item.updated = updated
    monkeypatch.setattr(github_lists, "_rank", lambda item, by: (10**11, item.id))
    assert seen(await read(connector, host.there)) == host.truth()


async def test_dates_before_github_are_never_a_since(host: Host, connector: GitHubConnector) -> None:
    """Imported issues of 1970 are read; a since of 1970 would list nothing."""
    host.fill(150)
    for item in host.repository.items[:120]:
        item.updated = item.created = item.created.replace(year=1970, month=1, day=1)
    assert seen(await read(connector, host.there)) == host.truth()
    assert host.faults.count(r"since=19") == 0


async def test_duplicates_over_pages_count_once(host: Host, connector: GitHubConnector) -> None:
    """Rows that come again on later pages are given once."""
    host.fill(250)
    former: list[Any] = []

    def again(rows: list[Any]) -> list[Any]:
        out = former[-5:] + rows
        former[:] = rows
        return out

    host.faults.add(Fault(when=ISSUES, kind="rewrite", times=None, change=again))
    pages = await read(connector, host.there)
    assert seen(pages) == host.truth()
    assert sum(len(page.items) for page in pages) == 250


@pytest.mark.parametrize("told", [True, False])
async def test_a_list_of_events_too_long_to_read_is_read_as_far_as_it_goes(
    host: Host, connector: GitHubConnector, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """Issues older than what was read are asked for one by one; the others need no request of their own."""
    monkeypatch.setattr(histories, "_MOST_PAGES", 3)
    host.fill(300)
    if not told:
        link = f"<{host.url}/repositories/{host.repository.id}/issues/events?per_page=100&page=%d>"
        for page in range(1, 4):
            head = {"link": f'{link % (page + 1)}; rel="next"'}
            host.faults.add(Fault(when=rf"{EVENTS}.*page={page}$", kind="rewrite", times=None, headers=head))
    pages = await read(connector, host.there)
    for item in items(pages).values():
        kinds = sorted(change.field for change in item.history)
        assert kinds == (["labels", "resolution", "status"] if item.status == "closed" else ["labels"])
    assert 90 <= host.faults.count(r"/issues/\d+/events") <= 110
    assert host.faults.count(rf"{EVENTS}.*page=4$") == 0


@pytest.mark.parametrize("ignores", [False, True])
async def test_what_was_read_is_forgotten_and_not_read_again(
    host: Host, connector: GitHubConnector, monkeypatch: pytest.MonkeyPatch, ignores: bool
) -> None:
    """Memory does not grow with the list; a host that ignores ``since`` is found out, not followed for ever."""
    monkeypatch.setattr(lists, "_MOST_KNOWN", 50)
    host.fill(430)
    if not ignores:
        pages = await read(connector, host.there)
        assert seen(pages) == host.truth()
        assert sum(len(page.items) for page in pages) == 430
        return
    first = await connector.client.page(f"repositories/{host.repository.id}/issues", {"state": "all", "per_page": 100})
    host.faults.add(Fault(when=ISSUES, kind="rewrite", times=None, change=lambda _: first.rows, headers={"link": ""}))
    with pytest.raises(Unreachable):
        await read(connector, host.there)
    assert host.faults.count(ISSUES) < 200
