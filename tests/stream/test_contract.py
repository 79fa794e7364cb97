"""What every stream promises, embedded or on Kafka, over either database."""

import asyncio

from schemas import wire
from services.stream.log import redrive
from tests.parts import eventually
from tests.stream.toys import (
    Toy,
    Transport,
    counted,
    dead_letters,
    handled_once,
    in_order,
    logged,
    running,
    write_items,
)


async def test_each_event_has_its_effect_once_and_each_key_keeps_its_order(transport: Transport) -> None:
    """A counter that is not idempotent is exact, and no revision of an item overtakes another."""
    toy = Toy("count")
    await write_items(transport.database, range(40), range(1, 6))
    async with running(stream := transport.stream(toy.consumer(batch=30))):
        await write_items(transport.database, range(40), range(6, 11))
        await stream.settle()
        assert len(await logged(transport.database)) == 400
        assert await handled_once(transport.database, "count")
        assert await in_order(transport.database, "count")


async def test_settling_waits_for_what_handlers_cause(transport: Transport) -> None:
    """One consumer's event is another's work, and both are done when the stream has settled."""
    first, second = Toy("first", emits=True), Toy("second")
    await write_items(transport.database, range(20), range(1, 3))
    stream = transport.stream(first.consumer(), second.consumer(wire.ALIGN))
    await stream.settle()
    assert await handled_once(transport.database, "first")
    assert len(await counted(transport.database, "second")) == 40
    assert await handled_once(transport.database, "second", wire.ALIGN)
    assert await stream.lag() == {"first": 0, "second": 0}


async def test_a_topic_that_stays_empty_does_not_hold_up_another(transport: Transport) -> None:
    """A consumer of two topics gets far on one while nothing ever comes on the other."""
    toy = Toy("count")
    await write_items(transport.database, range(30), range(1, 4))
    await transport.stream(toy.consumer(wire.WORK, wire.ALIGN, batch=7)).settle()
    assert await handled_once(transport.database, "count")


async def test_a_poison_event_is_set_aside_and_can_be_sent_again(transport: Transport) -> None:
    """Its neighbours are handled once; when the fault is mended it is handled too, and they are not again."""
    toy, other = Toy("count", fails_on={"poison"}), Toy("other")
    await write_items(transport.database, range(10), range(1, 3))
    await write_items(transport.database, range(10, 11), range(1, 2), title="poison")
    await write_items(transport.database, range(10), range(3, 5))
    stream = transport.stream(toy.consumer(), other.consumer())
    await stream.settle()
    assert await dead_letters(transport.database) == [("count", "ValueError: cannot handle poison", False)]
    assert len(await logged(transport.database)) == 41
    assert len(await counted(transport.database, "count")) == 40

    toy.fails_on.clear()
    async with transport.database.write() as uow:
        assert await redrive(uow) == 1
    await stream.settle()
    handled = await counted(transport.database, "count")
    assert len(handled) == 41
    assert set(handled.values()) == {1}
    assert [redriven for _, _, redriven in await dead_letters(transport.database)] == [True]


async def test_a_failure_that_passes_is_tried_again(transport: Transport) -> None:
    """A handler that fails once needs nobody's help, and its first try leaves no trace."""
    toy = Toy("count", errors=[RuntimeError("a passing whim")])
    await write_items(transport.database, range(5), range(1, 3))
    await transport.stream(toy.consumer()).settle()
    assert await handled_once(transport.database, "count")
    assert await dead_letters(transport.database) == []


async def test_an_outage_is_waited_for_and_never_an_events_fault(transport: Transport) -> None:
    """However often the database is away, no event becomes a dead letter for it."""
    toy = Toy("count", errors=[ConnectionRefusedError("the database is away")] * 6)
    await write_items(transport.database, range(3), range(1, 3))
    stream = transport.stream(toy.consumer())
    async with running(stream):

        async def waits() -> bool:
            return stream.conditions["count"].waiting_for == "database"

        await eventually(waits)
        await stream.settle()
        assert await handled_once(transport.database, "count")
        assert await dead_letters(transport.database) == []
        assert stream.conditions["count"].waiting_for is None


async def test_a_consumer_that_dies_in_its_transaction_leaves_nothing_behind(transport: Transport) -> None:
    """What it had begun is undone, and the next one handles it once."""
    dying = Toy("count", hold=asyncio.Event())
    await write_items(transport.database, range(10), range(1, 3))
    async with running(transport.stream(dying.consumer())):
        await asyncio.wait_for(dying.holding.wait(), 60)
    assert await counted(transport.database, "count") == {}
    await transport.stream(Toy("count").consumer()).settle()
    assert await handled_once(transport.database, "count")


async def test_a_second_process_may_join_and_leave_while_events_flow(transport: Transport) -> None:
    """Whoever handles an event, it is handled once."""
    toy = Toy("count")
    first = transport.stream(toy.consumer(batch=10))
    async with running(first):
        await write_items(transport.database, range(20), range(1, 10))
        second = transport.stream(toy.consumer(batch=10))
        async with running(second):
            await write_items(transport.database, range(20), range(10, 20))

            async def some() -> bool:
                return len(await counted(transport.database, "count")) > 100

            await eventually(some)
        await write_items(transport.database, range(20), range(20, 25))
        await first.settle()
        assert len(await logged(transport.database)) == 480
        assert await handled_once(transport.database, "count")
        assert await in_order(transport.database, "count")
