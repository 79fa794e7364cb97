"""Who wins: one test for each sentence that is promised about matches and levels."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from schemas.amounts import SHARE
from schemas.strategy import StrategyFile, parse_strategy
from services.align.rules import Decided, Facts, Inherited, Own, Rules, compile_rules, inherit
from services.align.selectors import all_hold

TODAY = date(2026, 11, 23)
NODES = "objectives: [{id: OBJ-1}, {id: OBJ-2}]\n"


def an_item(key: str = "PAY-18", **facts: Any) -> Facts:
    """A Jira story, but for what is said."""
    defaults: dict[str, Any] = {
        "uid": f"jira:issue:{key.split('-')[-1]}",
        "source": "jira",
        "container": "PAY",
        "kind": "issue",
        "type": "Story",
    }
    return Facts(key=key, **(defaults | facts))


def a_github_item(key: str = "Acme/Web#7", **facts: Any) -> Facts:
    """A GitHub issue, but for what is said."""
    return an_item(key, **({"uid": "hub:issue:I_kwA7", "source": "hub", "container": "Acme/Web"} | facts))


def rules(text: str) -> Rules:
    """The rules of a strategy file; letter case folds at the source ``hub``."""
    return compile_rules(parse_strategy(text, file="strategy.yaml"), folds={"hub"})


def matching(**matches: str) -> Rules:
    """One initiative for each name, with the match that is given."""
    rows = "".join(f"  - {{id: {name}, serves: {{OBJ-1: 1}}, match: {match}}}\n" for name, match in matches.items())
    return rules(f"{NODES}initiatives:\n{rows}")


def nodes(decided: Decided) -> list[str]:
    """The nodes an item serves, in file order."""
    return [row.node for row in decided.rows]


def own(rules: Rules, item: Facts, on: date = TODAY) -> Own:
    """What the item's own evidence says; it must say something."""
    found = rules.own(item, on)
    assert found is not None
    return found


def alone(rules: Rules, item: Facts, on: date = TODAY) -> Decided:
    """How an item without ancestors is aligned."""
    return inherit(rules.own(item, on), ())


# --- which matches hold ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "item"),
    [
        ("{item: PAY-18}", an_item()),
        ("{item: 'jira:issue:18'}", an_item()),
        ("{item: 'jira:PAY-18'}", an_item()),
        ("{item: OLD-3}", an_item(previous_keys=("OLD-3",))),
        ("{item: 'jira:OLD-3'}", an_item(previous_keys=("OLD-3",))),
        ("{field: {Goal: growth}}", an_item(fields={"Goal": "growth"})),
        ("{field: {Goal: growth}}", an_item(fields={"Goal": ["trust", "growth"]})),
        ("{field: {Size: 3}}", an_item(fields={"Size": 3.0})),
        ("{field: {Year: 2026}}", an_item(fields={"Year": "2026"})),
        ("{field: {Urgent: true}}", an_item(fields={"Urgent": True})),
        ("{label: kyc}", an_item(labels=("a", "kyc"))),
        ("{ancestor: PAY-18}", an_item()),
        ("{milestone: Signup v2}", an_item(milestones=(("jira:version:7", "Signup v2"),))),
        ("{milestone: 'jira:version:7'}", an_item(milestones=(("jira:version:7", "Signup v2"),))),
        ("{component: api}", an_item(components=("api",))),
        ("{type: Story}", an_item()),
        ("{kind: issue}", an_item()),
        ("{team: growth}", an_item(team="growth")),
        ("{project: PAY}", an_item()),
        ("{source: jira}", an_item()),
        ("{when: \"item.type == 'Story' && item.key.startsWith('PAY')\"}", an_item()),
        ("{when: item.points > 2.0}", an_item(more={"points": 3.0})),
    ],
)
def test_each_key_finds_its_item(match: str, item: Facts) -> None:
    """Every key of a match finds an item that has what it names."""
    assert nodes(alone(matching(A=match), item)) == ["A"]


@pytest.mark.parametrize(
    ("match", "item"),
    [
        ("{item: PAY-1}", an_item()),
        ("{item: pay-18}", an_item()),
        ("{item: 'other:PAY-18'}", an_item()),
        ("{field: {Goal: growth}}", an_item(fields={"Goal": None})),
        ("{field: {Goal: growth}}", an_item(fields={"Other": "growth"})),
        ("{field: {Goal: growth, Size: 3}}", an_item(fields={"Goal": "growth"})),
        ("{label: KYC}", an_item(labels=("kyc",))),
        ("{label: ky}", an_item(labels=("kyc",))),
        ("{milestone: signup v2}", an_item(milestones=(("jira:version:7", "Signup v2"),))),
        ("{type: story}", an_item()),
        ("{type: Story}", an_item(type=None)),
        ("{team: growth}", an_item(team=None)),
        ("{kind: pull_request}", an_item()),
        ("{project: pay}", an_item()),
        ("{project: PA}", an_item()),
        ("{source: Jira}", an_item()),
        ("{when: item.type == 'Bug'}", an_item()),
    ],
)
def test_a_key_leaves_other_items_alone(match: str, item: Facts) -> None:
    """A key does not hold for what is merely similar, nor for what the item lacks."""
    assert alone(matching(A=match), item) == Decided()


def test_all_keys_must_hold() -> None:
    """A match of several keys holds only where each of them does."""
    compiled = matching(A="{label: kyc, component: api}")
    assert nodes(alone(compiled, an_item(labels=("kyc",), components=("api",)))) == ["A"]
    assert nodes(alone(compiled, an_item(labels=("kyc",)))) == []


def test_a_list_means_any_of() -> None:
    """A list under a key holds where one of its values does."""
    compiled = matching(A="{label: [kyc, signup]}")
    assert nodes(alone(compiled, an_item(labels=("signup",)))) == ["A"]
    assert nodes(alone(compiled, an_item(labels=("other",)))) == []


def test_a_star_in_a_project_crosses_slashes() -> None:
    """`*` stands for any text in a project, `/` included; other signs stand for themselves."""
    item = a_github_item(container="acme/web.shop/x")
    assert nodes(alone(matching(A="{project: 'acme*'}", B="{project: '*/x'}", C="{project: '*web?*'}"), item)) == [
        "A",
        "B",
    ]
    assert nodes(alone(matching(A="{project: 'acme/web.*'}"), a_github_item(container="acme/webxshop"))) == []


def test_a_star_globs_in_projects_only() -> None:
    """`*` in a label is a plain character."""
    compiled = matching(A="{label: 'a*'}")
    assert nodes(alone(compiled, an_item(labels=("abc",)))) == []
    assert nodes(alone(compiled, an_item(labels=("a*",)))) == ["A"]


@pytest.mark.parametrize(
    "match",
    [
        "{item: acme/web#7}",
        "{item: 'hub:ACME/web#7'}",
        "{label: KYC}",
        "{project: ACME/WEB}",
        "{project: 'ACME/*'}",
        "{ancestor: acme/WEB#7}",
        "{kind: issue, ancestor: acme/SHOP#1}",
    ],
)
def test_github_keys_repositories_and_labels_fold_case(match: str) -> None:
    """At a GitHub source letter case does not count in keys, repositories and labels."""
    above = (("hub:issue:I_1", "Acme/Shop#1", "hub:Acme/Shop#1"),)
    assert nodes(alone(matching(A=match), a_github_item(labels=("Kyc",), lineage=above))) == ["A"]


@pytest.mark.parametrize("match", ["{item: 'HUB:acme/web#7'}", "{item: 'hub:issue:I_kwa7'}", "{type: story}"])
def test_github_folds_nothing_else(match: str) -> None:
    """The source's name, a uid and an issue type keep their case at a GitHub source."""
    assert nodes(alone(matching(A=match), a_github_item())) == []


@pytest.mark.parametrize("match", ["label: {}", "field: {{{}: {}}}", "milestone: {}", "team: {}", "component: {}"])
@pytest.mark.parametrize(("written", "held"), [("Caf\u00e9", "Cafe\u0301"), ("Cafe\u0301", "Caf\u00e9")])
def test_text_compares_after_unicode_normalisation(match: str, written: str, held: str) -> None:
    """An accent written as one character or as two is the same, in every kind of text and at every source."""
    facts: dict[str, Any] = {
        "labels": (held,),
        "fields": {held: held},
        "milestones": (("v", held),),
        "team": held,
        "components": (held,),
    }
    for item in (an_item(**facts), a_github_item(**facts)):
        assert nodes(alone(matching(A=f"{{{match.format(written, written)}}}"), item)) == ["A"]


# --- the levels ---------------------------------------------------------------------------------------------


STRONGEST_FIRST = [
    "{item: PAY-18}",
    "{field: {Goal: growth}}",
    "{label: kyc}",
    "{ancestor: PAY-18}",
    "{milestone: v2}",
    "{component: api}",
    "{project: PAY}",
]
EVERYTHING = an_item(
    fields={"Goal": "growth"}, labels=("kyc",), milestones=(("jira:version:7", "v2"),), components=("api",)
)


def test_the_strongest_level_decides() -> None:
    """Item before field before label before ancestor before milestone before component before project."""
    for at, stronger in enumerate(STRONGEST_FIRST):
        for weaker in STRONGEST_FIRST[at + 1 :]:
            assert nodes(alone(matching(A=weaker, B=stronger), EVERYTHING)) == ["B"]


def test_a_pin_is_the_strongest() -> None:
    """A pin decides over an `item` rule, and its row names it."""
    decided = alone(
        rules(
            NODES
            + "initiatives: [{id: A, serves: {OBJ-1: 1}, match: {item: PAY-18}}]\npins: [{item: PAY-18, to: OBJ-2}]"
        ),
        an_item(),
    )
    assert [(row.node, row.level, row.rule) for row in decided.rows] == [("OBJ-2", "pin", "pins[0]")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{component: api}", "{type: Story}"),
        ("{kind: issue}", "{when: item.key != ''}"),
        ("{project: PAY}", "{source: jira}"),
    ],
)
def test_some_keys_share_a_level(one: str, other: str) -> None:
    """Component, type, kind, team and when are equals; so are project and source."""
    assert nodes(alone(matching(A=one, B=other), EVERYTHING)) == ["A", "B"]


def test_a_match_has_the_level_of_its_strongest_key() -> None:
    """`{project, label}` is a label rule, and wins over a milestone."""
    decided = alone(matching(A="{milestone: v2}", B="{project: PAY, label: kyc}"), EVERYTHING)
    assert [(row.node, row.level) for row in decided.rows] == [("B", "label")]


def test_each_branch_of_any_is_a_match_of_its_own() -> None:
    """A branch has its own level and place; a weak one gains nothing from a strong one that does not hold."""
    compiled = matching(A="{any: [{label: other}, {project: PAY}]}", B="{milestone: v2}")
    assert nodes(alone(compiled, EVERYTHING)) == ["B"]
    (row,) = alone(compiled, an_item()).rows
    assert (row.node, row.level, row.rule) == ("A", "project", "A.match.any[1]")


def test_a_branch_is_joined_with_the_keys_outside_it() -> None:
    """Keys beside `any` must hold with each branch, and lend it their level."""
    compiled = matching(
        A="{label: kyc, any: [{type: Bug}, {any: [{component: x}, {project: PAY}]}]}", B="{milestone: v2}"
    )
    (row,) = alone(compiled, EVERYTHING).rows
    assert (row.node, row.level, row.rule) == ("A", "label", "A.match.any[1].any[1]")
    assert nodes(alone(compiled, an_item())) == []


def test_keys_under_not_never_raise_a_level() -> None:
    """`{project, not: {label}}` is a project rule."""
    compiled = matching(A="{project: PAY, not: {label: other}}", B="{milestone: v2}")
    assert nodes(alone(compiled, EVERYTHING)) == ["B"]
    assert nodes(alone(compiled, an_item(labels=("other",)))) == []


def test_not_holds_where_no_branch_below_it_does() -> None:
    """`not` with `any` excludes each of the branches; `not` within `not` turns back."""
    compiled = matching(A="{project: PAY, not: {any: [{label: x}, {type: Bug, not: {label: y}}]}}")
    assert nodes(alone(compiled, an_item())) == ["A"]
    assert nodes(alone(compiled, an_item(labels=("x",)))) == []
    assert nodes(alone(compiled, an_item(type="Bug"))) == []
    assert nodes(alone(compiled, an_item(type="Bug", labels=("y",)))) == ["A"]


def test_the_level_named_is_the_first_of_equals_as_written() -> None:
    """Where several keys share the strongest level, the first in the file is named."""
    assert own(matching(A="{project: PAY, type: Story, component: api}"), EVERYTHING).level == "type"
    assert own(matching(A="{any: [{component: api}], type: Story}"), EVERYTHING).level == "component"


def test_the_first_rule_in_file_order_is_named() -> None:
    """A node that two rules of one level name counts once, by the first of them."""
    decided = alone(matching(A="{any: [{label: kyc}, {label: [kyc, x]}]}", B="{label: kyc}"), EVERYTHING)
    assert [(row.node, row.share, row.rule) for row in decided.rows] == [
        ("A", SHARE // 2, "A.match.any[0]"),
        ("B", SHARE // 2, "B.match"),
    ]


def test_file_order_is_the_files_own() -> None:
    """Sections may stand in any order, and results follow it."""
    text = (
        "run: {match: {label: kyc}}\n"
        "initiatives: [{id: A, serves: {O: 1}, match: {label: kyc}}]\n"
        "objectives: [{id: O, match: {label: kyc}}]"
    )
    assert nodes(alone(rules(text), EVERYTHING)) == ["run", "A", "O"]


# --- ancestors and inheritance --------------------------------------------------------------------------------


EPIC = ("jira:issue:1", "PAY-1", "OLD-1", "jira:PAY-1", "jira:OLD-1")


def test_an_ancestor_alone_marks_the_item_itself() -> None:
    """`ancestor: K` alone is K's own result; those below have none of their own, and inherit."""
    compiled = matching(A="{ancestor: PAY-1}")
    assert own(compiled, an_item("PAY-1")).level == "ancestor"
    assert compiled.own(an_item(lineage=(EPIC,)), TODAY) is None


@pytest.mark.parametrize("name", ["PAY-1", "OLD-1", "'jira:PAY-1'", "'jira:OLD-1'", "'jira:issue:1'"])
def test_beside_other_keys_an_ancestor_covers_all_below(name: str) -> None:
    """`{ancestor: K, type: Story}` holds for K and every story below it, whichever name K is given."""
    compiled = matching(A=f"{{ancestor: {name}, type: Story}}")
    assert own(compiled, an_item(lineage=(("jira:issue:9", "PAY-9"), EPIC))).level == "ancestor"
    assert compiled.own(an_item(type="Bug", lineage=(EPIC,)), TODAY) is None
    assert compiled.own(an_item(), TODAY) is None


def test_under_not_an_ancestor_covers_all_below() -> None:
    """`not: {ancestor: K}` excludes K and all below it."""
    compiled = matching(A="{project: PAY, not: {ancestor: PAY-1}}")
    assert compiled.own(an_item(lineage=(EPIC,)), TODAY) is None
    assert compiled.own(an_item("PAY-1", uid="jira:issue:1"), TODAY) is None
    assert compiled.own(an_item(), TODAY) is not None


def test_an_item_inherits_at_the_level_at_which_it_was_won() -> None:
    """A labelled epic beats a child's milestone, and the row names the epic."""
    compiled = matching(A="{label: kyc}", B="{milestone: v2}")
    above = Inherited.of("jira:issue:1", own(compiled, an_item("PAY-1", labels=("kyc",))))
    decided = inherit(own(compiled, an_item(milestones=(("v", "v2"),))), (above,))
    assert [(row.node, row.level, row.inherited_from) for row in decided.rows] == [("A", "label", "jira:issue:1")]


def test_on_a_tie_the_own_result_wins() -> None:
    """A labelled child differs from its labelled epic."""
    compiled = matching(A="{label: a}", B="{label: b}")
    above = Inherited.of("jira:issue:1", own(compiled, an_item("PAY-1", labels=("a",))))
    decided = inherit(own(compiled, an_item(labels=("b",))), (above,))
    assert [(row.node, row.inherited_from) for row in decided.rows] == [("B", None)]


def test_of_equal_ancestors_the_nearest_wins_and_of_unequal_ones_the_strongest() -> None:
    """The strongest level on the way up decides; distance only breaks ties."""
    compiled = matching(A="{label: a}", B="{label: b}", C="{item: PAY-3}")
    near = Inherited.of("near", own(compiled, an_item("PAY-1", labels=("a",))))
    far = Inherited.of("far", own(compiled, an_item("PAY-2", labels=("b",))))
    farthest = Inherited.of("farthest", own(compiled, an_item("PAY-3")))
    assert nodes(inherit(None, (near, far))) == ["A"]
    assert nodes(inherit(None, (near, far, farthest))) == ["C"]


def test_a_pinned_epic_rules_its_children_until_they_are_pinned() -> None:
    """A pin is inherited as a pin: only the child's own pin differs from it."""
    compiled = rules(
        NODES
        + "initiatives: [{id: A, serves: {OBJ-1: 1}, match: {item: PAY-18}}]\n"
        + "pins: [{item: PAY-1, to: OBJ-2}, {item: PAY-19, to: OBJ-1}]"
    )
    above = Inherited.of("jira:issue:1", own(compiled, an_item("PAY-1")))
    assert nodes(inherit(own(compiled, an_item()), (above,))) == ["OBJ-2"]
    assert nodes(inherit(own(compiled, an_item("PAY-19")), (above,))) == ["OBJ-1"]


@pytest.mark.parametrize("result", ["run", "none"])
def test_run_and_none_are_results_like_any_other_and_are_inherited(result: str) -> None:
    """A pin to `run` or `none` takes the item and its children, over any weaker rule."""
    compiled = rules(f"objectives: [{{id: O, match: {{label: kyc}}}}]\npins: [{{item: PAY-1, to: {result}}}]")
    above = own(compiled, an_item("PAY-1"))
    decided = inherit(own(compiled, EVERYTHING), (Inherited.of("jira:issue:1", above),))
    assert [(row.node, row.share, row.inherited_from) for row in decided.rows] == [(result, SHARE, "jira:issue:1")]


# --- several nodes, pins, pull requests ------------------------------------------------------------------------


def test_several_nodes_get_equal_parts_and_a_flag_which_are_inherited() -> None:
    """Two nodes and run at one level take a third each; a child inherits the parts and the flag."""
    compiled = rules(
        "objectives: [{id: A, match: {label: kyc}}, {id: B, match: {label: kyc}}]\nrun: {match: {label: kyc}}"
    )
    mine = own(compiled, EVERYTHING)
    for decided in (inherit(mine, ()), inherit(None, (Inherited.of("up", mine),))):
        assert [(row.node, row.share) for row in decided.rows] == [(n, SHARE // 3) for n in ("A", "B", "run")]
        assert decided.ambiguous


def test_in_a_tie_of_pins_none_counts_as_a_part() -> None:
    """Pinned to a node and to `none`, half of the item serves the node."""
    decided = alone(rules(NODES + "pins: [{item: PAY-18, to: OBJ-1}, {item: 'jira:PAY-18', to: none}]"), an_item())
    assert [(row.node, row.share) for row in decided.rows] == [("OBJ-1", SHARE // 2), ("none", SHARE // 2)]
    assert decided.ambiguous


def test_two_pins_to_one_node_are_no_tie() -> None:
    """The same node named twice counts once, by the first pin."""
    decided = alone(rules(NODES + "pins: [{item: PAY-18, to: OBJ-1}, {item: 'jira:PAY-18', to: OBJ-1}]"), an_item())
    assert [(row.node, row.share, row.rule) for row in decided.rows] == [("OBJ-1", SHARE, "pins[0]")]
    assert not decided.ambiguous


def test_a_pins_until_is_its_last_day() -> None:
    """A pin holds on its last day, and no longer; `pin_ends` tells when to look again."""
    compiled = rules(
        NODES + "pins: [{item: PAY-18, to: OBJ-1, until: 2026-11-23}, {item: ACME/web#7, to: OBJ-1, until: 2026-12-01}]"
    )
    assert nodes(alone(compiled, an_item(), date(2026, 11, 23))) == ["OBJ-1"]
    assert nodes(alone(compiled, an_item(), date(2026, 11, 24))) == []
    assert compiled.pin_ends(("jira:issue:18", "PAY-18", "jira:PAY-18")) == [date(2026, 11, 23)]
    assert compiled.pin_ends(("hub:issue:I_kwA7", "acme/web#7")) == [date(2026, 12, 1)]
    assert compiled.pin_ends(("jira:issue:19", "PAY-19")) == []


@pytest.mark.parametrize(
    ("match", "counted"),
    [
        ("{label: kyc}", False),
        ("{label: kyc, kind: pull_request}", True),
        ("{label: kyc, kind: [issue, pull_request]}", True),
        ("{kind: pull_request, any: [{label: kyc}]}", True),
        ("{label: kyc, any: [{kind: pull_request}, {type: Bug}]}", True),
        ("{label: kyc, not: {kind: issue}}", False),
        ("{label: kyc, not: {not: {kind: pull_request}, label: x}}", False),
        ("{any: [{label: kyc}, {kind: pull_request}]}", False),
    ],
)
def test_a_pull_request_counts_where_the_deciding_rule_names_its_kind(match: str, counted: bool) -> None:
    """It is aligned like anything else, and counted only if a rule of the deciding level names `kind: pull_request`."""
    request = an_item(kind="pull_request", type=None, labels=("kyc",))
    decided = alone(matching(A=match), request)
    assert (nodes(decided), decided.counts_pull_request) == (["A"], counted)


def test_one_of_several_rules_at_the_deciding_level_may_name_pull_requests() -> None:
    """Any rule of the deciding level will do, also a second one for the same node; what is inherited keeps it."""
    request = an_item(kind="pull_request", type=None, labels=("kyc",))
    mine = own(matching(A="{any: [{label: kyc}, {label: kyc, kind: pull_request}]}", B="{label: kyc}"), request)
    assert inherit(mine, ()).counts_pull_request
    assert inherit(None, (Inherited.of("up", mine),)).counts_pull_request


def test_a_pinned_pull_request_counts() -> None:
    """Where a pin decides, the pull request is counted."""
    request = an_item(kind="pull_request", type=None)
    assert alone(rules(NODES + "pins: [{item: PAY-18, to: OBJ-1}]"), request).counts_pull_request


# --- rules that fail ------------------------------------------------------------------------------------------


FAILING = "{when: item.points > 3.0}"


def test_a_failing_rule_marks_an_item_whose_answer_it_could_have_changed() -> None:
    """Without a stronger result, or beside an equal one of another node, the failure is told."""
    assert alone(matching(A=FAILING), an_item()) == Decided(rule_error=True)
    for other in ("{project: PAY}", "{type: Story}"):
        decided = alone(matching(A=FAILING, B=other), an_item())
        assert (nodes(decided), decided.rule_error) == (["B"], True)


def test_a_failing_rule_marks_no_item_that_is_decided_anyway() -> None:
    """A stronger result, an equal one for the same node, or another key that does not hold make the failure moot."""
    assert not alone(matching(A=FAILING, B="{label: kyc}"), EVERYTHING).rule_error
    assert not alone(matching(A=f"{{any: [{FAILING}, {{type: Story}}]}}"), an_item()).rule_error
    assert not alone(matching(A="{when: item.points > 3.0, type: Bug}"), an_item()).rule_error
    assert not alone(matching(A="{project: PAY, not: {when: item.points > 3.0, type: Bug}}"), an_item()).rule_error


def test_a_failure_under_not_is_no_yes() -> None:
    """What cannot be known is not excluded either: the item is marked, and not aligned by that rule."""
    assert alone(matching(A="{project: PAY, not: {when: item.points > 3.0}}"), an_item()) == Decided(rule_error=True)


def test_a_failure_is_weighed_against_what_is_inherited() -> None:
    """A stronger inherited result makes it moot; an equal one does not, for one's own would have won."""
    compiled = matching(A=FAILING, B="{label: kyc}", C="{type: Epic}")
    strong = Inherited.of("up", own(compiled, an_item("PAY-1", labels=("kyc",))))
    equal = Inherited("up", own(matching(C="{type: Epic}"), an_item("PAY-1", type="Epic")).rank, strong.results)
    mine = compiled.own(an_item(), TODAY)
    assert not inherit(mine, (strong,)).rule_error
    assert inherit(mine, (equal,)).rule_error


def test_a_failure_is_not_inherited() -> None:
    """Only the item on which the rule failed is marked; its result goes on without the mark."""
    mine = own(matching(A=FAILING, B="{project: PAY}"), an_item("PAY-1"))
    assert inherit(mine, ()).rule_error
    assert inherit(None, (Inherited.of("up", mine),)) == Decided(
        rows=inherit(None, (Inherited.of("up", mine),)).rows, rule_error=False
    )


def test_an_expression_that_answers_no_truth_value_fails() -> None:
    """`when: item.type` is neither yes nor no."""
    assert alone(matching(A="{when: item.type}"), an_item()).rule_error


# --- reserves, risks, signals, milestones ---------------------------------------------------------------------


WATCHING = f"""
{NODES}
reserves: [{{id: security, share_min: 0.1, match: {{ancestor: PAY-1}}}}]
risks: [{{id: R1, statement: x, trigger: {{match: {{label: outage}}, more_than: 5, within: 14d}}}}]
signals: [{{id: S1, statement: x, watch: {{label: [kyc, outage]}}}}]
initiatives:
  - {{id: A, serves: {{OBJ-1: 1}}, milestones: [{{id: beta, match: {{milestone: beta}}}}, {{id: end}}]}}
"""


def test_an_item_is_watched_without_being_aligned() -> None:
    """Reserves, risks, signals and plan milestones find their items; none of them aligns anything."""
    item = an_item(labels=("outage",), milestones=(("v", "beta"),), lineage=(EPIC,))
    compiled = rules(WATCHING)
    watched = compiled.watched(item)
    assert (watched.reserves, watched.risks, watched.signals) == (("security",), ("R1",), ("S1",))
    assert watched.milestones == (("A", "beta"),)
    assert compiled.own(item, TODAY) is None


def test_in_a_reserve_an_ancestor_covers_all_below() -> None:
    """`ancestor: K` alone holds for K and all below it there."""
    compiled = rules(WATCHING)
    assert compiled.watched(an_item(lineage=(("jira:issue:9", "PAY-9"), EPIC))).reserves == ("security",)
    assert compiled.watched(an_item("PAY-1")).reserves == ("security",)
    assert compiled.watched(an_item()).reserves == ()


def test_a_watching_rule_that_fails_is_told() -> None:
    """A reserve whose expression fails is no silent no."""
    compiled = rules(NODES + f"reserves: [{{id: s, share_min: 0.1, match: {FAILING}}}]")
    watched = compiled.watched(an_item())
    assert (watched.reserves, watched.rule_error) == ((), True)


def test_a_match_of_ones_own_can_be_asked() -> None:
    """A matcher answers for one match, with `ancestor` covering all below unless told otherwise."""
    file: StrategyFile = parse_strategy("objectives: [{id: O, match: {ancestor: PAY-1}}]", file="s")
    compiled, match = compile_rules(file), file.objectives[0].match
    assert match is not None
    child = an_item(lineage=(EPIC,))
    assert compiled.matcher(match)(child) is True
    assert compiled.matcher(match, below=False)(child) is False


def test_expressions_see_the_item_as_its_json_names_it() -> None:
    """`item` has the facts under their JSON names, and what else is handed in; absent values are null."""
    more: Mapping[str, Any] = {"title": "Sign up", "estimate_points": None}
    item = an_item(labels=("a",), milestones=(("v", "V2"),), lineage=(EPIC,), fields={"Goal": None}, more=more)
    for expression in (
        "'a' in item.labels",
        "item.parent == 'jira:issue:1'",
        "item.fields.Goal == null && item.team == null",
        "item.milestone_titles.exists(t, t == 'V2') && item.milestones == ['v']",
        "item.title.contains('Sign') && item.estimate_points == null",
    ):
        assert nodes(alone(matching(A=f'{{when: "{expression}"}}'), item)) == ["A"], expression


def test_only_rules_that_name_something_of_the_item_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rules there are, those that name nothing rare that the item has cost it nothing."""
    tried: list[int] = []

    def counting(conditions: Any, view: Any) -> bool | None:
        tried.append(1)
        return all_hold(conditions, view)

    monkeypatch.setattr("services.align.rules.all_hold", counting)
    many = {f"I{at}": f"{{project: PAY, type: Story, label: [l{at}, m{at}]}}" for at in range(300)}
    compiled = matching(**many)
    assert nodes(alone(compiled, an_item(labels=("l7", "m7", "x")))) == ["I7"]
    assert len(tried) == 1
