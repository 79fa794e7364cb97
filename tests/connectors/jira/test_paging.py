"""Pages come in chains of tokens and in lists by offset: read to their proven end, however a site deals them out."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from connectors.base import Retriable, Skippable, Unreachable
from connectors.jira.cloud import Cloud
from connectors.jira.sync import JiraConnector
from services.simulator.faults import Fault
from tests.connectors.jira.conftest import HISTORY, SEARCH, Site, items, later_page, page_of_issues, read, seen


async def test_a_backfill_gives_every_issue_once_with_its_history(site: Site, connector: JiraConnector) -> None:
    """450 issues in several windows: nothing twice, complete only at the end, each history whole."""
    site.fill(450)
    pages = await read(connector, site.there)
    assert seen(pages) == site.truth()
    assert sum(len(page.items) for page in pages) == 450
    assert [page.complete for page in pages] == [False] * (len(pages) - 1) + [True]
    for item in items(pages).values():
        moved = [change for change in item.history if change.field == "status"]
        assert bool(moved) == (item.status_category == "done")


@pytest.mark.parametrize("size", [1, 30])
async def test_a_short_page_ends_nothing(site: Site, connector: JiraConnector, size: int) -> None:
    """Fewer entries than asked for, and a token: all of them are read."""
    site.fill(120)
    site.faults.add(Fault(when=page_of_issues, kind="short_page", times=3, size=size))
    assert seen(await read(connector, site.there)) == site.truth()


async def test_an_empty_page_with_a_token_is_not_the_end(site: Site, connector: JiraConnector) -> None:
    """The site filters what we may not see after it has cut the page."""
    site.fill(150, apart=timedelta(0))
    site.world.advance(site.world.now + timedelta(minutes=1))

    def emptied(data: dict[str, Any]) -> dict[str, Any]:
        hidden.extend(row["id"] for row in data["issues"])
        return data | {"issues": []}

    hidden: list[str] = []
    site.faults.add(Fault(when=page_of_issues, kind="rewrite", times=1, change=emptied))
    unseen = Fault(
        when=page_of_issues,
        kind="rewrite",
        times=None,
        change=lambda data: data | {"issues": [row for row in data["issues"] if row["id"] not in hidden]},
    )
    site.faults.add(unseen)
    with pytest.raises(Retriable, match="search ended normally after 50 of about"):
        await read(connector, site.there)
    assert any(later_page(one) for one in site.faults.asked)


@pytest.mark.parametrize("told", [True, None])
async def test_only_the_token_says_whether_there_is_more(
    site: Site, connector: JiraConnector, told: bool | None
) -> None:
    """A page that lies that it is the last, or says nothing, and has a token, is not the last."""
    site.fill(250)

    def lying(data: dict[str, Any]) -> dict[str, Any]:
        data.pop("isLast", None)
        return data | ({} if told is None else {"isLast": told})

    site.faults.add(Fault(when=SEARCH, kind="rewrite", times=None, change=lying))
    assert seen(await read(connector, site.there)) == site.truth()


async def test_a_repeated_token_is_no_endless_loop(site: Site, connector: JiraConnector) -> None:
    """A chain that leads back to itself ends in a typed error after few requests."""
    site.fill(250, apart=timedelta(0))
    tokens: list[str] = []

    def same(data: dict[str, Any]) -> dict[str, Any]:
        tokens.append(data.get("nextPageToken", ""))
        return data | {"nextPageToken": tokens[0]}

    site.faults.add(Fault(when=page_of_issues, kind="rewrite", times=None, change=same))
    with pytest.raises(Unreachable, match="the same page token twice"):
        await read(connector, site.there)
    assert len(site.faults.asked) < 20


@pytest.mark.parametrize("when", [page_of_issues, HISTORY], ids=["issues", "histories"])
async def test_ever_new_tokens_to_pages_of_nothing_are_left(site: Site, connector: JiraConnector, when: Any) -> None:
    """A chain that never ends and holds nothing new is no endless loop either."""
    site.fill(3)
    name = "issueChangeLogs" if when == HISTORY else "issues"
    for number in range(200):
        body = msgspec.json.encode({name: [], "nextPageToken": f"t{number}"})
        site.faults.add(Fault(when=when, kind="answer", body=body))
    with pytest.raises(Unreachable, match="50 pages in a row held nothing new"):
        await read(connector, site.there)
    assert len(site.faults.asked) < 70


async def test_an_expired_token_costs_nothing(site: Site, connector: JiraConnector) -> None:
    """The rest of the window is asked for anew: no gap, nothing twice; in a poll too."""
    site.fill(250, apart=timedelta(minutes=1))
    body = b'{"errorMessages": ["The provided next page token is invalid or expired."], "errors": {}}'
    site.faults.add(Fault(when=later_page, kind="answer", status=400, body=body))
    first = await read(connector, site.there)
    assert seen(first) == site.truth()
    assert sum(len(page.items) for page in first) == 250
    for item in site.project.items:
        site.world.advance(site.world.now + timedelta(milliseconds=100))
        site.world.touch(item)
    site.faults.clear()
    site.faults.add(Fault(when=later_page, kind="answer", status=400, body=body))
    assert seen(await read(connector, site.there, bytes(first[-1].checkpoint))) == site.truth()
    assert site.faults.count() > 0


async def test_tokens_that_never_hold_end_in_a_gap_and_no_loop(site: Site, connector: JiraConnector) -> None:
    """Where no later page can be had at all, asking stops."""
    site.fill(250, apart=timedelta(0))
    site.faults.add(Fault(when=later_page, kind="answer", status=400, body=b"{}", times=None))
    with pytest.raises(Skippable, match="answered 400"):
        await read(connector, site.there)
    assert len(site.faults.asked) < 24


@pytest.mark.parametrize("count", [150, 350])
async def test_hundreds_of_updates_in_one_second_are_all_read(site: Site, connector: JiraConnector, count: int) -> None:
    """More issues of one second than a page holds, over page borders, in the backfill and in a poll."""
    site.fill(70)
    site.fill(count, apart=timedelta(0))
    site.fill(70)
    first = await read(connector, site.there)
    assert seen(first) == site.truth()
    site.world.advance(site.world.now + timedelta(hours=2))
    for item in site.project.items:
        site.world.edit(item, labels=("run", "x"))
    second = await read(connector, site.there, bytes(first[-1].checkpoint))
    assert seen(second) == site.truth()


async def test_rows_that_come_again_are_given_once(site: Site, connector: JiraConnector) -> None:
    """Duplicates over the pages of a window count once."""
    site.fill(250, apart=timedelta(0))
    former: list[Any] = []

    def again(data: dict[str, Any]) -> dict[str, Any]:
        rows = former[-5:] + data["issues"]
        former[:] = data["issues"]
        return data | {"issues": rows}

    site.faults.add(Fault(when=page_of_issues, kind="rewrite", times=None, change=again))
    pages = await read(connector, site.there)
    assert seen(pages) == site.truth()
    assert sum(len(page.items) for page in pages) == 250


async def test_a_search_that_ends_early_is_read_again_and_then_refused(site: Site, connector: JiraConnector) -> None:
    """A normal end after half of what was counted is no end; four times so is an error, and never a complete pass."""
    site.fill(90)

    def short(data: dict[str, Any]) -> dict[str, Any]:
        return {"issues": data["issues"][: len(data["issues"]) // 2], "isLast": True}

    site.faults.add(Fault(when=page_of_issues, kind="rewrite", times=1, change=short))
    assert seen(await read(connector, site.there)) == site.truth()
    again = site.connector()
    site.faults.add(Fault(when=page_of_issues, kind="rewrite", times=None, change=short))
    pages: list[Any] = []
    with pytest.raises(Retriable, match=r"ended normally after \d+ of about 90 issues, 4 times"):
        await read(again, site.there, on_page=pages.append)
    assert not any(page.complete for page in pages)
    await again.close()


async def test_windows_that_a_search_gives_in_part_are_split(site: Site, connector: JiraConnector) -> None:
    """F26: every chain ends normally after 64 issues. The windows are halved until each is whole, and only those."""
    site.fill(250)
    site.faults.add(
        Fault(when=later_page, kind="rewrite", times=None, change=lambda data: {"issues": [], "isLast": True}),
        Fault(when=page_of_issues, kind="short_page", times=None, size=64),
    )
    pages = await read(connector, site.there)
    assert seen(pages) == site.truth()
    assert sum(page_of_issues(one) for one in site.faults.asked) <= 16


async def test_no_window_is_larger_than_a_search_gives_whole(
    site: Site, connector: JiraConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most issues of one day, few of the rest: windows are bisected by their counts, and hold every issue."""
    site.fill(20, apart=timedelta(days=5))
    site.fill(300, apart=timedelta(minutes=1))
    site.fill(20, apart=timedelta(days=5))
    monkeypatch.setattr(Cloud, "largest_window", 50)
    pages = await read(connector, site.there)
    assert seen(pages) == site.truth()
    planned = msgspec.json.decode(next(page.checkpoint for page in pages if b'"windows":[{' in bytes(page.checkpoint)))
    counts = [one["count"] for one in planned["windows"]]
    assert max(counts) <= 50
    assert sum(counts) == 340
    assert planned["windows"][-1]["end"] is None


@pytest.mark.parametrize("where", ["versions", "projects", "history"])
@pytest.mark.parametrize("how", ["never last", "no marks", "no list"])
async def test_lists_by_offset_are_read_to_their_end_or_refused(site: Site, where: str, how: str) -> None:
    """A list that never says that it ends, or ends before its end, is never taken for whole."""
    site.fill(3)
    for number in range(3):
        site.world.add_milestone(site.project, f"V{number}")
    path = {"versions": r"/version\?", "projects": "/project/search", "history": r"/issue/\d+/changelog"}[where]

    def change(data: dict[str, Any]) -> dict[str, Any]:
        if how == "no list":
            return {name: value for name, value in data.items() if name != "values"}
        data = {name: value for name, value in data.items() if name not in ("isLast", "total")}
        return data | ({"isLast": False} if how == "never last" else {})

    site.faults.add(Fault(when=path, kind="rewrite", times=None, change=change))
    if where == "history":
        site.faults.add(Fault(when=HISTORY, kind="answer", status=404, body=b"{}", times=None))
    connector = site.connector()
    with pytest.raises(Unreachable, match=r"end before their end|has no list of values"):
        _ = await (connector.discover() if where == "projects" else read(connector, site.there))
    assert len(site.faults.asked) < 40
    await connector.close()


async def test_lists_by_offset_with_small_pages_are_whole(site: Site, connector: JiraConnector) -> None:
    """A site that caps pages below what we ask for loses no version; without isLast the total decides."""
    for number in range(7):
        site.world.add_milestone(site.project, f"V{number}")

    def capped(data: dict[str, Any]) -> dict[str, Any]:
        return {"values": data["values"][:2], "total": 7, "startAt": data["startAt"], "maxResults": 2}

    site.faults.add(Fault(when=r"/version\?", kind="rewrite", times=None, change=capped))
    pages = await read(connector, site.there)
    assert sorted(one.title for page in pages for one in page.milestones) == [f"V{number}" for number in range(7)]


async def test_histories_that_interleave_over_pages_are_whole_and_single(site: Site, connector: JiraConnector) -> None:
    """Pages of a few changes, sorted by date over all issues, with one that comes twice: every change once."""
    site.fill(40, apart=timedelta(minutes=1))
    for turn in range(6):
        for item in site.project.items[:20]:
            site.world.advance(site.world.now + timedelta(seconds=5))
            site.world.edit(item, labels=("run", f"x{turn}"))
    plain = items(await read(connector, site.there))

    last: list[Any] = []

    def twice(data: dict[str, Any]) -> dict[str, Any]:
        logs = [*last, *data["issueChangeLogs"]]
        last[:] = data["issueChangeLogs"][-1:]
        return data | {"issueChangeLogs": logs}

    site.faults.add(Fault(when=HISTORY, kind="short_page", times=None, size=7))
    site.faults.add(Fault(when=HISTORY, kind="rewrite", times=None, change=twice))
    other = site.connector()
    assert {id_: item.history for id_, item in items(await read(other, site.there)).items()} == {
        id_: item.history for id_, item in plain.items()
    }
    await other.close()
