"""What holds for any strategy and any item, whatever they look like."""

from datetime import date
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.amounts import SHARE
from schemas.strategy import Match, StrategyFile
from schemas.work import FieldValue
from services.align.rules import Facts, Inherited, Own, Result, compile_rules, inherit
from tests.align.naive_rules import own_nodes

TODAY = date(2026, 11, 23)
LABELS = ["a", "A", "b", "Caf\u00e9", "Cafe\u0301"]
KEYS = ["PAY-1", "PAY-2", "pay-1", "Acme/Web#1", "acme/web#1", "jira:PAY-1", "hub:ACME/web#1", "jira:issue:1", "OLD-1"]
CONTAINERS = ["PAY", "pay", "Acme/Web", "acme/web", "acme/pay"]
GLOBS = [*CONTAINERS, "*", "acme/*", "*web", "P*Y"]


def some(values: list[str]) -> st.SearchStrategy[str | list[str]]:
    """One of the values, or a list of them."""
    return st.sampled_from(values) | st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "item": some(KEYS),
    "field": st.dictionaries(st.sampled_from(["Goal", "Size"]), st.sampled_from(["x", "y", 3]), min_size=1),
    "label": some(LABELS),
    "ancestor": some(KEYS),
    "milestone": some(["v1", "v2", "jira:version:1"]),
    "component": some(["api", "ui"]),
    "type": some(["Story", "Bug"]),
    "kind": some(["issue", "pull_request"]),
    "team": some(["growth", "trust"]),
    "project": some(GLOBS),
    "source": some(["jira", "hub"]),
}


@st.composite
def matches(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    """A match with a key or two, perhaps with `any` and `not`, in any order."""
    keys = draw(st.lists(st.sampled_from(list(PLAIN)), min_size=1, max_size=2, unique=True))
    match = {key: draw(PLAIN[key]) for key in keys}
    if depth and draw(st.booleans()):
        match["any"] = draw(st.lists(matches(depth - 1), min_size=1, max_size=2))
    if depth and draw(st.booleans()):
        match["not"] = draw(matches(depth - 1))
    return {key: match[key] for key in draw(st.permutations(list(match)))}


@st.composite
def strategies(draw: st.DrawFn) -> dict[str, Any]:
    """A strategy with a few rules and pins."""
    rules = draw(st.lists(matches(), min_size=1, max_size=6))
    objectives = [{"id": f"O{at}", "match": match} for at, match in enumerate(rules[::2])]
    initiatives = [{"id": f"I{at}", "serves": {"O0": 1.0}, "match": match} for at, match in enumerate(rules[1::2])]
    file: dict[str, Any] = {"objectives": objectives, "initiatives": initiatives}
    if draw(st.booleans()):
        file["run"] = {"match": draw(matches())}
    ends = st.sampled_from(["2026-11-22", "2026-11-23", None])
    pin = st.fixed_dictionaries(
        {"item": st.sampled_from(KEYS), "to": st.sampled_from(["O0", "run", "none"]), "until": ends}
    )
    file["pins"] = draw(st.lists(pin, max_size=2))
    return file


@st.composite
def items(draw: st.DrawFn) -> Facts:
    """A Jira or GitHub item from the same small vocabulary, below up to two others."""
    source = draw(st.sampled_from(["jira", "hub"]))
    bare = [key for key in KEYS if ":" not in key]
    value: st.SearchStrategy[FieldValue] = st.sampled_from(["x", 3.0, None, True])
    lineage = [
        (f"{source}:issue:{at + 1}", key, f"{source}:{key}")
        for at, key in enumerate(draw(st.lists(st.sampled_from(bare), max_size=2, unique=True)))
    ]
    return Facts(
        uid=f"{source}:issue:{draw(st.integers(1, 3))}",
        source=source,
        key=draw(st.sampled_from(bare)),
        previous_keys=tuple(draw(st.lists(st.sampled_from(bare), max_size=1))),
        container=draw(st.sampled_from(CONTAINERS)),
        kind=draw(st.sampled_from(["issue", "pull_request"])),
        type=draw(st.sampled_from(["Story", "Bug", None])),
        labels=tuple(draw(st.lists(st.sampled_from(LABELS), max_size=2, unique=True))),
        components=tuple(draw(st.lists(st.sampled_from(["api", "ui"]), max_size=2, unique=True))),
        milestones=tuple(
            draw(st.lists(st.sampled_from([("jira:version:1", "v1"), ("jira:version:2", "v2")]), max_size=2))
        ),
        team=draw(st.sampled_from(["growth", None])),
        fields=draw(st.dictionaries(st.sampled_from(["Goal", "Size"]), value | st.just(["y", "x"]))),
        lineage=tuple(lineage),
    )


def decided_nodes(strategy: StrategyFile, item: Facts) -> tuple[int, frozenset[str]] | None:
    """The nodes that the compiled rules name, and their level: -1 for a pin."""
    own = compile_rules(strategy, folds={"hub"}).own(item, TODAY)
    return None if own is None else (own.rank - 1, frozenset(result.node for result in own.results))


@settings(max_examples=300, deadline=None)
@given(strategies(), st.lists(items(), min_size=1, max_size=6))
def test_the_index_decides_as_trying_every_rule_does(file: dict[str, Any], found: list[Facts]) -> None:
    """For any rules and items the index gives the level and the nodes of the slow, plain evaluation."""
    strategy = StrategyFile.model_validate(file)
    for item in found:
        assert decided_nodes(strategy, item) == own_nodes(strategy, item, item.source == "hub", TODAY)


@settings(max_examples=100, deadline=None)
@given(strategies(), items(), st.data())
def test_the_order_of_the_file_never_changes_what_is_decided(
    file: dict[str, Any], item: Facts, data: st.DataObject
) -> None:
    """Sections, nodes and pins may be written in any order: level and nodes stay."""
    turned = {
        section: data.draw(st.permutations(content)) if isinstance(content, list) else content
        for section, content in data.draw(st.permutations(list(file.items())))
    }
    before, after = StrategyFile.model_validate(file), StrategyFile.model_validate(turned)
    assert decided_nodes(before, item) == decided_nodes(after, item)


RESULTS = st.lists(st.sampled_from([f"N{at}" for at in range(40)]), min_size=1, max_size=40, unique=True).map(
    lambda nodes: tuple(Result(node, "label", f"{node}.match") for node in nodes)
)


@settings(max_examples=100)
@given(
    st.none() | st.builds(Own, st.integers(0, 7), RESULTS),
    st.lists(st.builds(Inherited, st.sampled_from(["u1", "u2", "u3"]), st.integers(0, 7), RESULTS), max_size=4),
)
def test_shares_are_equal_and_sum_to_one(own: Own | None, chain: list[Inherited]) -> None:
    """The rows of an aligned item sum to exactly one, and no two differ by more than what does not divide."""
    decided = inherit(own, chain)
    assert bool(decided.rows) == (own is not None or bool(chain))
    if decided.rows:
        shares = [row.share for row in decided.rows]
        assert sum(shares) == SHARE
        assert len(set(shares[1:])) <= 1
        assert 0 <= shares[0] - min(shares) < len(shares)
        assert decided.ambiguous == (len(shares) > 1)


@settings(max_examples=100)
@given(
    st.none() | st.builds(Own, st.integers(0, 7), RESULTS),
    st.lists(st.builds(Inherited, st.sampled_from(["u1", "u2", "u3"]), st.integers(0, 7), RESULTS), max_size=4),
)
def test_only_a_stronger_ancestor_overrules(own: Own | None, chain: list[Inherited]) -> None:
    """Who decides is the first of the strongest, beginning with the item itself."""
    entries: list[Own | Inherited] = [*([own] if own else []), *chain]
    if entries:
        winner = min(entries, key=lambda entry: entry.rank)
        decided = inherit(own, chain)
        assert [row.node for row in decided.rows] == [result.node for result in winner.results]
        assert {row.inherited_from for row in decided.rows} == {winner.uid if isinstance(winner, Inherited) else None}


@settings(max_examples=100)
@given(matches())
def test_a_match_keeps_the_order_of_its_keys(match: dict[str, Any]) -> None:
    """The keys of a match are remembered as they were written."""
    assert Match.model_validate(match).keys == tuple(match)
