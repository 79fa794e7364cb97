"""What boards say of an item: whatever the order in which it is learned, and however often."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.boards import BoardItem
from schemas.work import Transition, WorkItem
from services.ingest.observe import observed
from services.ingest.overlay import Shown, overlaid, plain, recounted, together

BORN = datetime(2026, 1, 1, tzinfo=UTC)
SPRINTS = tuple(f"g:iteration:F.{number}" for number in range(3))
BETA = "g:milestone:7"

moments = st.integers(0, 1_000).map(lambda hours: BORN + timedelta(hours=hours))
statuses = st.sampled_from((None, "Todo", "In Progress", "Done", "Blocked"))
values = st.one_of(st.none(), st.text(max_size=3), st.floats(0, 9))


@st.composite
def entries(draw: Any) -> tuple[int, BoardItem]:
    """An entry on one of three boards, as an item may have one on each."""
    place, status = draw(st.integers(0, 2)), draw(statuses)
    return place, BoardItem(
        id=f"PVTI_{place}",
        uid="g:issue:1",
        key="acme/web#1",
        archived=draw(st.booleans()),
        status=status,
        status_at=draw(moments) if status else None,
        begun=status in ("In Progress", "Done"),
        fields=draw(st.dictionaries(st.sampled_from(("Goal", "Size")), values)),
        team=draw(st.sampled_from((None, "web", "pay"))),
        estimate=draw(st.none() | st.floats(0, 100)),
        iterations=tuple(sorted(draw(st.sets(st.sampled_from(SPRINTS))))),
    )


on_boards = st.lists(entries(), max_size=3, unique_by=lambda entry: entry[0])


@st.composite
def answered(draw: Any) -> WorkItem:
    """An issue or pull request as the host answers it: open or closed, with a milestone or not."""
    pull, closed, tied, at = draw(st.booleans()), draw(st.booleans()), draw(st.booleans()), draw(moments)
    opened: Any = "in_progress" if pull else "todo"
    history = [Transition(id="1:m", field="milestones", at=at, before=[], after=[BETA], origin="event")] if tied else []
    if closed:
        history.append(
            Transition(
                id="2:status", field="status", at=at + timedelta(hours=1), before="open", after="closed",
                before_category=opened, after_category="done", origin="event",
            )
        )  # fmt: skip
    return WorkItem(
        uid="g:issue:1", source="g", external_id="1", key="acme/web#1", container="acme/web",
        kind="pull_request" if pull else "issue", title="A", status="closed" if closed else "open",
        status_category="done" if closed else opened, created_at=BORN, updated_at=at, fields={"Goal": None},
        milestones=(BETA,) if tied else (), history=tuple(history),
    )  # fmt: skip


@given(on_boards, st.randoms())
def test_the_order_in_which_boards_are_read_does_not_matter(found: list[tuple[int, BoardItem]], dice: Any) -> None:
    """Any order, and the same twice, says the same."""
    shuffled = [*found, *found]
    dice.shuffle(shuffled)
    assert together(shuffled) == together(found)


@given(on_boards)
def test_an_unarchived_entry_goes_before_an_archived_one(found: list[tuple[int, BoardItem]]) -> None:
    """Each value is that of the first board that has it and on which the item is not archived; else of the first."""
    shown = together(found)
    ranked = [one for _, one in sorted(found, key=lambda entry: (entry[1].archived, entry[0]))]
    for name in ("team", "estimate", "status"):
        told = [getattr(one, name) for one in ranked if getattr(one, name) is not None]
        assert getattr(shown, name) == (told[0] if told else None)
    for name in {name for one in ranked for name in one.fields}:
        there = [one.fields[name] for one in ranked if one.fields.get(name) is not None]
        assert shown.fields[name] == (there[0] if there else None)
    assert set(shown.iterations) == {uid for one in ranked for uid in one.iterations}


@given(answered(), on_boards, on_boards)
def test_what_boards_say_is_laid_over_once_and_only_the_last_of_it_stands(
    item: WorkItem, first: list[tuple[int, BoardItem]], second: list[tuple[int, BoardItem]]
) -> None:
    """Twice is once; what was said before leaves nothing behind; an item on no board is as it is answered."""
    one, other = together(first), together(second)
    kept = dict.fromkeys((*item.fields, *one.fields, *other.fields))
    bare = msgspec.structs.replace(item, fields=kept)
    assert overlaid(overlaid(bare, one), one) == overlaid(bare, one)
    assert overlaid(overlaid(bare, one), other) == overlaid(bare, other)
    assert overlaid(overlaid(bare, one), None) == bare
    assert overlaid(item, Shown()).status_category == item.status_category


@given(answered(), st.lists(on_boards, min_size=1, max_size=4), st.lists(moments, min_size=4, max_size=4))
def test_a_stored_item_tells_what_its_tracker_said(
    item: WorkItem, said: list[list[tuple[int, BoardItem]]], at: list[datetime]
) -> None:
    """Whatever boards said, one after the other: without it the item is as answered, history included."""
    stored = recounted(overlaid(item, together(said[0])))
    for revision, found in enumerate(said[1:], start=2):
        seen = overlaid(plain(stored), together(found))
        dated = dict.fromkeys(("status", "milestones", "fields", "team", "estimate_points"), at[revision - 2])
        stored = recounted(observed(stored, seen, revision, dated=dated))
    bare = plain(stored)
    assert bare == msgspec.structs.replace(item, fields=dict.fromkeys(stored.fields))
    assert stored == recounted(stored)
