"""The past judged anew says what was said as it happened, and nothing that nobody could have known."""

import random
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.events import FindingClosed, FindingEased, FindingOpened, FindingWorsened
from schemas.strategy import parse_strategy
from services.align.adopt import adopt
from services.steer.hindsight import Hindsight, hindsight
from services.storage.database import Database
from tests.steer.test_handlers import FIRST, TEXT, WEEKS, Months, finished, live, work
from tests.work_items import an_item

Steps = list[tuple[str, str, str, str, str | None]]


async def seen(months: Months, weeks: int = 60) -> Hindsight:
    async with months.database.read() as connection:
        return await hindsight(connection, months.now - timedelta(weeks=weeks), months.now)


def steps(past: Hindsight) -> Steps:
    return [told(at, happened) for at, happened in past.said]


def told(at: Any, happened: Any) -> tuple[str, str, str, str, str | None]:
    finding = happened.finding
    day = at.astimezone(ZoneInfo("Europe/Berlin")).date()
    return type(happened).__name__, str(day), finding.severity, finding.sentence, finding.quiet


async def said_live(months: Months) -> Steps:
    return [
        told(event.time, event.data)
        for event in await months.events()
        if isinstance(event.data, FindingOpened | FindingWorsened | FindingEased | FindingClosed)
    ]


@pytest.mark.parametrize(("planned", "after"), [(True, 72), (False, 72), (True, 6)])
async def test_the_past_is_told_as_it_was(database: Database, planned: bool, after: int) -> None:
    """Months of judging on Monday mornings, against a baseline of work or of none: word for word the same.

    Also where the work is finished on Monday afternoons, of which no Monday morning knows.
    """
    months = Months(database)
    everything = [an_item(number, labels=("pay",)) for number in range(1, sum(WEEKS) + 1)]
    if planned:
        await months.synced(everything)
    await months.begin(everything)
    number = 1
    for count in WEEKS:
        seen_then = finished(range(number, number + count), months.now + timedelta(hours=after))
        number += count
        await months.week(seen_then)
    once = await said_live(months)
    assert {what for what, *_ in once} >= {"FindingOpened", "FindingWorsened", "FindingClosed"}
    assert ("chance of" in once[0][3]) == planned
    assert steps(await seen(months)) == once


async def test_any_order_of_arrival_gives_the_same_past(database: Database) -> None:
    """What came late and twice is dated by when it happened."""
    months = Months(database)
    await months.begin(work())
    await live(months, badly=random.Random(3))
    assert len(steps(await seen(months))) == 4


async def test_what_was_open_before_is_not_said_again(database: Database) -> None:
    """A window that begins in the middle of a drift knows of it, and tells only what became of it."""
    months = Months(database)
    await months.begin(work())
    await live(months)
    whole = await seen(months)
    worsened_at = whole.said[1][0]
    async with database.read() as connection:
        rest = await hindsight(connection, worsened_at, months.now)
        first = await hindsight(connection, FIRST, worsened_at)
    assert [finding.severity for finding in rest.before.values()] == ["red"]
    assert (*first.said, *rest.said) == whole.said
    assert first.before == {}


async def test_a_changed_strategy_is_quiet(database: Database) -> None:
    """An initiative that is put off closes its finding on that very day, and nobody would have been told."""
    months = Months(database)
    await months.begin(work())
    for _ in range(14):
        await months.week([])
    assert (await seen(months)).said[-1][1].finding.severity == "red"
    months.now += timedelta(days=2)
    later = TEXT.replace("start: 2026-01-05, due: 2026-06-28", "start: 2026-06-01, due: 2026-12-31")
    async with database.write() as uow:
        await adopt(uow, months.aligner, later, parse_strategy(later, file="strategy.yaml"), approve=True)
    await months.synced(finished(range(1, 3), months.now))
    changed_at = months.now
    for _ in range(3):
        await months.week([])
    last = (await seen(months)).said[-1]
    assert (type(last[1]), last[0], last[1].finding.quiet) == (FindingClosed, changed_at, "the strategy changed")


async def test_what_was_before_the_time_in_question_is_not_said(database: Database) -> None:
    """A strategy that changed in the middle of a drift, long over when the time begins: nothing."""
    months = Months(database)
    await months.begin(work())
    for _ in range(12):
        await months.week([])
    async with database.write() as uow:
        again = TEXT + "# again"
        await adopt(uow, months.aligner, again, parse_strategy(again, file="strategy.yaml"))
    all_of_it = finished(range(1, 51), months.now)
    for _ in range(4):
        await months.week(all_of_it)
    assert [type(happened) for _, happened in (await seen(months)).said][-1] == FindingClosed
    assert await seen(months, weeks=1) == Hindsight()


async def test_before_the_first_apply_there_is_no_past(database: Database) -> None:
    """Nothing was approved, so nothing could drift."""
    assert await seen(Months(database)) == Hindsight()
