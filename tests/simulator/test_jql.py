"""The JQL that the simulated Jira reads, and the errors it answers with."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.simulator.jira_search import Search
from services.simulator.jql import InvalidJql
from services.simulator.model import Item
from services.simulator.world import World
from tests.simulator.conftest import NOW

BERLIN = ZoneInfo("Europe/Berlin")


def found(world: World, jql: str, zone: str = "Europe/Berlin") -> list[int]:
    return [item.id for item in Search(world, ZoneInfo(zone)).page(jql, 5000, None)[0]]


def expected(world: World, test: Callable[[Item], bool]) -> set[int]:
    return {item.id for item in world.of("jira") if test(item)}


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def key(world: World, item: Item) -> str:
    return world.containers[item.container].key


@pytest.mark.parametrize(
    ("jql", "test"),
    [
        ("project = PAY", lambda w, i: key(w, i) == "PAY"),
        ("project in (PAY, 10001)", lambda w, i: key(w, i) in ("PAY", "WEB")),
        ('project not in ("PAY")', lambda w, i: key(w, i) != "PAY"),
        ("updated >= -30d", lambda w, i: i.updated >= NOW - timedelta(days=30)),
        ("updated >= -26h and project=OPS", lambda w, i: i.updated >= NOW - timedelta(hours=26) and key(w, i) == "OPS"),
        ("created < -200d", lambda w, i: i.created < NOW - timedelta(days=200)),
        ("created <= -200d AND created > -300d", lambda w, i: 200 <= (NOW - i.created) / timedelta(days=1) < 300),
        (f"updated > {ms(NOW - timedelta(days=9))}", lambda w, i: ms(i.updated) > ms(NOW - timedelta(days=9))),
        ("id = 10020", lambda w, i: i.id == 10020),
        ("id in (10020, 10030, 99999999)", lambda w, i: i.id in (10020, 10030)),
        ("key in (PAY-3, web-4)", lambda w, i: w.key(i) in ("PAY-3", "WEB-4")),
        ('status = "In Progress" OR status = "in review"', lambda w, i: i.status in ("In Progress", "In Review")),
        ("statusCategory = Done AND NOT issuetype = Bug", lambda w, i: i.done and i.type != "Bug"),
        ("labels = run AND (project = OPS OR project = PAY)", lambda w, i: "run" in i.labels),
        ("resolution is EMPTY", lambda w, i: i.resolution is None),
        ("resolution is not empty", lambda w, i: i.resolution is not None),
    ],
)  # fmt: skip
def test_a_query_finds_exactly_what_it_says(world: World, jql: str, test: Callable[[World, Item], bool]) -> None:
    """Every clause means what Jira means by it."""
    assert set(found(world, jql)) == expected(world, lambda item: test(world, item))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Tokyo", "America/New_York"])
def test_a_literal_is_read_in_the_zone_of_the_account(world: World, zone: str) -> None:
    """The same text is another moment in Tokyo."""
    moment = datetime(2026, 6, 15, 10, 30, tzinfo=ZoneInfo(zone))
    ids = found(world, 'created >= "2026-06-15 10:30"', zone)
    assert set(ids) == expected(world, lambda item: item.created >= moment)


def test_neighbouring_windows_partition_exactly(world: World) -> None:
    """Items below a literal and from it on are all items, and none twice."""
    below, above = found(world, 'created < "2026/05/04 09:00"'), found(world, 'created >= "2026/05/04 09:00"')
    assert sorted(below + above) == sorted(item.id for item in world.of("jira"))


def test_order_is_kept_with_ties_decided_by_the_next_field(world: World) -> None:
    """ORDER BY puts the most recent last, or first."""
    up = found(world, "project in (PAY,WEB) ORDER BY updated ASC, key DESC")
    down = found(world, "project in (PAY,WEB) ORDER BY updated DESC")
    times = [world.items[one].updated for one in up]
    assert times == sorted(times)
    assert [world.items[one].updated for one in down] == sorted(times, reverse=True)


@pytest.mark.parametrize(
    "jql",
    ["updated >= -90d ORDER BY updated DESC", "created < -90d order by created desc", "project = WEB order by key"],
)
def test_paging_meets_every_item_once(world: World, jql: str) -> None:
    """The pages of seven make the whole answer, in the same order."""
    search = Search(world, BERLIN)
    whole, _ = search.page(jql, 5000, None)
    paged: list[Item] = []
    token = None
    while True:
        page, token = search.page(jql, 7, token)
        paged += page
        if token is None:
            break
    assert paged == whole


def test_an_item_updated_while_somebody_pages_is_met_again(world: World) -> None:
    """In an order by update nothing is lost by drift: what moves, moves to the right."""
    search = Search(world, BERLIN)
    jql = "project = PAY ORDER BY updated ASC"
    seen: list[int] = []
    token, late = None, None
    while True:
        page, token = search.page(jql, 20, token)
        seen += [item.id for item in page]
        if token is None:
            break
        if late is None:
            late = page[3]
            world.touch(late)
    assert late is not None and seen.count(late.id) == 2
    assert set(seen) == {item.id for item in world.container("PAY").items}


def test_a_lagging_index_does_not_know_the_latest_updates(world: World) -> None:
    """What was updated within the lag is found by its update before, and what was created not at all."""
    search = Search(world, BERLIN, lag=timedelta(seconds=90))
    item, new = world.container("PAY").items[0], world.create(world.container("PAY"), "new", type="Task")
    world.touch(item)
    assert search.count("project = PAY AND updated >= -1m") == 0
    assert new.id not in [one.id for one in search.page("project = PAY", 5000, None)[0]]
    world.advance(world.now + timedelta(seconds=90))
    assert item.id in [one.id for one in search.page("updated >= -2m", 5000, None)[0]]


def test_an_archived_project_is_not_found_by_search(world: World) -> None:
    """Its issues vanish from every list, as at Jira's."""
    world.set_container("OPS", "archived")
    assert found(world, "project = OPS") == []
    assert not any(key(world, world.items[one]) == "OPS" for one in found(world, "created > -500d"))


@pytest.mark.parametrize(
    ("jql", "says"),
    [
        ("", "Unbounded"),
        ("ORDER BY created", "Unbounded"),
        ("project = NOPE", "The value 'NOPE' does not exist for the field 'project'"),
        ('updated >= "yesterday"', "Date value 'yesterday' for field 'updated' is invalid"),
        ("nonsense = 1", "Field 'nonsense' does not exist"),
        ("project = PAY ORDER BY colour", "Not able to sort using field 'colour'"),
        ("project = PAY AND", "ended"),
        ("project = PAY created > -1d", "Expecting either 'OR' or 'AND'"),
        ("(project = PAY", "ended"),
        ("key = PAY-99999", "An issue with key 'PAY-99999' does not exist"),
    ],
)
def test_a_query_that_jira_refuses_says_why(world: World, jql: str, says: str) -> None:
    """The errors are Jira's."""
    with pytest.raises(InvalidJql, match=says):
        found(world, jql)


def test_an_id_that_is_none_finds_nothing(world: World) -> None:
    """Jira Cloud answers such a query with nothing, not with an error."""
    assert found(world, "id = 4711") == []


def test_a_token_of_another_query_or_of_last_week_is_refused(world: World) -> None:
    """Tokens expire after seven days and belong to their query."""
    search = Search(world, BERLIN)
    _, token = search.page("project = PAY", 5, None)
    assert token is not None
    with pytest.raises(InvalidJql, match="invalid or expired"):
        search.page("project = WEB", 5, token)
    with pytest.raises(InvalidJql, match="invalid or expired"):
        search.page("project = PAY", 5, "bm9uc2Vuc2U=")
    world.advance(datetime(2026, 12, 1, tzinfo=UTC))
    with pytest.raises(InvalidJql, match="invalid or expired"):
        search.page("project = PAY", 5, token)
