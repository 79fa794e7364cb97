"""One transaction: rows and events together, or neither."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Table, delete, select
from sqlalchemy.exc import DBAPIError

from schemas import wire
from schemas.events import ItemTouched
from services.storage import tables
from services.storage.bulk import rows_of
from services.storage.database import Database, woken
from services.storage.unit_of_work import UnitOfWork, append_rows

AMOUNTS = [column.name for column in tables.balances.columns if not column.primary_key]


async def all_rows(database: Database, table: Table) -> list[Any]:
    """Every row of a table, in the order of its key."""
    async with database.read() as connection:
        return list(await connection.execute(select(table).order_by(*table.primary_key.columns)))


def a_lease(name: str, holder: str = "a", until: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> dict[str, Any]:
    """A row of the smallest table with a key of its own."""
    return {"name": name, "holder": holder, "until": until}


def a_balance(node: str, **amounts: int) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """The key of a balance and its amounts, nought but for these."""
    return (node, date(2026, 3, 1), "Story", "issue"), tuple(amounts.get(name, 0) for name in AMOUNTS)


async def test_events_land_in_the_log_with_the_rows(database: Database) -> None:
    """What was emitted can be read, in the order it was emitted, once the transaction is committed."""
    async with database.write() as uow:
        await uow.upsert(tables.leases, [a_lease("x")])
        sent = [uow.emit(ItemTouched(uid=f"a:issue:{number}", cause="test")) for number in range(3)]
    rows = await all_rows(database, tables.log)
    assert [wire.decode(row.value) for row in rows] == sent
    assert [(row.id, row.topic, row.key, row.type) for row in rows] == [
        (event.id, "align", event.key, "item.touched") for event in sent
    ]
    assert [row.position for row in rows] == sorted(row.position for row in rows)


class Mishap(Exception):
    """Something that a handler did not expect."""


async def fail_after_writing(database: Database) -> None:
    """A transaction that comes to nothing."""
    async with database.write() as uow:
        await uow.upsert(tables.leases, [a_lease("x")])
        uow.emit(ItemTouched(uid="a:issue:1", cause="test"))
        raise Mishap


async def test_a_failure_leaves_neither_rows_nor_events(database: Database) -> None:
    """All or nothing; and the database serves the next one."""
    with pytest.raises(Mishap):
        await fail_after_writing(database)
    assert await all_rows(database, tables.leases) == []
    assert await all_rows(database, tables.log) == []
    async with database.write() as uow:
        await uow.upsert(tables.leases, [a_lease("x")])
    assert len(await all_rows(database, tables.leases)) == 1


async def test_an_event_that_is_in_the_log_already_stops_the_transaction(database: Database) -> None:
    """An event's identity is unique, so a caller that chose one cannot record it twice."""
    await emit_as(database, "chosen")
    with pytest.raises(DBAPIError):
        await emit_as(database, "chosen")
    assert len(await all_rows(database, tables.log)) == 1


async def emit_as(database: Database, event_id: str) -> None:
    """One transaction with one event of this identity."""
    async with database.write() as uow:
        uow.emit(ItemTouched(uid="a:issue:1", cause="test"), event_id=event_id)


async def test_a_reader_is_woken_by_a_commit_and_only_by_that(database: Database) -> None:
    """A ticket that was taken before the log grew is called; rows alone, or a failure, wake nobody."""
    ticket = database.appended.ticket()
    with pytest.raises(Mishap):
        await fail_after_writing(database)
    async with database.write() as uow:
        await uow.upsert(tables.leases, [a_lease("x")])
    assert not ticket.is_set()
    await emit_as(database, "one")
    await woken(ticket, 60)
    assert ticket.is_set()


async def test_an_upsert_replaces_only_what_it_names(database: Database) -> None:
    """The other columns of a row that exists stay; without names the row stays whole."""
    later = datetime(2027, 1, 1, tzinfo=UTC)
    async with database.write() as uow:
        await uow.upsert(tables.leases, [a_lease("x"), a_lease("y")])
        await uow.upsert(tables.leases, [a_lease("x", "b", later)])
        await uow.upsert(tables.leases, [a_lease("y", "b", later)], replace=("holder",))
        await uow.upsert(tables.leases, [])
    rows = await all_rows(database, tables.leases)
    assert [(row.name, row.holder, row.until.year) for row in rows] == [("x", "a", 2026), ("y", "b", 2026)]


async def test_amounts_add_up_and_leave_no_trace_when_they_cancel(database: Database) -> None:
    """A balance is the sum of all that was booked; nought is no row."""
    async with database.write() as uow:
        await uow.accumulate(tables.balances, dict([a_balance("A", scope=5, done=2), a_balance("B", scope=3)]))
        await uow.accumulate(tables.balances, dict([a_balance("A", scope=-1), a_balance("B", scope=-3)]))
    rows = await all_rows(database, tables.balances)
    assert [(row.node, row.scope, row.done) for row in rows] == [("A", 4, 2)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bookings=st.lists(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(-2, 2)), max_size=6), max_size=6))
async def test_balances_are_sums_however_they_are_booked(
    database: Database, bookings: list[list[tuple[str, int]]]
) -> None:
    """Whatever the order, the batches and the repetition within a batch."""
    async with database.write() as uow:
        await uow.connection.execute(delete(tables.balances))
    wanted: dict[str, int] = {}
    for batch in bookings:
        async with database.write() as uow:
            rows: dict[str, int] = {}
            for node, amount in batch:
                rows[node] = rows.get(node, 0) + amount
                wanted[node] = wanted.get(node, 0) + amount
            amounts = dict(a_balance(node, scope=amount) for node, amount in rows.items())
            await uow.accumulate(tables.balances, amounts)
    found = {row.node: row.scope for row in await all_rows(database, tables.balances)}
    assert found == {node: amount for node, amount in wanted.items() if amount}


async def test_a_time_comes_back_aware_and_in_utc(database: Database) -> None:
    """Whatever zone it was given in."""
    given_in = datetime(2026, 7, 1, 12, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    async with database.write() as uow:
        await uow.upsert(tables.leases, [a_lease("x", until=given_in)])
    (row,) = await all_rows(database, tables.leases)
    assert row.until == given_in
    assert row.until.utcoffset() == timedelta(0)


async def upsert_naive(database: Database) -> None:
    """Store a time without a zone."""
    async with database.write() as uow:
        await uow.upsert(tables.leases, [a_lease("x", until=datetime(2026, 1, 1))])  # noqa: DTZ001


async def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    """It could mean anything."""
    with pytest.raises(Exception, match="naive times are refused"):
        await upsert_naive(database)


async def test_a_reader_sees_one_state_while_others_write(database: Database) -> None:
    """Between its first look and its last nothing changes for it, and it keeps no writer waiting."""
    async with database.read() as connection:
        before = (await connection.execute(select(tables.log.c.id))).all()
        await emit_as(database, "one")
        assert (await connection.execute(select(tables.log.c.id))).all() == before
    assert len(await all_rows(database, tables.log)) == 1


async def test_a_reader_cannot_write(database: Database) -> None:
    """What a reader changed by mistake is not kept."""
    try:
        async with database.read() as connection:
            await connection.execute(tables.leases.insert(), [a_lease("x")])
    except DBAPIError:
        pass
    assert await all_rows(database, tables.leases) == []


@pytest.fixture
async def second(database: Database) -> AsyncIterator[Database]:
    """Another process on the same database, as it were."""
    opened = Database(database.url.render_as_string(hide_password=False))
    yield opened
    await opened.close()


async def test_a_reader_by_position_misses_nothing_of_concurrent_writers(database: Database, second: Database) -> None:
    """However transactions overlap, an event never appears behind a position that a reader has passed."""
    stop = asyncio.Event()
    seen: list[str] = []

    async def write(writer: Database, name: str) -> None:
        for number in range(40):
            async with writer.write() as uow:
                uow.emit(ItemTouched(uid="a", cause="test"), event_id=f"{name}-{number}")
                if number % 3 == 0:
                    await append_rows(uow.connection, rows_of([_raw(uow, f"{name}-{number}-raw")]))
                    await asyncio.sleep(0)

    async def read() -> None:
        position, ended = 0, False
        while True:
            ended = stop.is_set()
            async with second.read() as connection:
                statement = select(tables.log.c.position, tables.log.c.id).where(tables.log.c.position > position)
                rows = (await connection.execute(statement.order_by(tables.log.c.position))).all()
            seen.extend(row.id for row in rows)
            position = rows[-1].position if rows else position
            if ended and not rows:
                return

    reader = asyncio.create_task(read())
    await asyncio.gather(*(write([database, second][number % 2], f"w{number}") for number in range(6)))
    stop.set()
    await reader
    assert len(seen) == len(set(seen))
    assert set(seen) == {row.id for row in await all_rows(database, tables.log)}
    assert len(seen) == 6 * 40 + 6 * 14


def _raw(uow: UnitOfWork, event_id: str) -> dict[str, Any]:
    return {"id": event_id, "topic": "align", "key": "", "type": "", "time": uow.now, "value": b"{}"}


def soon(rounds: int, action: Callable[[], object]) -> None:
    """Do it after so many rounds of the event loop."""
    asyncio.get_running_loop().call_soon(partial(soon, rounds - 1, action) if rounds else action)


async def cancelled_half_way(database: Database, rounds: int) -> None:
    """A transaction that is cancelled while it reads back what it wrote."""
    writing = asyncio.current_task()
    assert writing is not None
    async with database.write() as uow:
        await uow.upsert(tables.leases, [a_lease(f"half {number}") for number in range(1_000)])
        soon(rounds, writing.cancel)
        await uow.connection.execute(select(tables.leases).order_by(tables.leases.c.until))
        await asyncio.Event().wait()


async def test_a_write_that_is_cancelled_half_way_lets_go_of_the_database(database: Database) -> None:
    """Others write at once, even while somebody still holds the traceback of what was cancelled."""
    held = []
    for rounds in range(40):
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await asyncio.ensure_future(cancelled_half_way(database, rounds))
        held.append(cancelled.value)
        async with asyncio.timeout(10):
            async with database.write() as uow:
                await uow.upsert(tables.leases, [a_lease("next")], replace=("holder",))
    assert [row.name for row in await all_rows(database, tables.leases)] == ["next"]
    assert len(held) == 40
