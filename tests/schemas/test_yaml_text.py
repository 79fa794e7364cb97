"""YAML that people write."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.yaml_text import MAX_ALIASED, MAX_BYTES, read_yaml


def the_problem(text: str) -> str:
    """The one problem of a text, as it is shown."""
    _, problems = read_yaml(text)
    assert len(problems) == 1
    return str(problems[0])


def test_plain_words_stay_text() -> None:
    """Only true, false, null and numbers are anything but text: no YAML 1.1 surprises."""
    data, problems = read_yaml("a: [no, on, 12:30, 2026-10-01, 010, 0x10, 1.50, -3, true, ~, 1_000, '5', !!str 7]")
    assert problems == []
    expected = ["no", "on", "12:30", "2026-10-01", 10, 16, 1.5, -3, True, None, "1_000", "5", "7"]
    assert data == {"a": expected}
    assert [type(value) for value in data["a"]] == [type(value) for value in expected]


def test_a_key_is_always_text() -> None:
    """A key that looks like a number or a truth value is the text that was written."""
    assert read_yaml("2026: a\ntrue: b\non: c") == ({"2026": "a", "true": "b", "on": "c"}, [])


def test_a_key_given_twice_is_named_with_both_lines() -> None:
    """A doubled key is a problem that names its path and both lines, however deep it stands."""
    text = "objectives:\n  - id: A\n    title: x\n    title: y\n"
    assert the_problem(text) == "objectives[0].title: given twice, in lines 3 and 4; keep one"


def test_every_doubled_key_is_found() -> None:
    """One doubled key hides no other."""
    _, problems = read_yaml("a: 1\na: 2\nb: {c: 1, c: 2}\n")
    assert [problem.path for problem in problems] == ["a", "b.c"]


def test_a_merged_key_may_be_given_again() -> None:
    """What a mapping says itself wins over what it merges, and is no doubled key."""
    data, problems = read_yaml("base: &b {x: 1, y: 2}\nmine: {<<: *b, y: 3}\n")
    assert problems == []
    assert data["mine"] == {"x": 1, "y": 3}


def test_of_several_merged_mappings_the_first_wins() -> None:
    """A list of mappings merges in order, as YAML's merge type says."""
    data, problems = read_yaml("a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}\n")
    assert (data["c"], problems) == ({"x": 1, "y": 2}, [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("~", "is empty"),
        ("- a\n- b\n", "must be a mapping of keys to values"),
        ("text", "must be a mapping of keys to values"),
        ("a: 1\n---\nb: 2\n", "line 2: a second document begins; keep one in a file"),
        ("a: !!python/object/apply:os.system [x]", "a: line 1: tags are not supported"),
        ("a: !secret x", "a: line 1: tags are not supported"),
        ("a: {<<: 3}", "a.<<: only mappings can be merged"),
        ("? [a]\n: 1\n", "line 1: a key must be plain text"),
        ("a: *nowhere", "a: line 1: an alias must follow the end of what it stands for"),
        ("a: &x [*x]", "a[0]: line 1: an alias must follow the end of what it stands for"),
        ("\ud800", "is not text in UTF-8"),
        ("a: \x00", "not valid YAML: a character that YAML does not allow"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, problem: str) -> None:
    """Each kind of unreadable text has its own sentence."""
    assert the_problem(text).endswith(problem)


def test_a_syntax_error_names_line_and_column() -> None:
    """Where YAML breaks, the message says in which line and column."""
    assert the_problem("a: 1\nb: c: d\n").startswith("line 2, column 5: not valid YAML: ")


def test_a_large_file_is_refused_before_it_is_parsed() -> None:
    """More than 5 MB are refused."""
    assert "larger than 5 MB" in the_problem("a: " + "x" * MAX_BYTES)


def test_aliases_cannot_explode() -> None:
    """Nested aliases that stand for billions of values are refused at once."""
    rows = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert f"aliases stand for more than {MAX_ALIASED:,} values" in the_problem("\n".join(rows))


def test_deep_nesting_is_refused() -> None:
    """A hundred thousand brackets end in a sentence, not in a full stack."""
    assert "nested more than 50 levels deep" in the_problem("a: " + "[" * 100_000)


@settings(max_examples=200)
@given(st.text(alphabet=" \n\t-:[]{}&*!|>'\"#%@`?,abc12.<~\ud800", max_size=60))
def test_any_text_gives_a_mapping_or_a_problem(text: str) -> None:
    """Whatever is written, the answer is data or problems, never another exception."""
    data, problems = read_yaml(text)
    assert isinstance(data, dict)
    assert all(str(problem) for problem in problems)
