"""A preview sends what the policy would: to whom, in which order, and what is held back."""

from datetime import date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from schemas.events import Finding, FindingClosed, FindingEased, FindingOpened, FindingWorsened
from services.alert.attention import Said
from services.alert.policy import Happened
from services.alert.preview import preview
from tests.alert.test_alerts import AT, FILE, a_finding

DAY = timedelta(days=1)
CONFIGURED = ("growth-chat", "operators")
NOBODY = Said((), ())


def previewed(
    *said: tuple[int, Happened], answered: Said = NOBODY, before: dict[str, Finding] | None = None, **how: Any
) -> list[tuple[int, str, str | None]]:
    """The day, what is told, and why it is held back."""
    dated = [(AT + day * DAY, happened) for day, happened in said]
    defaults = {"since": AT, "until": AT + 100 * DAY}
    found = preview(before or {}, dated, answered, FILE, CONFIGURED, **(defaults | how))
    assert {one.channels for one in found} <= {("growth-chat",)}
    return [((one.at - AT).days, type(one.happened).__name__, one.held) for one in found]


def opened(**fields: Any) -> FindingOpened:
    return FindingOpened(finding=a_finding(**fields))


def closed() -> FindingClosed:
    return FindingClosed(finding=a_finding(), closed_at=AT)


def a_snooze(day: int, ends: int, ended: datetime | None = None) -> Any:
    """A snooze that is made on a day and ends with another one's begin."""
    until = date(2026, 11, 21) + ends * DAY
    return SimpleNamespace(
        finding="f-1", at=AT + day * DAY, until=until, ends_at=AT + ends * DAY, ended_at=ended, why="a freeze"
    )


def an_acknowledgement(day: int, severity: str, ended: int | None = None) -> Any:
    over = None if ended is None else AT + ended * DAY
    return SimpleNamespace(finding="f-1", at=AT + day * DAY, severity=severity, by="ada", ended_at=over)


def test_the_policy_decides() -> None:
    """What eases or is quiet is not told; the rest is, in the order in which it happened, to the node's team."""
    said = (
        (3, FindingEased(finding=a_finding(severity="amber"))),
        (1, opened(severity="amber")),
        (2, FindingWorsened(finding=a_finding())),
        (4, closed()),
        (5, opened(quiet="the strategy changed")),
    )
    assert previewed(*said) == [(1, "FindingOpened", None), (2, "FindingWorsened", None), (4, "FindingClosed", None)]


def test_what_people_answered_then_counts() -> None:
    """An acknowledgement holds from its day until it ended, and only for what is no worse."""
    answered = Said((an_acknowledgement(2, "amber", ended=6),), ())
    said = ((1, opened(severity="amber")), (3, opened(severity="amber")), (4, opened()), (7, opened(severity="amber")))
    known = "acknowledged by ada when it was amber"
    assert [held for _, _, held in previewed(*said, answered=answered)] == [None, known, None, None]


def test_a_snooze_holds_back_and_its_end_tells() -> None:
    """Also where it is not seen to yet; not where the finding closed, nor outside the time that is looked at."""
    mute = "snoozed to the end of 2026-11-30: a freeze"
    for ended in (None, AT + 9 * DAY):
        answered = Said((), (a_snooze(2, 9, ended),))
        assert previewed((1, opened()), (3, opened()), answered=answered) == [
            (1, "FindingOpened", None), (3, "FindingOpened", mute), (9, "FindingOpened", None),
        ]  # fmt: skip
        assert previewed((1, opened()), (3, closed()), answered=answered)[1:] == [(3, "FindingClosed", mute)]
        assert previewed(answered=answered, before={"f-1": a_finding()}) == [(9, "FindingOpened", None)]
        for outside in ({"until": AT + 8 * DAY}, {"since": AT + 9 * DAY}):
            assert previewed(answered=answered, before={"f-1": a_finding()}, **outside) == []
    replaced = Said((), (a_snooze(2, 9, AT + 5 * DAY), a_snooze(5, 20)))
    assert previewed(answered=replaced, before={"f-1": a_finding()}) == [(20, "FindingOpened", None)]
