"""Jira's JSON into our shapes, whatever it holds."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.jira.translate import Site, milestone, resolution_of, work_item
from connectors.jira.values import day, moment, number, seconds
from schemas.work import Quarantined, WorkItem

SITE = Site(
    source="j",
    url="https://jira.invalid",
    categories={"1": "todo", "3": "in_progress", "5": "done"},
    points=("customfield_1", "customfield_2"),
    fields={"goal": "customfield_9"},
    team="customfield_8",
)
STATUS = {"id": "1", "name": "To Do", "statusCategory": {"key": "new"}}
DONE = {"id": "5", "name": "Done", "statusCategory": {"key": "done"}}


def a_row(**fields: Any) -> dict[str, Any]:
    """An issue as the search gives it."""
    whole = {
        "summary": "A fictional piece", "status": STATUS, "issuetype": {"name": "Story"}, "project": {"key": "WEB"},
        "created": "2026-01-05T10:00:00.000+0100", "updated": "2026-01-06T10:00:00.000+0100", "labels": [],
    }  # fmt: skip
    return {"id": "1001", "key": "WEB-7", "fields": whole | fields}


def a_change(id_: str, on: int, field: str, before: Any, after: Any, **more: Any) -> dict[str, Any]:
    """A changelog entry of one field; ``before`` and ``after`` are (id, text) or text."""
    ends: dict[str, Any] = {}
    for end, value in (("from", before), ("to", after)):
        ends[end], ends[f"{end}String"] = value if isinstance(value, tuple) else (None, value)
    return {"id": id_, "created": f"2026-01-{on:02}T09:00:00.000+0000", "items": [{"field": field} | ends | more]}


def translated(row: Any, *histories: Any) -> WorkItem | Quarantined:
    return work_item(row, histories, SITE, "WEB")


def item(row: Any, *histories: Any) -> WorkItem:
    found = translated(row, *histories)
    assert isinstance(found, WorkItem), found
    return found


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("Done", "delivered"), ("Fixed", "delivered"), ("Won't Do", "not_delivered"), ("Won't Fix", "not_delivered"),
        ("Declined", "not_delivered"), ("Cannot Reproduce", "not_delivered"), ("Duplicate", "duplicate"),
        ("Not a Duplicate?", "duplicate"), ("Incomplete", "not_delivered"), ("Erledigt", "unknown"), (None, None),
    ],
)  # fmt: skip
def test_a_resolution_says_whether_it_was_delivered(name: str | None, meaning: str | None) -> None:
    """By the words that sites use; a name that says nothing is unknown, not delivered."""
    assert resolution_of(name) == meaning
    resolution = None if name is None else {"name": name}
    assert item(a_row(status=DONE, resolution=resolution)).resolution == meaning


def test_a_status_dates_the_work() -> None:
    """Started, done, reopened and done again: the history says when, and what is done now was done last."""
    found = item(
        a_row(status=DONE),
        a_change("1", 10, "status", ("1", "To Do"), ("3", "Doing")),
        a_change("2", 12, "status", ("3", "Doing"), ("5", "Done")),
        a_change("3", 14, "status", ("5", "Done"), ("3", "Doing")),
        a_change("4", 16, "status", ("3", "Doing"), ("5", "Done")),
    )
    assert [(one.before_category, one.after_category) for one in found.history] == [
        ("todo", "in_progress"), ("in_progress", "done"), ("done", "in_progress"), ("in_progress", "done"),
    ]  # fmt: skip
    assert found.started_at == datetime(2026, 1, 10, 9, tzinfo=UTC)
    assert found.done_at == datetime(2026, 1, 16, 9, tzinfo=UTC)


def test_reopened_work_is_not_done() -> None:
    """The last word counts."""
    found = item(
        a_row(),
        a_change("1", 10, "status", ("1", "To Do"), ("5", "Done")),
        a_change("2", 12, "status", ("5", "Done"), ("1", "To Do")),
    )
    assert (found.status_category, found.done_at) == ("todo", None)


def test_a_category_that_is_not_known_is_unknown() -> None:
    """Neither todo nor done is made of what Jira adds one day."""
    assert (
        item(a_row(status={"id": "9", "name": "Odd", "statusCategory": {"key": "paused"}})).status_category == "unknown"
    )
    assert item(a_row(status={"id": "9", "name": "Odd"})).status_category == "unknown"
    (change,) = item(a_row(), a_change("1", 10, "status", ("77", "Gone"), ("1", "To Do"))).history
    assert (change.before, change.before_category) == ("Gone", "unknown")


def test_versions_and_components_are_folded_back() -> None:
    """Jira tells what came and what went, one by one; each change has the whole list before and after."""
    found = item(
        a_row(fixVersions=[{"id": "2"}, {"id": "3"}], components=[{"name": "ui"}]),
        a_change("1", 10, "Fix Version", (None, None), ("1", "V1")),
        a_change("2", 11, "Fix Version", ("1", "V1"), (None, None)),
        a_change("3", 11, "Fix Version", (None, None), ("2", "V2")),
        a_change("4", 12, "Fix Version", (None, None), ("3", "V3")),
        a_change("5", 13, "Component", (None, None), ("7", "ui")),
    )
    told = [(one.before, one.after) for one in found.history if one.field == "milestones"]
    one, two, three = (f"j:version:{n}" for n in (1, 2, 3))
    assert told[0] == ([], [one])
    assert told[-1] == ([two], [two, three])
    assert [(c.before, c.after) for c in found.history if c.field == "components"] == [([], ["ui"])]
    assert found.milestones == (two, three)


def test_labels_points_parents_and_types_keep_their_past() -> None:
    """What rules and the ledger look at can be told for any day."""
    found = item(
        a_row(labels=["b"], customfield_1=5.0, parent={"id": "900", "key": "WEB-1"}, issuetype={"name": "Bug"}),
        a_change("1", 8, "labels", "a c", "b"),
        a_change("2", 9, "Story Points", "3", "5", fieldId="customfield_1"),
        a_change("3", 10, "IssueParentAssociation", ("800", "WEB-9"), ("900", "WEB-1")),
        a_change("4", 11, "issuetype", ("1", "Story"), ("2", "Bug")),
        a_change("5", 12, "timeoriginalestimate", ("3600", "1h"), ("7200", "2h")),
    )
    past = {one.field: (one.before, one.after) for one in found.history}
    assert past == {
        "labels": (["a", "c"], ["b"]),
        "estimate_points": (3.0, 5.0),
        "parent": ("j:issue:800", "j:issue:900"),
        "type": ("Story", "Bug"),
        "original_estimate_s": (3600, 7200),
    }
    assert found.parent == "j:issue:900"


def test_a_moved_issue_keeps_its_former_keys() -> None:
    """Pins and rules that name it by an old key still find it, and the project it came from is dated."""
    found = item(
        a_row() | {"key": "NET-3"},
        a_change("2", 12, "Key", "APP-5", "NET-3"),
        a_change("1", 10, "Key", "WEB-7", "APP-5"),
    )
    assert found.previous_keys == ("WEB-7", "APP-5")
    assert [(one.before, one.after) for one in found.history if one.field == "container"] == [
        ("WEB", "APP"),
        ("APP", "NET"),
    ]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", -0.5, float("nan"), float("inf"), 1e300, True, [], {}, "x"])
def test_an_estimate_that_is_none_is_none(value: Any) -> None:
    """Not a number, endless, negative, huge, of another kind."""
    assert item(a_row(customfield_1=value)).estimate_points is None
    assert seconds(value) is None


def test_the_first_field_of_points_that_holds_any_counts() -> None:
    """Company-managed and team-managed projects have a field each."""
    assert item(a_row(customfield_1=None, customfield_2=8)).estimate_points == 8
    assert item(a_row(customfield_1=0, customfield_2=8)).estimate_points == 0
    assert number("3.5") == 3.5


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ({"value": "Grow", "id": "1"}, "Grow"), ([{"value": "a"}, {"name": "b"}, None, 3], ["a", "b", "3.0"]),
        (3, 3.0), (True, True), (None, None), ("text", "text"), ({"odd": 1}, None), (float("nan"), None),
    ],
)  # fmt: skip
def test_a_custom_field_is_what_rules_compare(value: Any, seen: Any) -> None:
    """An option is its value, several are a list."""
    assert item(a_row(customfield_9=value)).fields == {"goal": seen}


@pytest.mark.parametrize("value", [{"name": "Core"}, {"title": "Core"}, "Core", {"value": "Core"}])
def test_a_team_is_its_name(value: Any) -> None:
    """Whether the field is a team, an option or text."""
    assert item(a_row(customfield_8=value)).team == "Core"


def test_hostile_text_is_made_safe() -> None:
    """A megabyte, control characters, NUL, half a surrogate; right-to-left marks stay, as text may need them."""
    found = item(a_row(summary="x" * 2**20))
    assert (len(found.title), found.truncated) == (1024, True)
    found = item(a_row(summary="a\x00b\x1b[31m\ud800\u202ec\r\n d", labels=["l\x00", None, {"x": 1}]))
    assert found.title == "a b [31m\u202ec d"
    assert found.labels == ("l",)
    many = item(a_row(labels=[f"l{n:05}" for n in range(10_000)]))
    assert (len(many.labels), many.truncated) == (200, True)


def test_a_quarantined_row_can_always_be_kept() -> None:
    """Half a surrogate in a row that is no issue does not break the telling of it."""
    for row in ({"id": "7", "title": "\ud800"}, {"id": "7", "key": "\ud800", "fields": {}}, "\ud800"):
        found = translated(row)
        assert isinstance(found, Quarantined)
        assert found.raw.encode() and found.ref.encode() is not None


def test_missing_and_unknown_fields_do_no_harm() -> None:
    """The least that an issue has is enough; what we do not know is passed over."""
    least = {name: a_row()["fields"][name] for name in ("status", "created", "updated")}
    found = item({"id": "1001", "key": "WEB-7", "fields": least | {"assignee": None, "brand_new": {"x": [1]}}})
    assert (found.key, found.container, found.title, found.labels, found.type) == ("WEB-7", "WEB", "", (), None)


@pytest.mark.parametrize("name", ["status", "created", "updated"])
@pytest.mark.parametrize("value", [None, "", [], {}, True, "0001-01-01T00:00:00+23:59"])
def test_without_what_every_issue_has_it_is_quarantined(name: str, value: Any) -> None:
    """Missing, or of another type: kept aside, with what is wrong."""
    found = translated(a_row(**{name: value}))
    assert isinstance(found, Quarantined) and found.problem


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-05T10:00:00.000+0100", datetime(2026, 1, 5, 9, tzinfo=UTC)),
        ("2026-01-05T10:00:00+01:00", datetime(2026, 1, 5, 9, tzinfo=UTC)),
        ("2026-01-05T09:00:00Z", datetime(2026, 1, 5, 9, tzinfo=UTC)),
        ("2026-01-05T05:30:00.123-0330", datetime(2026, 1, 5, 9, 0, 0, 123000, tzinfo=UTC)),
        (1_767_603_600, datetime(2026, 1, 5, 9, tzinfo=UTC)),
        (1_767_603_600_000, datetime(2026, 1, 5, 9, tzinfo=UTC)),
        ("1767603600000", datetime(2026, 1, 5, 9, tzinfo=UTC)),
        ("2026-01-05T10:00:00", None),
        ("9999-12-31T23:59:59-23:59", None),
        ("05/Jan/26", None),
        (1e300, None),
        (True, None),
        ("²", None),
    ],
)
def test_times_with_a_zone_are_read_and_no_others(text: Any, time: datetime | None) -> None:
    """Offsets, fractions, epochs of both kinds; a time without a zone or beyond the calendar is none."""
    assert moment(text) == time


@pytest.mark.parametrize(("text", "found"), [("2026-02-28", date(2026, 2, 28)), ("2026-02-30", None), (None, None)])
def test_a_date_is_a_plain_day(text: Any, found: date | None) -> None:
    """As Jira writes due dates: without a zone."""
    assert day(text) == found


@pytest.mark.parametrize(
    ("row", "state"),
    [({"released": True}, "done"), ({"archived": True}, "cancelled"), ({"released": True, "archived": True}, "done"),
     ({}, "active")],
)  # fmt: skip
def test_a_version_has_its_state_and_days(row: dict[str, Any], state: str) -> None:
    """Released is done, put away unreleased is cancelled."""
    found = milestone({"id": "5", "name": "V5", "releaseDate": "2026-05-01"} | row, "j", "WEB", "https://jira.invalid")
    assert found is not None
    assert (found.state, found.due_date, found.uid) == (state, date(2026, 5, 1), "j:version:5")


@pytest.mark.parametrize("row", [{}, {"id": "5"}, {"name": "x"}, {"id": "5", "name": None}, {"id": "5", "name": 5}])
def test_a_version_without_id_or_name_is_none(row: Any) -> None:
    """It is passed over."""
    assert milestone(row, "j", "WEB", "https://jira.invalid") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [*a_row()["fields"], "parent", "resolution", "fixVersions", "components", "duedate", "timespent",
          "customfield_1", "customfield_8", "customfield_9"]  # fmt: skip
CHANGED = ["status", "labels", "resolution", "issuetype", "Key", "project", "Fix Version", "Component", "Epic Link",
           "Story Points", "timespent", "timeoriginalestimate"]  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.dictionaries(st.sampled_from(["id", "key", "fields"]), JSON))
def test_no_row_breaks_the_translation(fields: dict[str, Any], values: dict[str, Any]) -> None:
    """Any JSON in any field gives an item or a quarantined row."""
    assert isinstance(translated(a_row(**fields) | values), WorkItem | Quarantined)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"id": JSON, "created": JSON | st.just("2026-01-05T09:00:00Z"), "items": JSON | st.lists(
                st.fixed_dictionaries({"field": st.sampled_from(CHANGED)}
                                      | dict.fromkeys(("from", "to", "fromString", "toString"), JSON)), max_size=3)}
        ),
        max_size=4,
    )
)  # fmt: skip
def test_no_history_breaks_the_translation(histories: list[dict[str, Any]]) -> None:
    """Any JSON in any change leaves the item readable: what is now does not hang on what was."""
    assert isinstance(translated(a_row(), *histories), WorkItem)
