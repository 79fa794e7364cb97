"""Expressions see the whole item as it was on each day, and nobody else pays for it."""

from datetime import UTC, date
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.strategy import parse_strategy
from schemas.work import WorkItem
from services.align import described
from services.align.answers import Answers
from services.align.rules import compile_rules
from services.align.state import Version, course
from services.ledger.history import BEGINNING, lifetime, moment
from tests.work_items import a_change, an_item, at, done

ZONE = ZoneInfo("Europe/Berlin")


def aligned(match: str, item: WorkItem) -> list[tuple[str, list[str], bool]]:
    """The days on which the item's alignment began, its nodes, and whether a rule failed."""
    text = f"objectives: [{{id: OBJ-1, title: One, match: {match}}}]"
    version = Version(1, BEGINNING, compile_rules(parse_strategy(text, file="strategy.yaml")))
    found = course(item, lifetime(item), [version], {}, Answers({}), ZONE)
    return [
        (f"{moment(began):%Y-%m-%d}", [row.node for row in decided.rows], decided.rule_error)
        for began, decided in found.decided
    ]


WHOLE = an_item(
    7,
    title="Pay by card",
    status="In Review",
    status_category="in_progress",
    estimate_points=3.0,
    original_estimate_s=7200,
    time_spent_s=3600,
    started_at=at("2026-01-05 09:00"),
    due_date=date(2026, 12, 1),
    url="https://acme.example/PAY-7",
)


@pytest.mark.parametrize(
    "expression",
    [
        "item.title.contains('card')",
        "item.status == 'In Review' && item.status_category == 'in_progress'",
        "item.resolution == null && item.resolution_name == null && item.done_at == null",
        "item.estimate_points >= 3.0 && item.original_estimate_s > 3600.0 && item.time_spent_s == 3600.0",
        "item.estimate_points > 2 && item.estimate_points < 4",
        "item.created_at < timestamp('2026-02-01T00:00:00Z') && item.updated_at == item.started_at",
        "item.due_date == '2026-12-01' && item.availability == 'present'",
        "item.external_id == '7' && item.url.endsWith('PAY-7')",
    ],
)
def test_expressions_see_every_value_of_the_item(expression: str) -> None:
    """Text, numbers, times and what is absent: by the names of the item's JSON."""
    assert aligned(f'{{when: "{expression}"}}', WHOLE) == [("2026-01-05", ["OBJ-1"], False)]


def test_an_expression_sees_the_estimate_of_the_day() -> None:
    """An item that was re-estimated matches from that day on only."""
    item = an_item(1, estimate_points=8.0, history=(a_change("estimate_points", "2026-03-01", 2.0, 8.0),))
    assert aligned("{when: item.estimate_points > 5.0}", item) == [
        ("2026-01-05", [], False),
        ("2026-03-01", ["OBJ-1"], False),
    ]


def test_an_expression_sees_the_status_name_of_the_day() -> None:
    """A status that changes within its category turns a rule on and off."""
    moves = [("2026-02-01", "To Do", "Doing"), ("2026-02-05", "Doing", "In Review"), ("2026-02-09", "In Review", "QA")]
    history = tuple(
        a_change("status", day, before, after, before_category="todo" if before == "To Do" else "in_progress",
                 after_category="in_progress")
        for day, before, after in moves
    )  # fmt: skip
    item = an_item(1, status="QA", status_category="in_progress", history=history)
    assert aligned("{when: item.status == 'In Review'}", item) == [
        ("2026-01-05", [], False),
        ("2026-02-05", ["OBJ-1"], False),
        ("2026-02-09", [], False),
    ]


def test_what_had_not_happened_is_null_on_the_day() -> None:
    """An item done in March was not done in February, nor had it a resolution."""
    item = done(1, "2026-03-02", resolution_name="Fixed")
    expected: list[tuple[str, list[str], bool]] = [("2026-01-05", ["OBJ-1"], False), ("2026-03-02", [], False)]
    for expression in ("item.done_at == null", "item.resolution_name == null", "item.updated_at == item.created_at"):
        assert aligned(f'{{when: "{expression}"}}', item) == expected, expression


def test_a_reopened_item_keeps_its_first_end_in_the_past() -> None:
    """Done twice: on the days between, the first end is told, and the second from then on."""
    first, second = "2026-02-02", "2026-04-02"
    history = (
        a_change("status", first, "To Do", "Done", before_category="todo", after_category="done"),
        a_change("status", "2026-03-02", "Done", "To Do", before_category="done", after_category="todo"),
        a_change("status", second, "To Do", "Done", before_category="todo", after_category="done"),
    )
    item = an_item(1, status="Done", status_category="done", done_at=at(second).astimezone(UTC), history=history)
    early = "item.done_at != null && item.done_at < timestamp('2026-03-01T00:00:00Z')"
    assert [(day, bool(nodes)) for day, nodes, _ in aligned(f'{{when: "{early}"}}', item)] == [
        ("2026-01-05", False), ("2026-02-02", True), ("2026-03-02", False),
    ]  # fmt: skip


def test_without_expressions_nothing_is_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules without `when` read no status names, however long the history."""

    def refuse(*_: Any) -> None:
        raise AssertionError("was gathered")

    for name in ("status_at", "updated_at", "finished_at"):
        monkeypatch.setattr(described, name, refuse)
    assert aligned("{label: growth}", done(1, "2026-03-02", labels=("growth",)))[0][1] == ["OBJ-1"]
    with pytest.raises(AssertionError):
        aligned("{when: item.title == ''}", WHOLE)
