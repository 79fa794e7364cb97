"""Postings add up: the sum of what an item booked up to a day is how it counts at that day's end."""

from datetime import date, timedelta
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from schemas.amounts import SHARE, equal_parts
from services.ledger.postings import AMOUNTS, NOTHING, UNALIGNED, Day, PostingKey, effort, plus, postings

FIRST = date(2026, 1, 1)
ALIGNMENTS = [
    ((UNALIGNED, SHARE),),
    (("INI-1", SHARE),),
    (("INI-2", SHARE),),
    (("INI-1", SHARE // 2), ("INI-2", SHARE // 2)),
    tuple(zip(("INI-1", "INI-2", "run"), equal_parts(3), strict=True)),
]
day = st.builds(
    Day,
    in_scope=st.booleans(),
    broken_down=st.booleans(),
    done=st.booleans(),
    type=st.sampled_from(["Story", "Bug"]),
    points=st.sampled_from([None, 0, 1000, 2500]),
    seconds=st.sampled_from([None, 0, 3600]),
    alignment=st.sampled_from(ALIGNMENTS),
).map(lambda found: found if found.in_scope else found._replace(done=False))
days = st.lists(day, min_size=1, max_size=8).map(
    lambda found: [(FIRST + timedelta(days=index), each) for index, each in enumerate(found)]
)


def counted(found: Day) -> dict[tuple[str, str], tuple[int, ...]]:
    """What an item should count at a day's end, by node and type: the brute-force answer."""
    if not found.counts:
        return {}
    answer = {}
    for node, share in found.alignment:
        points, seconds = found.points, found.seconds
        scope = (
            share,
            share * (points or 0),
            share if points is not None else 0,
            share * (seconds or 0),
            share if seconds is not None else 0,
        )
        answer[node, found.type] = (*tuple(amount for part in scope for amount in (part, part if found.done else 0)), 0)
    return {key: amounts for key, amounts in answer.items() if any(amounts)}


@given(days)
def test_the_balance_is_how_the_item_counts(course: list[tuple[date, Day]]) -> None:
    """For every day, node and type the booked amounts add up to a direct count."""
    booked = postings(course)
    for on, found in course:
        total: dict[tuple[str, str], tuple[int, ...]] = {}
        for (day_, node, kind, _), amounts in booked.items():
            if day_ <= on:
                total[node, kind] = plus(total.get((node, kind), NOTHING), amounts)
        assert {key: amounts for key, amounts in total.items() if any(amounts)} == counted(found)


@given(days)
def test_shares_are_conserved(course: list[tuple[date, Day]]) -> None:
    """On every day an item counts once over all nodes, run and the unaligned, or not at all."""
    booked = postings(course)
    for on, found in course:
        scope = sum(amounts[0] for (day_, *_), amounts in booked.items() if day_ <= on)
        assert scope == (SHARE if found.counts else 0)


def kinds(*course: Day) -> list[tuple[str, str, int]]:
    """(node, kind, shares of scope) of the last day's postings."""
    dated = [(FIRST + timedelta(days=index), each) for index, each in enumerate(course)]
    last = dated[-1][0]
    found: list[tuple[PostingKey, tuple[int, ...]]] = sorted(postings(dated).items())
    return [(node, kind, amounts[0]) for (on, node, _, kind), amounts in found if on == last]


PLAIN = Day(True, False, False, "Story", 3000, None, (("INI-1", SHARE),))


def test_new_work_is_added_and_cancelled_work_removed() -> None:
    """Entering and leaving the scope are the first two counters."""
    assert kinds(PLAIN) == [("INI-1", "added", SHARE)]
    assert kinds(PLAIN, PLAIN._replace(in_scope=False)) == [("INI-1", "removed", -SHARE)]


def test_a_remap_moves_out_and_in() -> None:
    """Work that changes node leaves one and enters the other on the same day."""
    moved = PLAIN._replace(alignment=(("INI-2", SHARE),))
    assert kinds(PLAIN, moved) == [("INI-1", "moved_out", -SHARE), ("INI-2", "moved_in", SHARE)]


def test_an_epic_is_reestimated_to_nought_by_its_first_child() -> None:
    """Breaking work down is no removal, and putting it back no addition."""
    broken = PLAIN._replace(broken_down=True)
    assert kinds(PLAIN, broken) == [("INI-1", "reestimated", -SHARE)]
    assert kinds(PLAIN, broken, PLAIN) == [("INI-1", "reestimated", SHARE)]


def test_finishing_and_reopening_touch_no_scope() -> None:
    """Done work is booked on its day and taken back on the day it reopened."""
    finished = PLAIN._replace(done=True)
    assert kinds(PLAIN, finished) == [("INI-1", "done", 0)]
    assert kinds(PLAIN, finished, PLAIN) == [("INI-1", "done", 0)]


def test_an_item_that_moves_and_is_reestimated_does_both() -> None:
    """The part that moved is booked at the old weight, the rest as a new estimate."""
    both = ((("INI-1"), SHARE // 2), ("INI-2", SHARE // 2))
    after = PLAIN._replace(alignment=both, points=5000)
    booked = postings([(FIRST, PLAIN), (FIRST + timedelta(days=1), after)])
    points = {
        (node, kind): amounts[AMOUNTS.index("scope_points")]
        for (on, node, _, kind), amounts in booked.items()
        if on > FIRST
    }
    assert points == {
        ("INI-1", "moved_out"): -SHARE // 2 * 3000,
        ("INI-1", "reestimated"): SHARE // 2 * 2000,
        ("INI-2", "moved_in"): SHARE // 2 * 5000,
    }


def test_effort_follows_the_days_alignment() -> None:
    """Seconds go to the node that the item served on the day they became known."""
    second = FIRST + timedelta(days=1)
    booked = effort([(FIRST, 60), (second, 100)], [(FIRST, (("INI-1", SHARE),)), (second, (("run", SHARE),))])
    spent = {(on, node): amounts[-1] for (on, node, _, _), amounts in booked.items()}
    assert spent == {(FIRST, "INI-1"): 60 * SHARE, (second, "run"): 40 * SHARE}


def test_rows_of_a_day_stand_once() -> None:
    """A posting's key is its day, node, type and kind."""
    keys = sorted(postings([(FIRST, PLAIN), (FIRST + timedelta(days=1), PLAIN._replace(type="Bug"))]))
    assert all(len(list(group)) == 1 for _, group in groupby(keys))
