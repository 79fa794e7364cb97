"""An answer that is remembered is the one that asking again would give."""

from datetime import date
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.strategy import StrategyFile
from services.align.answers import Answer, Answers
from services.align.rules import Facts, Rules, compile_rules
from services.ledger.history import micros, snapshot
from tests.align.test_rules_properties import TODAY, items, strategies
from tests.work_items import an_item, at

TITLES = {"jira:version:1": "v1", "jira:version:2": "v2"}
EXPRESSIONS = ('item.key.endsWith("1")', 'item.title.contains("2")', "item.labels.size() > 1", "item.points > 1.0")


def answer(answers: Answers, rules: Rules, facts: Facts, on: date) -> Answer:
    item = an_item(
        int(facts.uid.rpartition(":")[2]),
        source=facts.source,
        kind=facts.kind,
        uid=facts.uid,
        key=facts.key,
        previous_keys=facts.previous_keys,
        container=facts.container,
        type=facts.type,
        labels=facts.labels,
        components=facts.components,
        milestones=tuple(uid for uid, _ in facts.milestones),
        team=facts.team,
        fields=facts.fields,
        title=f"{facts.key} {facts.uid}",
    )
    keys = (item.key, *item.previous_keys)
    names = (item.uid, *keys, *(f"{item.source}:{key}" for key in keys))
    began = micros(at("2026-01-05"))
    return answers.of(rules, item, snapshot(item), names, facts.lineage, (), began, on)


@settings(max_examples=300, deadline=None)
@given(strategies(), st.sampled_from([None, *EXPRESSIONS]), st.lists(items(), min_size=2, max_size=8), st.data())
def test_what_is_remembered_is_what_would_be_answered(
    file: dict[str, Any], when: str | None, found: list[Facts], data: st.DataObject
) -> None:
    """Of items that differ in no evidence, or in their names only, which rules may name and expressions may see."""
    if when is not None:
        file = file | {"objectives": [*file["objectives"], {"id": "WHEN", "match": {"when": when}}]}
    rules = compile_rules(StrategyFile.model_validate(file), folds={"hub"})
    names = [(one.uid, one.key, one.previous_keys, one.source) for one in found]
    shared = Answers(TITLES)
    for facts in found:
        for _ in range(2):
            uid, key, former, source = data.draw(st.sampled_from([one for one in names if one[3] == facts.source]))
            other = Facts(
                uid=uid, key=key, previous_keys=former, source=source, container=facts.container, kind=facts.kind,
                type=facts.type, labels=facts.labels, components=facts.components, milestones=facts.milestones,
                team=facts.team, fields=facts.fields, lineage=facts.lineage,
            )  # fmt: skip
            for on in (TODAY, date(2026, 11, 24)):
                assert answer(shared, rules, other, on) == answer(Answers(TITLES), rules, other, on)
