"""Whatever the order, duplication or replay of events, the ledger says what a recount by brute force says."""

import random
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import select

from schemas import wire
from schemas.strategy import parse_strategy
from schemas.work import TransitionField, WorkItem
from services.align.adopt import adopt
from services.align.forget import COMPUTED, forget
from services.align.handlers import Aligner
from services.align.rules import compile_rules
from services.ingest.apply import apply_items
from services.storage import tables
from services.storage.database import Database
from tests.align.recount import Counted, recount
from tests.work_items import a_change, an_item, at

TEXT = """
calendar: {time_zone: America/New_York}
objectives: [{id: OBJ-1, title: One}, {id: OBJ-2, title: Two, match: {label: "objective:2"}}]
run: {match: {type: Incident}}
initiatives:
  - {id: INI-1, title: Labelled, serves: {OBJ-1: 1.0}, start: 2026-01-01, due: 2026-12-01, match: {label: growth}}
  - {id: INI-2, title: Below, serves: {OBJ-1: 0.5}, start: 2026-01-01, due: 2026-12-01, match: {ancestor: PAY-1}}
  - {id: INI-3, title: Both, serves: {OBJ-2: 0.5}, start: 2026-01-01, due: 2026-12-01,
     match: {any: [{label: growth, type: Bug}, {ancestor: PAY-2, label: ops}]}}
"""
STRATEGY = parse_strategy(TEXT, file="strategy.yaml")
FIRST = date(2026, 1, 5)
LABELS: list[list[str]] = [[], ["growth"], ["objective:2"], ["growth", "ops"], ["ops"]]


def _choices(field: TransitionField, among: int) -> list[Any]:
    parents = [None, *(f"acme-jira:issue:{number}" for number in range(1, among + 1))]
    choices: dict[str, list[Any]] = {
        "labels": LABELS,
        "parent": parents,
        "type": ["Story", "Bug", "Incident"],
        "estimate_points": [None, 1.0, 3.0],
        "resolution": [None, "delivered", "not_delivered"],
        "status": ["todo", "in_progress", "done"],
    }
    return choices[field]


def a_life(number: int, among: int, dice: random.Random) -> list[WorkItem]:
    """An item as it was seen at several moments of a random life, each look with all history so far."""
    values: dict[TransitionField, Any] = {
        "labels": dice.choice(LABELS),
        "parent": None,
        "type": dice.choice(["Story", "Bug", "Epic"]),
        "estimate_points": dice.choice([None, 0.0, 1.0, 2.5]),
        "resolution": None,
        "status": "todo",
    }
    looks, history = [], []
    when = at("2026-01-05 09:00")
    looks.append(_as_item(number, values, [], when))
    for step in range(dice.randrange(5)):
        when += timedelta(hours=dice.randrange(1, 80))
        field = dice.choice(sorted(values))
        before = values[field]
        values[field] = dice.choice(_choices(field, among))
        categories = {"before_category": before, "after_category": values[field]} if field == "status" else {}
        history.append(a_change(field, f"{when:%Y-%m-%d %H:%M}", before, values[field], step, **categories))
        if dice.random() < 0.6:
            looks.append(_as_item(number, values, history, when))
    looks.append(_as_item(number, values, history, when))
    return looks


def _as_item(number: int, values: dict[TransitionField, Any], history: list[Any], when: Any) -> WorkItem:
    status = values["status"]
    fields: dict[str, Any] = {name: value for name, value in values.items() if name not in ("status", "labels")}
    return an_item(
        number,
        status=status,
        status_category=status,
        labels=tuple(sorted(values["labels"])),
        history=tuple(history),
        updated_at=when,
        **fields,
    )


async def observe(database: Database, looks: list[WorkItem]) -> None:
    async with database.write() as uow:
        await apply_items(uow, looks)


async def logged(database: Database, after: int = 0) -> list[wire.Event]:
    async with database.read() as connection:
        rows = await connection.execute(
            select(tables.log.c.value).where(tables.log.c.position > after).order_by(tables.log.c.position)
        )
        return [wire.decode(row.value) for row in rows]


async def deliver_badly(database: Database, aligner: Aligner, dice: random.Random) -> None:
    """Every event of the log at least once, in a random order, some twice, in batches of any size."""
    done = 0
    while True:
        events = (await logged(database))[done:]
        if not events:
            return
        done += len(events)
        heard = [event for event in events if event.topic in (wire.WORK, wire.ALIGN)]
        heard += dice.sample(heard, len(heard) // 3)
        dice.shuffle(heard)
        while heard:
            size = dice.randrange(1, 8)
            batch, heard = heard[:size], heard[size:]
            async with database.write() as uow:
                await aligner.handle(uow, batch)


async def contents(database: Database) -> dict[str, list[Any]]:
    """All that the align stage computed, without the time of writing."""
    found = {}
    async with database.read() as connection:
        for table in COMPUTED:
            columns = [column for column in table.columns if column.name != "recorded_at"]
            rows = await connection.execute(select(*columns).order_by(*table.primary_key.columns))
            found[table.name] = [tuple(row) for row in rows]
    # Placeholders, which keep parent and child apart on PostgreSQL, say nothing.
    found["item_states"] = [row for row in found["item_states"] if b'"alignment":[]' not in row[1]]
    return found


async def balances(database: Database, day: date) -> Counted:
    total: Counted = {}
    async with database.read() as connection:
        for row in await connection.execute(select(tables.balances).where(tables.balances.c.day <= day)):
            before = total.get((row.node, row.type), (0, 0, 0, 0))
            amounts = (row.scope, row.done, row.scope_points, row.done_points)
            total[row.node, row.type] = tuple(a + b for a, b in zip(before, amounts, strict=True))
    return {key: amounts for key, amounts in total.items() if any(amounts)}


async def test_any_order_of_events_gives_the_recount(database: Database) -> None:
    """Random histories with re-parenting and cycles, delivered out of order and twice, equal a direct count."""
    for seed in range(40):
        dice = random.Random(seed)
        among = dice.randrange(3, 14)
        lives = [a_life(number, among, dice) for number in range(1, among + 1)]
        aligner = Aligner(())
        async with database.write() as uow:
            for table in (
                *COMPUTED,
                tables.items,
                tables.strategies,
                tables.baselines,
                tables.baseline_items,
                tables.log,
            ):
                await uow.connection.execute(table.delete())
        half = [life[: max(1, len(life) // 2)] for life in lives]
        for life in half:
            for look in life:
                await observe(database, [look])
        async with database.write() as uow:
            await adopt(uow, aligner, TEXT, STRATEGY)
        for looks in zip(*[life + [life[-1]] * 9 for life in lives], strict=False):
            await observe(database, list(looks))
        await deliver_badly(database, aligner, dice)
        final = [life[-1] for life in lives]
        await _equals_recount(database, final, seed)
        incremental = await contents(database)
        async with database.write() as uow:
            await forget(uow)
            await aligner.align_all(uow)
        assert await contents(database) == incremental, f"seed {seed}: computing everything anew gave another answer"


async def _equals_recount(database: Database, items: list[WorkItem], seed: int) -> None:
    rules = compile_rules(STRATEGY)
    zone = ZoneInfo("America/New_York")
    for offset in range(0, 20, 3):
        day = FIRST + timedelta(days=offset)
        assert await balances(database, day) == recount(items, rules, day, zone), f"seed {seed}, {day}"


async def test_nothing_is_aligned_before_a_strategy(database: Database) -> None:
    """Before the first apply there are no nodes, so there is nothing to book."""
    await observe(database, [an_item(1)])
    await deliver_badly(database, Aligner(()), random.Random(0))
    assert all(rows == [] for rows in (await contents(database)).values())


async def test_a_changed_strategy_is_not_retroactive(database: Database) -> None:
    """Work aligned by the old rules stays so for the days before the new ones, and moves on the day they apply."""
    aligner = Aligner(())
    await observe(database, [an_item(5, labels=("growth",))])
    async with database.write() as uow:
        await adopt(uow, aligner, TEXT, STRATEGY)
    changed = TEXT.replace("match: {label: growth}", "match: {label: other}")
    async with database.write() as uow:
        await adopt(uow, aligner, changed, parse_strategy(changed, file="strategy.yaml"))
    async with database.read() as connection:
        rows = (await connection.execute(select(tables.alignments).order_by(tables.alignments.c.seq))).all()
    assert [(row.node, row.valid_to is None) for row in rows] == [("INI-1", False), ("none", True)]


async def test_a_baseline_earns_by_its_own_items(database: Database) -> None:
    """Baseline work that is finished is booked with its frozen weight on its day."""
    aligner = Aligner(())
    await observe(database, [an_item(1, labels=("growth",)), an_item(2, labels=("growth",))])
    async with database.write() as uow:
        await adopt(uow, aligner, TEXT, STRATEGY)
    finished = an_item(
        2,
        labels=(),
        status="Done",
        status_category="done",
        updated_at=at("2026-02-02"),
        history=(
            a_change("labels", "2026-02-01", ["growth"], []),
            a_change("status", "2026-02-02 15:00", "To Do", "Done", before_category="todo", after_category="done"),
        ),
    )
    await observe(database, [finished])
    await deliver_badly(database, aligner, random.Random(0))
    async with database.read() as connection:
        (scope,) = await connection.execute(select(tables.baselines.c.scope).where(tables.baselines.c.node == "INI-1"))
        (earned,) = await connection.execute(select(tables.baseline_done))
    assert (earned.node, str(earned.day), earned.done * 2) == ("INI-1", "2026-02-02", scope.scope)


def test_a_look_decodes_as_it_was_encoded() -> None:
    """An item survives its own wire format."""
    item = a_life(1, 3, random.Random(3))[-1]
    assert msgspec.json.decode(msgspec.json.encode(item), type=WorkItem) == item
