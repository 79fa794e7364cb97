"""`purge --person` takes a name out of everything that is stored, and out of nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli import maintenance
from services.storage import tables
from services.storage.people import ERASED, places_of, without
from tests.cli.test_decisions import STRATEGY, file, ran, stored

assert maintenance
__all__ = ["file"]
OWNED = STRATEGY + "risks: [{id: R1, statement: ada is a language, likelihood: 1, impact: 1, owner: ada}]\n"


def everything(file: Path) -> str:
    """All that the database holds, as text."""
    return repr(stored(file, *tables.metadata.tables))


def test_a_name_is_gone_from_every_table_and_from_the_log(file: Path) -> None:
    """Answers, events, findings, messages and past strategies; what other people did stays theirs."""
    strategy = file.with_name("strategy.yaml")
    strategy.write_text(OWNED)
    assert ran(file, "apply", "--approve", "--by", "ada", "--why", "as agreed").exit_code == 0
    strategy.write_text(STRATEGY)
    assert ran(file, "apply", "--approve", "--by", "ben", "--why", "without the risk").exit_code == 0
    assert ran(file, "decide", "f-1", "keep", "--by", "ada", "--why", "it slips").exit_code == 0
    assert ran(file, "ack", "f-1", "--by", "ada").exit_code == 0
    assert ran(file, "snooze", "f-1", "--until", "2099-01-01", "--by", "ada", "--why", "a freeze").exit_code == 0
    assert ran(file, "review", "INI-1", "keep", "--by", "ben", "--why", "good", "--attendee", "ada").exit_code == 0
    before = {what: ran(file, "export", what).stdout for what in ("items", "ledger", "alignments", "findings")}

    found = ran(file, "purge", "--person", "ada", "--json")

    assert (found.exit_code, found.stderr) == (0, "")
    erased = json.loads(found.stdout)
    assert erased["mentions"] == []
    assert erased["erased"].keys() == {
        "decisions", "appraisals", "acknowledgements", "snoozes", "strategies", "findings", "deliveries", "log",
    }  # fmt: skip
    assert everything(file).count("ada") == everything(file).count("ada is a language") > 0
    assert "'ben'" in everything(file)
    after = {what: ran(file, "export", what).stdout for what in before}
    assert after == {what: text.replace('"ada"', f'"{ERASED}"') for what, text in before.items()}
    assert ran(file, "replay").exit_code == 0
    assert "Nothing stored names this person." in ran(file, "purge", "--person", "ada").stdout


def test_a_strategy_that_names_the_person_comes_first(file: Path) -> None:
    """It says where, and erases nothing."""
    file.with_name("strategy.yaml").write_text(OWNED)
    assert ran(file, "apply").exit_code == 0
    before = everything(file)
    found = ran(file, "purge", "--person", "ada")
    assert (found.exit_code, found.stdout) == (1, "")
    assert "strategy.yaml still names this person: risks[0].owner" in found.stderr
    assert everything(file) == before


def test_free_text_is_told_of_and_left_alone(file: Path) -> None:
    """Whether `may` is a month or somebody, only a person can tell."""
    assert ran(file, "decide", "f-1", "keep", "--by", "may", "--why", "may is short").exit_code == 0
    found = ran(file, "purge", "--person", "may")
    (row,) = stored(file, "decisions")[0]
    assert (row.by, row.why) == (ERASED, "may is short")
    assert f"left as it is: decisions {row.id}" in found.stdout


@pytest.mark.parametrize("person", ["", "  "])
def test_nobody_is_2(file: Path, person: str) -> None:
    """An empty name is nobody's."""
    assert ran(file, "purge", "--person", person).exit_code == 2


_VALUES = st.recursive(
    st.sampled_from(["ada", "ben", "adam", 1, None]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["by", "owner", "responsible", "title", "why"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(data=_VALUES)
def test_what_is_erased_is_named_nowhere_and_the_rest_stays(data: Any) -> None:
    """Once more changes nothing; another person is untouched."""
    clean = without(data, "ada")
    assert list(places_of(clean, "ada")) == []
    assert without(clean, "ada") == clean
    assert (clean == data) == (not list(places_of(data, "ada")))
    assert list(places_of(clean, "ben")) == list(places_of(data, "ben"))
