"""Judgement over months: a finding opens, worsens and closes once each, and stays as it is in the dark."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import select

from schemas import wire
from schemas.events import (
    FindingClosed,
    FindingEased,
    FindingOpened,
    FindingWorsened,
    SourceSynced,
)
from schemas.strategy import parse_strategy
from schemas.work import WorkItem
from services.align.adopt import adopt
from services.align.handlers import Aligner
from services.consumers import consumers
from services.ingest.apply import apply_items
from services.steer import handlers as steer
from services.storage import tables
from services.storage.database import Database
from services.storage.unit_of_work import UnitOfWork
from services.stream.embedded import EmbeddedStream
from tests.work_items import a_change, an_item, done, to_done

TEXT = """
calendar: {time_zone: Europe/Berlin}
objectives: [{id: OBJ-1, title: One}]
initiatives:
  - {id: INI-1, title: Pay by link, serves: {OBJ-1: 1.0}, start: 2026-01-05, due: 2026-06-28, match: {label: pay}}
"""
FIRST = datetime(2026, 1, 5, 9, tzinfo=UTC)
COUNT = 50
#: Items finished in each week: at pace, then hardly any for ten weeks, then all of the rest at once.
WEEKS = [2] * 6 + [0] * 10 + [8] * 5 + [0]
Said = list[tuple[str, str, str | None]]


class Months:
    """A database whose clock the test moves, with the stages on the embedded stream."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = FIRST
        database.now = lambda: self.now
        self.aligner = Aligner(())
        self.stream = EmbeddedStream(database, consumers(align=self.aligner.handle, steer=steer.handle, alert=_nobody))

    async def begin(self, items: Sequence[WorkItem]) -> None:
        """A strategy, its work, and a source that was read whole."""
        async with self.database.write() as uow:
            await adopt(uow, self.aligner, TEXT, parse_strategy(TEXT, file="strategy.yaml"))
        await self.synced(items)

    async def synced(self, items: Sequence[WorkItem], *, source: str = "acme-jira", settle: bool = True) -> None:
        """A complete pass that saw these items; the stages hear of it, or not yet."""
        row = {
            "name": source,
            "kind": "jira",
            "flavour": "",
            "state": "ok",
            "first_complete_at": FIRST,
            "last_complete_at": self.now,
            "poll_every_s": 3600,
        }
        async with self.database.write() as uow:
            await apply_items(uow, items)
            await uow.upsert(tables.sources, [row], replace=["last_complete_at", "first_complete_at", "state"])
            uow.emit(SourceSynced(source=source, at=self.now))
        if settle:
            await self.stream.settle()

    async def week(self, items: Sequence[WorkItem], *, blind: bool = False) -> None:
        """The clock moves on by a week; the source is seen again, or not."""
        self.now += timedelta(days=7)
        if not blind:
            await self.synced(items)
        await self.judge()

    async def judge(self) -> None:
        async with self.database.write() as uow:
            await steer.judge_if_due(uow)
        await self.stream.settle()

    async def said(self) -> Said:
        """What was said of findings, in order: what happened, the severity, and why nobody was told."""
        found: Said = []
        for event in await self.events():
            match event.data:
                case FindingOpened() | FindingWorsened() | FindingEased() | FindingClosed():
                    finding = event.data.finding
                    if finding.node == "INI-1":
                        found.append((type(event.data).__name__, finding.severity, finding.quiet))
        return found

    async def events(self) -> list[wire.Event]:
        async with self.database.read() as connection:
            rows = await connection.execute(select(tables.log.c.value).order_by(tables.log.c.position))
            return [wire.decode(row.value) for row in rows]

    async def stored(self, *names: str) -> dict[str, list[dict[str, Any]]]:
        async with self.database.read() as connection:
            found = {}
            for name in names:
                table = tables.metadata.tables[name]
                order = list(table.primary_key.columns)
                rows = await connection.execute(select(table).order_by(*order))
                found[name] = [dict(row._mapping) for row in rows]
            return found


async def _nobody(uow: UnitOfWork, events: object) -> None:
    """Nobody is told here."""


def work() -> list[WorkItem]:
    return [an_item(number, labels=("pay",)) for number in range(1, COUNT + 1)]


def finished(numbers: Sequence[int], when: datetime) -> list[WorkItem]:
    return [done(number, f"{when:%Y-%m-%d %H:%M}", labels=("pay",)) for number in numbers]


async def live(months: Months, *, badly: random.Random | None = None) -> None:
    """All the weeks; ``badly``: what is seen comes out of order, twice, and is judged many times."""
    next_one = 1
    for count in WEEKS:
        numbers = list(range(next_one, next_one + count))
        next_one += count
        seen = finished(numbers, months.now + timedelta(days=3))
        if badly is not None:
            badly.shuffle(seen)
            seen = [*seen, *seen[: len(seen) // 2]]
        await months.week(seen)
        if badly is not None:
            await months.synced(finished(range(1, next_one), FIRST)[:0])
            await months.judge()


async def test_a_finding_opens_worsens_and_closes_once(database: Database) -> None:
    """Ten weeks without work, then a recovery: amber, red, amber and well, each said once, however often one asks."""
    months = Months(database)
    await months.begin(work())
    await live(months)
    assert [(what, severity) for what, severity, _ in await months.said()] == [
        ("FindingOpened", "amber"),
        ("FindingWorsened", "red"),
        ("FindingEased", "amber"),
        ("FindingClosed", "amber"),
    ]
    assert {quiet for _, _, quiet in await months.said()} == {None}
    told = len(await months.events())
    for _ in range(3):
        await months.judge()
    assert len(await months.events()) == told
    (row,) = [row for row in (await months.stored("findings"))["findings"] if row["node"] == "INI-1"]
    assert not row["open"] and row["closed_at"] is not None


async def test_order_duplicates_and_many_judgements_change_nothing(database: Database, tmp_path: Any) -> None:
    """The same months, seen out of order and twice and judged again and again, give the same rows."""
    first = Months(database)
    await first.begin(work())
    await live(first)
    undisturbed = await first.stored("findings", "node_figures", "balances")
    said = await first.said()
    async with database.write() as uow:
        for table in reversed(tables.metadata.sorted_tables):
            await uow.connection.execute(table.delete())
    dice = random.Random(7)
    second = Months(database)
    shuffled = work()
    dice.shuffle(shuffled)
    await second.begin(shuffled)
    await live(second, badly=dice)
    assert await second.stored("findings", "node_figures", "balances") == undisturbed
    assert await second.said() == said


async def test_what_cannot_be_seen_is_neither_opened_nor_closed(database: Database) -> None:
    """While the source is out of sight nothing is said and health is unknown; the truth is told when it is back."""
    months = Months(database)
    await months.begin(work())
    for count, start in ((2, 1), (2, 3), (2, 5), (2, 7)):
        await months.week(finished(range(start, start + count), months.now + timedelta(days=3)))
    for _ in range(10):
        await months.week([], blind=True)
    assert await months.said() == []
    (figures,) = [row for row in (await months.stored("node_figures"))["node_figures"] if row["node"] == "INI-1"]
    assert figures["stale"]
    assert b'"health":"unknown"' in figures["content"]
    await months.week([])
    assert [(what, severity) for what, severity, _ in await months.said()] == [("FindingOpened", "red")]
    for _ in range(6):
        await months.week([], blind=True)
    await months.synced(finished(range(1, COUNT + 1), months.now - timedelta(days=30)))
    assert [what for what, _, _ in await months.said()] == ["FindingOpened", "FindingClosed"]


async def test_what_is_late_when_it_is_first_seen_is_quiet(database: Database) -> None:
    """A strategy applied to a year of work that is late already: the finding is there, and nobody is told."""
    months = Months(database)
    months.now = FIRST + timedelta(weeks=20)
    await months.begin([*work()[6:], *finished(range(1, 7), FIRST + timedelta(days=10))])
    assert [(what, severity, bool(quiet)) for what, severity, quiet in await months.said()] == [
        ("FindingOpened", "red", True)
    ]


async def test_a_first_sync_never_alerts_however_late_the_ledger_is(database: Database) -> None:
    """The judge hears that a source was read before the ledger has a word of it: it waits, and then is quiet."""
    months = Months(database)
    months.now = FIRST + timedelta(weeks=20)
    async with database.write() as uow:
        await adopt(uow, months.aligner, TEXT, parse_strategy(TEXT, file="strategy.yaml"))
    await months.stream.settle()
    late = [*work()[6:], *finished(range(1, 7), FIRST + timedelta(days=10))]
    await months.synced(late, settle=False)
    steering = [one for one in months.stream.consumers if one.name == "steer"]
    await EmbeddedStream(database, steering).settle()
    async with database.write() as uow:
        await steer.judge(uow)
    assert await months.said() == []
    await months.stream.settle()
    await months.judge()
    assert [(what, severity, quiet) for what, severity, quiet in await months.said()] == [
        ("FindingOpened", "red", steer.FIRST_JUDGEMENT)
    ]


async def test_the_first_sync_of_a_further_source_never_alerts(database: Database) -> None:
    """A second tracker brings much more work than was known: the finding is there, and nobody is told."""
    months = Months(database)
    await months.begin(finished(range(1, 4), FIRST))
    for number in range(4, 30, 2):
        await months.week(finished([number, number + 1], months.now + timedelta(days=3)))
    beginning = {"name": "acme-github", "kind": "github", "flavour": "", "state": "syncing", "poll_every_s": 3600}
    async with database.write() as uow:
        await uow.upsert(tables.sources, [beginning])
    await months.week([])
    assert await months.said() == []
    more = [an_item(number, source="acme-github", labels=("pay",)) for number in range(100, 400)]
    await months.synced(more, source="acme-github")
    assert [quiet for _, _, quiet in await months.said()] == [steer.FIRST_JUDGEMENT]


async def test_a_day_ends_at_midnight_where_the_strategy_lives(database: Database) -> None:
    """23:30 and 00:30 in Berlin are two days, also in the night that has 23 hours."""
    months = Months(database)
    months.now = datetime(2026, 4, 10, 9, tzinfo=UTC)
    nights = {1: "2026-03-28 22:30", 2: "2026-03-28 23:30", 3: "2026-03-29 21:30", 4: "2026-03-29 22:30"}
    await months.begin([done(number, when, labels=("pay",)) for number, when in nights.items()])
    balances = (await months.stored("balances"))["balances"]
    finished_on = {row["day"]: row["done"] for row in balances if row["node"] == "INI-1" and row["kind"] == "done"}
    assert sorted(finished_on) == [date(2026, 3, 28), date(2026, 3, 29), date(2026, 3, 30)]
    assert finished_on[date(2026, 3, 29)] == 2 * finished_on[date(2026, 3, 28)]


async def test_reopened_work_leaves_the_figures_of_its_past(database: Database) -> None:
    """Done and reopened: the day on which it was done stays booked, and the day on which it came back takes it out."""
    months = Months(database)
    months.now = datetime(2026, 3, 1, 9, tzinfo=UTC)
    again = a_change("status", "2026-02-10 12:00", "Done", "To Do", 2, before_category="done", after_category="todo")
    await months.begin([an_item(1, labels=("pay",), history=(to_done("2026-02-02 12:00"), again))])
    balances = (await months.stored("balances"))["balances"]
    moved = {row["day"]: row["done"] > 0 for row in balances if row["node"] == "INI-1" and row["done"]}
    assert moved == {date(2026, 2, 2): True, date(2026, 2, 10): False}
