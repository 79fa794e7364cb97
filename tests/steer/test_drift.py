"""Latches that need two looks to come on, two to go off, and do not flap in between."""

import itertools
import random
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.steer.drift import Course, Evaluation, fold
from services.steer.forecast import Prior, gamma_poisson

FIRST = date(2026, 1, 4)


def looks(*chances: float | None) -> list[Evaluation]:
    return [Evaluation(FIRST + timedelta(days=7 * index), chance) for index, chance in enumerate(chances)]


def severities(*chances: float | None) -> list[str | None]:
    return [fold(looks(*chances[: count + 1])).severity for count in range(len(chances))]


def test_one_bad_week_is_no_drift() -> None:
    """Two in a row are; red is below one in five."""
    assert severities(0.4, 0.7, 0.4, 0.4) == [None, None, None, "amber"]
    assert severities(0.1, 0.1) == [None, "red"]


def test_thresholds_are_strict() -> None:
    """Exactly a half is not below it, exactly a fifth not red, exactly .60 not above it."""
    assert severities(0.5, 0.5, 0.5) == [None, None, None]
    assert severities(0.2, 0.2, 0.2) == [None, "amber", "amber"]
    assert severities(0.4, 0.4, 0.6, 0.6, 0.61, 0.61) == [None, "amber", "amber", "amber", "amber", None]


def test_red_and_amber_latch_by_themselves() -> None:
    """Red leaves above a half, amber above .60: so a recovering node is amber before it is green."""
    assert severities(0.1, 0.1, 0.55, 0.55, 0.7, 0.7) == [None, "red", "red", "amber", "amber", None]


def test_a_look_that_saw_nothing_touches_no_counter() -> None:
    """A stale source freezes the judgement, in both directions."""
    assert severities(0.4, None, 0.4) == [None, None, "amber"]
    assert severities(0.4, 0.4, 0.7, None, 0.7) == [None, "amber", "amber", "amber", None]


def test_without_a_baseline_the_schedule_index_decides() -> None:
    """SPI(t) below .9 twice is amber, above .95 twice is over."""
    days = [Evaluation(FIRST + timedelta(days=7 * week), index=value) for week, value in enumerate((0.85, 0.85, 0.96))]
    assert fold(days).severity == "amber"
    assert fold([*days, Evaluation(FIRST + timedelta(days=21), index=0.96)]).severity is None


def test_it_is_known_since_when() -> None:
    """Opened is the first day of the whole episode, changed the day of the last step in it."""
    course = fold(looks(0.4, 0.4, 0.1, 0.1))
    assert (course.opened, course.changed) == (FIRST + timedelta(days=7), FIRST + timedelta(days=21))


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=40))
def test_the_fold_can_stop_and_go_on(chances: list[float | None]) -> None:
    """Folding a history in two parts is folding it at once."""
    whole = looks(*chances)
    course = Course()
    for look in whole:
        course = course.after(look)
    assert course == fold(whole)


@given(st.lists(st.floats(0, 1), max_size=40))
def test_severity_never_changes_twice_in_two_looks(chances: list[float]) -> None:
    """Two evaluations are held for every step of one latch, so nothing flips back at once."""
    found = severities(*chances)
    flips = [index for index in range(1, len(found)) if found[index] != found[index - 1]]
    for first, second in itertools.pairwise(flips):
        if second - first == 1:
            assert {found[first - 1], found[first], found[second]} != {found[first - 1], found[first]}


def test_false_alarms_are_rare_and_late_projects_are_found() -> None:
    """60 items in 26 weeks: few healthy projects (115 % of the pace needed) ever turn red, nearly all late ones do."""
    dice = random.Random(7)
    healthy = [_ever_red(dice, 60 / 26 * 1.15) for _ in range(150)]
    late = [_ever_red(dice, 60 / 26 * 0.75) for _ in range(150)]
    on_time = [red for red, finished in healthy if finished]
    missed = [red for red, finished in late if not finished]
    assert sum(on_time) / len(on_time) < 0.20
    assert sum(missed) / len(missed) > 0.90


def _ever_red(dice: random.Random, pace: float) -> tuple[bool, bool]:
    done: list[float] = []
    course, red = Course(), False
    for week in range(1, 26):
        done.append(_poisson(dice, pace))
        left = 60 - sum(done)
        chance = gamma_poisson(done, left, Prior(60 / 26), 26).within(26 - week)
        course = course.after(Evaluation(FIRST + timedelta(days=7 * week), chance))
        red = red or course.severity == "red"
    return red, sum(done) + _poisson(dice, pace) >= 60


def _poisson(dice: random.Random, mean: float) -> int:
    total, count = dice.expovariate(mean), 0
    while total < 1:
        total, count = total + dice.expovariate(mean), count + 1
    return count
