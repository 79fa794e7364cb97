"""GitHub's JSON into our shapes, whatever it holds."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.github.translate import due_day, milestone, moment, parent_name, work_item
from schemas.work import Quarantined, WorkItem


def a_row(**values: Any) -> dict[str, Any]:
    row = {
        "id": 1001, "number": 7, "state": "open", "title": "A fictional piece", "labels": [], "milestone": None,
        "created_at": "2026-01-05T09:00:00Z", "updated_at": "2026-01-06T09:00:00Z", "closed_at": None,
        "state_reason": None, "html_url": "https://github.invalid/acme/web/issues/7",
    }  # fmt: skip
    return row | values


def an_event(number: int, kind: str, day: int, **values: Any) -> dict[str, Any]:
    return {"id": number, "event": kind, "created_at": f"2026-01-{day:02}T09:00:00Z", **values}


def translated(row: Any, *events: Any, **more: Any) -> WorkItem | Quarantined:
    titles = {"v1": "g:milestone:5"}
    return work_item(row, events, source="g", container="acme/web", parent=None, titles=titles, **more)


def item(row: Any, *events: Any, **more: Any) -> WorkItem:
    found = translated(row, *events, **more)
    assert isinstance(found, WorkItem), found
    return found


CLOSED = {"state": "closed", "closed_at": "2026-01-06T09:00:00Z"}


@pytest.mark.parametrize(
    ("values", "resolution"),
    [
        ({"state_reason": "completed"}, "delivered"),
        ({"state_reason": "not_planned"}, "not_delivered"),
        ({"state_reason": "duplicate"}, "duplicate"),
        ({"state_reason": None}, "delivered"),
        ({"pull_request": {"merged_at": None}}, "not_delivered"),
        ({"pull_request": {"merged_at": "2026-01-06T09:00:00Z"}}, "delivered"),
    ],
)
def test_a_closed_one_says_whether_it_was_delivered(values: dict[str, Any], resolution: str) -> None:
    """By its reason, and a pull request by whether it was merged; without a word it was."""
    found = item(a_row(**CLOSED, **values))
    assert (found.resolution, found.status_category) == (resolution, "done")
    assert found.kind == ("pull_request" if "pull_request" in values else "issue")
    assert found.done_at == datetime(2026, 1, 6, 9, tzinfo=UTC)


def test_a_reason_we_do_not_know_is_not_taken_for_delivered() -> None:
    """A new word of GitHub's is unknown."""
    assert item(a_row(**CLOSED, state_reason="teleported")).resolution == "unknown"


def test_a_reopened_one_is_not_done() -> None:
    """Closed, reopened: open again, with both steps in its history and no day of being done."""
    closed, reopened = an_event(1, "closed", 3, state_reason="completed"), an_event(2, "reopened", 4)
    found = item(a_row(state_reason="reopened"), closed, reopened)
    assert [(one.before, one.after) for one in found.history if one.field == "status"] == [
        ("open", "closed"), ("closed", "open")
    ]  # fmt: skip
    assert (found.done_at, found.resolution, found.status_category) == (None, None, "todo")


def test_a_closing_that_no_event_tells_is_inferred() -> None:
    """Done at the time that the issue itself names."""
    found = item(a_row(**CLOSED, state_reason="completed"))
    assert {one.origin for one in found.history} == {"inferred"}


def test_labels_and_milestone_are_known_for_every_day() -> None:
    """Folded back from now: each event has the list before and after it; a milestone that is gone is passed over."""
    events = (
        an_event(1, "labeled", 1, label={"name": "a"}),
        an_event(2, "labeled", 2, label={"name": "b"}),
        an_event(3, "unlabeled", 3, label={"name": "a"}),
        an_event(4, "milestoned", 3, milestone={"title": "v1"}),
        an_event(5, "milestoned", 4, milestone={"title": "gone"}),
    )
    found = item(a_row(labels=[{"name": "b"}], milestone={"id": 5, "title": "v1"}), *events)
    assert [(one.field, one.before, one.after) for one in found.history] == [
        ("labels", [], ["a"]), ("labels", ["a"], ["a", "b"]), ("labels", ["a", "b"], ["b"]),
        ("milestones", [], ["g:milestone:5"]),
    ]  # fmt: skip


def test_the_same_event_twice_is_one_change() -> None:
    """Duplicates over pages, and events of odd types, change nothing."""
    event = an_event(1, "labeled", 1, label={"name": "a"})
    odd = [an_event(2, "labeled", 2, label=None), an_event(3, "milestoned", 2, milestone="v1"), {"event": "closed"}]
    assert len(item(a_row(labels=[{"name": "a"}]), event, event, *odd).history) == 1


def test_hostile_text_is_made_safe() -> None:
    """A megabyte, control characters, NUL, half a surrogate; right-to-left marks stay, as text may need them."""
    found = item(a_row(title="x" * 2**20))
    assert (len(found.title), found.truncated) == (1024, True)
    found = item(a_row(title="a\x00b\x1b[31m\ud800\u202ec\r\n d", labels=[{"name": "l\x00"}, None, {"name": None}]))
    assert found.title == "a b [31m\u202ec d"
    assert found.labels == ("l",)
    many = item(a_row(labels=[{"name": f"l{n:05}"} for n in range(10_000)]))
    assert (len(many.labels), many.truncated) == (200, True)


def test_a_quarantined_row_can_always_be_kept() -> None:
    """Half a surrogate in a row that is no issue does not break the telling of it."""
    found = translated({"number": 7, "title": "\ud800"})
    assert isinstance(found, Quarantined)
    assert found.raw.encode()


@pytest.mark.parametrize("link", ["javascript:alert(1)", 5, None, "http://x/\ud800"])
def test_only_a_web_address_is_a_link(link: Any) -> None:
    """What is none leads nowhere."""
    assert item(a_row(html_url=link)).url in ("", "http://x/")


def test_missing_and_unknown_fields_do_no_harm() -> None:
    """The least that an issue has is enough; what we do not know is passed over."""
    least = {name: a_row()[name] for name in ("id", "number", "state", "created_at", "updated_at")}
    found = item(least | {"user": None, "assignees": None, "labels": None, "type": None, "brand_new": {"x": [1]}})
    assert (found.key, found.title, found.labels, found.type) == ("acme/web#7", "", (), None)
    assert item(a_row(type={"id": 1, "name": "Bug"})).type == "Bug"
    assert item(a_row(state="frozen")).status_category == "unknown"


@pytest.mark.parametrize("name", ["id", "number", "state", "created_at", "updated_at"])
@pytest.mark.parametrize("value", [None, "", [], {}, "0001-01-01T00:00:00+23:59", True])
def test_without_what_every_issue_has_it_is_quarantined(name: str, value: Any) -> None:
    """Missing, or of another type: kept aside, with what is wrong."""
    row = a_row() | {name: value}
    if name == "state" and isinstance(value, str) and value:
        assert isinstance(translated(row), WorkItem)
        return
    found = translated(row)
    assert isinstance(found, Quarantined) and found.problem


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-05T09:00:00Z", datetime(2026, 1, 5, 9, tzinfo=UTC)),
        ("2026-01-05T09:00:00.123456+09:00", datetime(2026, 1, 5, 0, 0, 0, 123456, tzinfo=UTC)),
        ("2026-01-05T09:00:00-0330", datetime(2026, 1, 5, 12, 30, tzinfo=UTC)),
        ("2026-01-05T09:00:00", None),
        ("9999-12-31T23:59:59-23:59", None),
        ("31/Dez/26", None),
        (1_700_000_000, None),
    ],
)
def test_times_with_a_zone_are_read_and_no_others(text: Any, time: datetime | None) -> None:
    """Offsets, fractions; a time without a zone or beyond the calendar is none."""
    assert moment(text) == time


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-03-31T07:00:00Z", date(2026, 3, 31)),
        ("2026-12-31T08:00:00Z", date(2026, 12, 31)),
        ("0001-01-01T00:00:00Z", None),
        (None, None),
    ],
)
def test_a_due_date_is_the_day_on_the_pacific_coast(text: Any, day: date | None) -> None:
    """Summer and winter; and nothing breaks at the calendar's end."""
    assert due_day(text) == day


@pytest.mark.parametrize("row", [None, 5, {}, {"id": "1", "title": "x"}, {"id": 1, "title": None}])
def test_a_milestone_without_id_or_title_is_none(row: Any) -> None:
    """It is passed over."""
    assert milestone(row, "g", "acme/web") is None


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.github.com/repos/Acme/Web/issues/3", "acme/web/3"),
        ("https://ghes.invalid/api/v3/repos/acme/web.js/issues/3", "acme/web.js/3"),
        ("https://x/repos/../web/issues/3", None),
        ("https://x/repos/a/b/issues/²", None),
        ("https://x/repos/a/b/issues/3?x", None),
        (7, None),
    ],
)
def test_a_parent_is_named_by_its_address(url: Any, name: str | None) -> None:
    """Owner, repository and number; nothing else of it is used."""
    assert parent_name({"parent_issue_url": url}) == name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*a_row(), "pull_request", "type"]), JSON))
def test_no_row_breaks_the_translation(values: dict[str, Any]) -> None:
    """Any JSON in any field gives an item or a quarantined row."""
    assert isinstance(translated(a_row() | values), WorkItem | Quarantined)


EVENT = ("id", "event", "created_at", "label", "milestone", "issue_type", "prev_issue_type", "parent_issue")


KINDS = st.sampled_from(["labeled", "milestoned", "issue_type_added", "issue_type_changed", "parent_issue_removed"])


@given(
    st.lists(st.fixed_dictionaries(dict.fromkeys(EVENT, JSON) | {"event": JSON | KINDS, "id": JSON | st.integers()}))
)
def test_no_event_breaks_the_translation(events: list[dict[str, Any]]) -> None:
    """Any JSON in any event leaves the item readable."""
    assert isinstance(translated(a_row(), *events), WorkItem)
