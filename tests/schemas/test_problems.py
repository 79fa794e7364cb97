"""Problems of a file, in plain words."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.problems import InvalidFile, Problem, did_you_mean, key_path, problems_of


class _Base(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class _Cat(_Base):
    kind: Literal["cat"]
    lives: int = 9


class _Dog(_Base):
    kind: Literal["dog"]
    bark: str = ""


class _Zoo(_Base):
    animals: list[Annotated[_Cat | _Dog, Field(discriminator="kind")]]
    keeper: _Dog | None = None
    names: dict[str, _Cat] = {}


def lines(data: object) -> list[str]:
    """The problems of a zoo."""
    with pytest.raises(ValidationError) as caught:
        _Zoo.model_validate(data)
    return [str(problem) for problem in problems_of(caught.value, _Zoo)]


def test_a_unions_tag_is_no_part_of_the_path() -> None:
    """Below one of several kinds the path has only keys that stand in the file, and hints come from that kind."""
    assert lines({"animals": [{"kind": "cat", "livs": 3}]}) == ["animals[0].livs: unknown key; did you mean `lives`?"]
    assert lines({"animals": [{"kind": "dog", "bark": 3}]}) == ["animals[0].bark: must be text; put it in quotes"]
    assert lines({"animals": [{"kind": "cow"}]}) == ["animals[0]: must be one of 'cat', 'dog'"]


def test_paths_lead_through_options_and_mappings() -> None:
    """An optional part and a mapping's values are followed too."""
    assert lines({"animals": [], "keeper": {"kind": "dog", "barc": ""}}) == [
        "keeper.barc: unknown key; did you mean `bark`?"
    ]
    assert lines({"animals": [], "names": {"tom": {"kind": "cat", "lives": "many"}}}) == [
        "names.tom.lives: must be a whole number"
    ]


def test_no_value_is_repeated() -> None:
    """A wrong value may be a secret."""
    assert not any("hunter2" in line for line in lines({"animals": "hunter2", "keeper": "hunter2", "names": "hunter2"}))


def test_a_path_cannot_write_on_the_terminal() -> None:
    """Control characters in a key are shown, not sent; a long key is cut."""
    assert key_path(("a", 0, "b\x1b[31m")) == "a[0].'b\\x1b[31m'"
    assert len(key_path(("x" * 1000,))) == 100


def test_an_invalid_file_names_file_and_path_in_each_line() -> None:
    """Every line begins with the file; a problem of the whole file has no path."""
    invalid = InvalidFile("s.yaml", [Problem("a.b", "is required"), Problem("", "is empty")])
    assert str(invalid) == "s.yaml: a.b: is required\ns.yaml: is empty"


def test_a_hint_is_given_only_where_a_word_is_near() -> None:
    """A misspelling is met with the word meant, anything else with nothing."""
    assert did_you_mean("titel", ["title", "parent"]) == "did you mean `title`?"
    assert did_you_mean("zzz", ["title", "parent"]) == ""
