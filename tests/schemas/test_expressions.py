"""CEL expressions over one item."""

import pytest

from schemas.expressions import MAX_LENGTH, InvalidExpression, compile_expression, item_context

ITEM = item_context({"type": "Bug", "labels": ["a"], "team": None, "points": 3.0})


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("item.type == 'Bug'", True),
        ("item.points > 3.0", False),
        ("item.points >= 3", True),
        ("has(item.nothing)", False),
        ("item.labels.exists(l, l == 'a')", True),
        ("item.team == null", True),
        ("item.nothing == 1", None),
        ("item.team > 3", None),
        ("item.type", None),
        ("item.points / 0.0 > 1.0 && unknown(item)", None),
    ],
)
def test_an_expression_is_true_or_false_or_fails(text: str, answer: bool | None) -> None:
    """A missing name, a wrong type or an answer that is no truth value is a failure, never a silent no."""
    assert compile_expression(text).holds(ITEM) is answer


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("item.", "is not valid CEL: 1:6: Syntax error"),
        ("item.type = 'Bug'", "is not valid CEL: 1:11: Syntax error"),
        ("1 == 1", "must look at `item`"),
        ("(" * 500 + "item" + ")" * 500, "is not valid CEL"),
        ("item.x" + " " * MAX_LENGTH, "is longer than 2,000 characters"),
    ],
)
def test_what_is_no_expression_says_why(text: str, reason: str) -> None:
    """A syntax error names its place; the expression itself is not repeated."""
    with pytest.raises(InvalidExpression) as caught:
        compile_expression(text)
    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize("link", [".a", "[0]", ".a()", " + 1", " && item", " || item"])
def test_a_long_chain_ends_well(link: str) -> None:
    """The longest chains that fit neither overflow the engine's stack nor hang."""
    text = "item" + link * ((MAX_LENGTH - 4) // len(link))
    assert compile_expression(text).holds(ITEM) is None


def test_a_hostile_pattern_is_quick() -> None:
    """Regular expressions run in linear time: nested repetition over a long text just answers."""
    item = item_context({"text": "a" * 20_000 + "!"})
    assert compile_expression("item.text.matches('^(a+)+$')").holds(item) is False
