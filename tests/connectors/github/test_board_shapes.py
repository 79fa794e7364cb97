"""What stands in the JSON of a board, well-formed or not."""

from typing import Any

import pytest

from connectors.github.board_shapes import board_item, fields_of, shape
from tests.connectors.github.boards import board, connector

__all__ = ["board", "connector"]


def test_the_estimate_is_the_field_that_the_configuration_or_its_name_says() -> None:
    """A field that is mapped as one; else by name, the first of three; and never one that is no number."""
    rows = [
        {"id": "1", "name": "Story points", "dataType": "NUMBER"},
        {"id": "2", "name": "estimate", "dataType": "TEXT"},
        {"id": "3", "name": "Größe", "dataType": "NUMBER"},
    ]
    fields = fields_of(rows)
    assert shape(fields, {}, None, {}).estimate == "1"
    assert shape(fields, {"Estimate": "Größe"}, None, {}).estimate == "3"
    assert shape(fields, {"Goal": "Größe"}, None, {}).estimate == "1"
    assert shape(fields_of(rows[1:]), {}, None, {}).estimate is None


def test_an_option_is_called_what_the_board_calls_it_now() -> None:
    """By its id, whatever name stands beside the value; by that name where the board has no such option any more."""
    row = {"id": "F", "name": "Goal", "dataType": "SINGLE_SELECT", "options": [{"id": "1", "name": "New"}]}
    meant = shape(fields_of([row]), {"Goal": "Goal"}, None, {})

    def goal(option: str) -> Any:
        content = {"__typename": "Issue", "fullDatabaseId": "5", "number": 1, "repository": {"nameWithOwner": "a/b"}}
        value = {"optionId": option, "name": "Old", "field": {"id": "F"}}
        found = board_item({"id": "E", "content": content, "fieldValues": {"nodes": [value]}}, meant, "g")
        return found.fields["Goal"] if found is not None else None

    assert (goal("1"), goal("2")) == ("New", "Old")


def test_fields_are_found_by_id_by_name_and_by_what_was_remembered() -> None:
    """A name that is gone leads to the field that last had it, unless that is gone too."""
    fields = fields_of([{"id": "1", "name": "Goal", "dataType": "TEXT"}, {"id": "2", "name": "2", "dataType": "TEXT"}])
    assert shape(fields, {"a": "1", "b": "GOAL", "c": "2"}, None, {}).fields == {"a": "1", "b": "1", "c": "2"}
    assert shape(fields, {"a": "Former"}, None, {"a": "1"}).fields == {"a": "1"}
    assert shape(fields, {"a": "Former"}, "Gone", {"a": "9"}).missing == ("Former", "Gone")


ENTRY: dict[str, Any] = {
    "id": "E",
    "isArchived": False,
    "updatedAt": "2026-11-01T00:00:00Z",
    "content": {"__typename": "Issue", "fullDatabaseId": "5", "number": 1, "repository": {"nameWithOwner": "a/b"}},
    "fieldValues": {"nodes": []},
}
ISSUE = ENTRY["content"]
NO_IDS: list[Any] = [None, "x", "²", "9" * 40, True, {}]


@pytest.mark.parametrize(
    "row",
    [
        None, 7, [], {}, {"id": 7}, {**ENTRY, "id": None}, {**ENTRY, "content": None}, {**ENTRY, "content": []},
        *({**ENTRY, "content": {**ISSUE, "number": number}} for number in (None, "1", True, 0, -1, 10**40, 1.5)),
        *({**ENTRY, "content": {**ISSUE, "fullDatabaseId": id_}} for id_ in NO_IDS),
        *({**ENTRY, "content": {**ISSUE, "repository": home}} for home in (None, {}, {"nameWithOwner": 7})),
        {**ENTRY, "content": {**ISSUE, "__typename": "DraftIssue"}},
    ],
)  # fmt: skip
def test_what_is_no_entry_is_passed_over(row: Any) -> None:
    """Whatever stands in the place of an entry, an id, a number or a repository."""
    meant = shape([], {}, None, {})
    assert board_item(ENTRY, meant, "g") is not None
    assert board_item(row, meant, "g") is None


@pytest.mark.parametrize(
    "value",
    [None, 7, [], {}, {"field": None}, {"field": {"id": 7}}, {"field": {"id": "F"}}, {"field": {"id": "F"}, "text": 7},
     {"field": {"id": "F"}, "number": "7"}, {"field": {"id": "F"}, "number": True}, {"field": {"id": "F"}, "date": []},
     {"field": {"id": "F"}, "optionId": {}}, {"field": {"id": "F"}, "optionId": "x", "name": 7}],
)  # fmt: skip
def test_what_is_no_value_is_none(value: Any) -> None:
    """Whatever stands in the place of a value."""
    meant = shape(fields_of([{"id": "F", "name": "Goal", "dataType": "TEXT"}]), {"Goal": "Goal"}, "Goal", {})
    found = board_item({**ENTRY, "fieldValues": {"nodes": [value]}}, meant, "g")
    assert found is not None
    assert (found.fields, found.team) == ({"Goal": None}, None)
