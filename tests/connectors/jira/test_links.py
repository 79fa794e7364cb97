"""The links of issues: what each end is told, how they change, and what is no link."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connectors.jira.links import links_of
from connectors.jira.sync import JiraConnector
from schemas.work import Link, WorkItem
from services.simulator.model import Item
from tests.connectors.jira.conftest import Site, items, read

BLOCKS = {"id": "10000", "name": "Blocks", "inward": "is blocked by", "outward": "blocks"}


def entry(id_: Any = "1", *, type_: Any = BLOCKS, **ends: Any) -> dict[str, Any]:
    return {"id": id_, "type": type_} | ends


async def test_each_end_is_told_its_side(site: Site, connector: JiraConnector) -> None:
    """The one blocks, the other is blocked; both name the same link."""
    first, second = two(site)
    tie = site.world.link("Blocks", first, second)
    found = await told(site, connector)
    assert found[first.id].links == (
        Link(id=str(tie.id), kind="blocks", to=f"j:issue:{second.id}", inward=False, name="blocks"),
    )
    assert found[second.id].links == (
        Link(id=str(tie.id), kind="blocks", to=f"j:issue:{first.id}", inward=True, name="is blocked by"),
    )


async def test_a_link_that_is_taken_away_is_gone_at_both_ends(site: Site, connector: JiraConnector) -> None:
    first, second = two(site)
    site.world.unlink(site.world.link("Relates", first, second))
    found = await told(site, connector)
    assert [found[one.id].links for one in (first, second)] == [(), ()]


def two(site: Site) -> tuple[Item, Item]:
    site.fill(2)
    first, second = site.project.items
    return first, second


async def told(site: Site, connector: JiraConnector) -> dict[int, WorkItem]:
    return {int(id_): item for id_, item in items(await read(connector, site.there)).items()}


def test_a_renamed_type_is_known_by_its_words() -> None:
    """Administrators rename link types; one of their own is `other`, under its own words."""
    renamed = BLOCKS | {"name": "Impediment"}
    own = {"id": "10200", "name": "Risk", "inward": "is threatened by", "outward": "threatens"}
    other = {"id": "7"}
    links, _ = links_of([entry("1", type_=renamed, outwardIssue=other), entry("2", type_=own, inwardIssue=other)], "j")
    assert [(one.kind, one.name) for one in links] == [("blocks", "blocks"), ("other", "is threatened by")]


def test_what_is_no_link_is_left_out() -> None:
    """No end, an end without an id, no id of its own, no mapping at all: none stops the others."""
    good = entry("9", outwardIssue={"id": "7"})
    odd = [entry("1"), entry("2", outwardIssue={"key": "A-1"}), entry(None, outwardIssue={"id": "7"}), 5, None, "x"]
    assert [one.id for one in links_of([*odd, good], "j")[0]] == ["9"]
    assert links_of({"a": 1}, "j") == ((), False)


def test_thousands_of_links_are_cut_and_said_to_be() -> None:
    links, cut = links_of([entry(str(number), outwardIssue={"id": "7"}) for number in range(5000)], "j")
    assert (len(links), cut) == (200, True)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["id", "type", "outwardIssue", "inwardIssue", "name", "inward", "outward"]), inner)))  # fmt: skip
def test_whatever_comes_is_no_error(value: Any) -> None:
    links, _ = links_of([value] if isinstance(value, dict) else value, "j")
    assert list(links) == sorted(links, key=lambda one: (one.id, one.to))
