"""An item's past, folded back from its present."""

from zoneinfo import ZoneInfo

from services.ledger.history import day_ends, lifetime, micros, value_at
from tests.work_items import a_change, an_item, done

BERLIN = ZoneInfo("Europe/Berlin")


def test_an_item_without_history_was_always_as_it_is() -> None:
    """What carries no history holds for all of its life."""
    item = an_item(1, labels=("growth",))
    assert [(when, state.labels) for when, state in lifetime(item)] == [(micros(item.created_at), ("growth",))]


def test_history_is_undone_backwards_from_the_present() -> None:
    """Every state between two changes is the present with all later changes undone."""
    item = an_item(
        1,
        status="Done",
        status_category="done",
        labels=("b",),
        history=(
            a_change("labels", "2026-02-01", ["a"], ["a", "b"]),
            a_change("status", "2026-02-10", "To Do", "Done", before_category="todo", after_category="done"),
            a_change("labels", "2026-03-01", ["a", "b"], ["b"]),
        ),
    )
    states = [(state.status_category, state.labels) for _, state in lifetime(item)]
    assert states == [("todo", ("a",)), ("todo", ("a", "b")), ("done", ("a", "b")), ("done", ("b",))]


def test_changes_of_one_instant_count_as_one() -> None:
    """A status and its resolution set by one click are one state, whatever their order in the history."""
    states = lifetime(done(1, "2026-03-01"))
    assert [(state.status_category, state.resolution) for _, state in states] == [
        ("todo", None),
        ("done", "delivered"),
    ]


def test_history_from_before_the_creation_is_moved_to_it() -> None:
    """An imported item's changes cannot be older than the item."""
    item = an_item(1, labels=("b",), history=(a_change("labels", "2020-01-01", ["a"], ["b"]),))
    assert [state.labels for _, state in lifetime(item)] == [("b",)]


def test_a_day_is_what_it_was_at_its_end_in_the_calendars_zone() -> None:
    """Two changes of one local day leave one state; an evening UTC may be tomorrow in Berlin."""
    item = an_item(
        1,
        labels=("c",),
        history=(
            a_change("labels", "2026-02-01 10:00", ["a"], ["b"]),
            a_change("labels", "2026-02-01 23:30", ["b"], ["c"]),
        ),
    )
    days = [(str(day), state.labels) for day, state in day_ends(lifetime(item), BERLIN)]
    assert days == [("2026-01-05", ("a",)), ("2026-02-01", ("b",)), ("2026-02-02", ("c",))]


def test_the_value_at_a_moment_is_the_last_that_began() -> None:
    """Nothing is known before the first entry."""
    timeline = [(10, "a"), (20, "b")]
    assert [value_at(timeline, when) for when in (9, 10, 19, 20)] == [None, "a", "a", "b"]


def test_only_delivered_work_is_in_scope_and_finished() -> None:
    """A resolution that means not delivered takes an item out, whatever its status."""
    delivered = lifetime(done(1, "2026-03-01"))[-1][1]
    declined = lifetime(an_item(2, status_category="done", resolution="not_delivered"))[-1][1]
    assert (delivered.in_scope, delivered.finished) == (True, True)
    assert (declined.in_scope, declined.finished) == (False, False)


def test_archived_work_counts_only_if_it_was_done() -> None:
    """Archiving a finished item keeps it; archiving an open one removes it."""
    assert lifetime(an_item(1, availability="archived", status_category="done"))[-1][1].in_scope
    assert not lifetime(an_item(2, availability="archived"))[-1][1].in_scope
