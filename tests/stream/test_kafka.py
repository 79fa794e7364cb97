"""What only a broker can do to us: restart, repeat itself, bring what others sent."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import ProducerFenced
from sqlalchemy import update

from schemas import wire
from schemas.events import WorkItemChanged
from services.storage import tables
from services.storage.database import Database
from services.stream.broker import BrokerAway, KafkaSettings, absent_topics, provision, topics
from services.stream.embedded import EmbeddedStream
from services.stream.kafka import KafkaStream
from services.stream.relay import RELAY, Relay
from tests import parts
from tests.kafka_broker import Broker, free_port
from tests.stream.toys import (
    Toy,
    Transport,
    counted,
    create_toy_tables,
    dead_letters,
    handled_once,
    in_order,
    logged,
    running,
    write_items,
)
from tests.work_items import an_item

pytestmark = pytest.mark.kafka


async def published(transport: Transport, name: str, number: int) -> list[Any]:
    """The first records of a topic."""
    consumer = AIOKafkaConsumer(
        transport.settings.topic(name),
        bootstrap_servers=transport.broker,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    async with consumer, asyncio.timeout(30):
        return [await consumer.getone() for _ in range(number)]


async def send(transport: Transport, *records: tuple[bytes, list[tuple[str, bytes]]]) -> None:
    """Put records on the work topic, as somebody else would."""
    async with AIOKafkaProducer(bootstrap_servers=transport.broker) as producer:
        for value, headers in records:
            await producer.send_and_wait(transport.settings.topic("work"), value, key=b"k", headers=headers)


async def all_topics_there(on_kafka: Transport) -> bool:
    return await absent_topics(on_kafka.settings) == []


async def test_topics_are_made_as_the_wire_says(on_kafka: Transport) -> None:
    """Each has its partitions and its twin for dead letters; making them again changes nothing."""
    assert await absent_topics(on_kafka.settings) == sorted(topics(on_kafka.settings))
    assert await provision(on_kafka.settings) == sorted(topics(on_kafka.settings))
    await parts.eventually(lambda: all_topics_there(on_kafka))  # the broker tells of new topics a moment later
    assert await provision(on_kafka.settings) == []
    admin = AIOKafkaAdminClient(bootstrap_servers=on_kafka.broker)
    await admin.start()
    described = {one["topic"]: one for one in await admin.describe_topics(sorted(topics(on_kafka.settings)))}
    progress = ConfigResource(ConfigResourceType.TOPIC, on_kafka.settings.topic("progress"))
    (configured,) = await admin.describe_configs([progress])
    await admin.close()
    for topic in wire.TOPICS:
        name = on_kafka.settings.topic(topic.name)
        assert len(described[name]["partitions"]) == topic.partitions
        assert described[name + wire.DEAD_LETTER_SUFFIX]["partitions"]
    values = {entry[0]: entry[1] for entry in configured.resources[0][4]}
    assert values["cleanup.policy"] == "compact"


async def test_the_log_arrives_as_cloud_events_keyed_by_what_must_stay_in_order(on_kafka: Transport) -> None:
    """Other systems find the bytes of the log under the item's uid, its identity and type in the headers."""
    await write_items(on_kafka.database, range(3), range(1, 3))
    await on_kafka.stream(Toy("count").consumer()).settle()
    records = await published(on_kafka, "work", 6)
    events = [wire.decode(record.value) for record in records]
    assert {event.id for event in events} == await logged(on_kafka.database)
    for record, event in zip(records, events, strict=True):
        assert record.key.decode() == event.key
        assert dict(record.headers)["ce_id"].decode() == event.id
        assert dict(record.headers)["ce_type"].decode() == event.type


async def test_what_the_relay_sends_twice_has_its_effect_once(on_kafka: Transport) -> None:
    """A relay that died between sending and marking begins again from its mark."""
    toy = Toy("count")
    await write_items(on_kafka.database, range(20), range(1, 6))
    stream = on_kafka.stream(toy.consumer(batch=30))
    await stream.settle()
    async with on_kafka.database.write() as uow:
        own = tables.positions.c.consumer == RELAY
        await uow.connection.execute(update(tables.positions).where(own).values(position=0))
    await write_items(on_kafka.database, range(20), range(6, 7))
    await stream.settle()
    assert len(await published(on_kafka, "work", 220)) == 220
    assert await handled_once(on_kafka.database, "count")


async def test_a_topic_read_again_from_the_start_changes_nothing(on_kafka: Transport) -> None:
    """An effect that is committed while its offset is not is not repeated."""
    toy = Toy("count")
    await write_items(on_kafka.database, range(20), range(1, 6))
    await on_kafka.stream(toy.consumer()).settle()
    async with on_kafka.database.write() as uow:
        own = tables.positions.c.consumer == "count"
        await uow.connection.execute(update(tables.positions).where(own).values(offset=0))
    await write_items(on_kafka.database, range(20), range(6, 8))
    await on_kafka.stream(toy.consumer()).settle()
    assert await handled_once(on_kafka.database, "count")
    assert await in_order(on_kafka.database, "count")


async def test_what_others_put_on_a_topic_harms_nobody(on_kafka: Transport) -> None:
    """Their event is handled once, garbage is set aside, another log's events are not ours; headers may be anything."""
    theirs = wire.an_event(WorkItemChanged(after=an_item(99), revision=1), at=on_kafka.database.now())
    strange = wire.an_event(WorkItemChanged(after=an_item(98), revision=1), at=on_kafka.database.now())
    await write_items(on_kafka.database, range(5), range(1, 2))
    await provision(on_kafka.settings)
    await send(
        on_kafka,
        (b"\xff\x00 no event", [("x", b"\xff\xfe")]),
        (wire.encode(theirs), []),
        (wire.encode(strange), [("log", b"another"), ("position", b"7")]),
        (b"", [("position", b"many")]),
    )
    toy = Toy("count")
    stream = on_kafka.stream(toy.consumer())
    async with running(stream):

        async def all_seen() -> bool:
            return (
                len(await dead_letters(on_kafka.database)) == 2 and len(await counted(on_kafka.database, "count")) == 6
            )

        await parts.eventually(all_seen)
        await stream.settle()
    handled = await counted(on_kafka.database, "count")
    assert handled == dict.fromkeys(await logged(on_kafka.database) | {theirs.id}, 1)


async def test_a_dead_letter_reaches_the_topics_twin(on_kafka: Transport) -> None:
    """Its bytes unchanged, the reason in the headers."""
    await write_items(on_kafka.database, range(1), range(1, 2), title="poison")
    stream = on_kafka.stream(Toy("count", fails_on={"poison"}).consumer())
    async with running(stream):
        (letter,) = await published(on_kafka, "work" + wire.DEAD_LETTER_SUFFIX, 1)
    headers = {name: value.decode() for name, value in letter.headers}
    assert {wire.decode(letter.value).id} == await logged(on_kafka.database)
    assert headers["error"] == "ValueError: cannot handle poison"
    assert (headers["consumer"], headers["topic"]) == ("count", on_kafka.settings.topic("work"))


async def test_one_relay_works_and_another_takes_over(on_kafka: Transport) -> None:
    """Two relays over one log copy it once; when one leaves the other goes on."""
    toy = Toy("count")
    first = KafkaStream(on_kafka.database, [], on_kafka.settings)
    second = on_kafka.stream(toy.consumer())
    await write_items(on_kafka.database, range(10), range(1, 4))
    async with running(second):
        async with running(first):
            await second.settle()
            await write_items(on_kafka.database, range(10), range(4, 7))
            await second.settle()
        await write_items(on_kafka.database, range(10), range(7, 10))
        await second.settle()
    assert await handled_once(on_kafka.database, "count")
    records = await published(on_kafka, "work", 90)
    assert len({dict(record.headers)["position"] for record in records}) == 90


async def test_a_relay_that_is_fenced_off_ends_its_step_and_leaves_no_error_untold(on_kafka: Transport) -> None:
    """The newer one goes on; of the older one's failure only what its step raised remains."""
    untold: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: untold.append(context))
    await provision(on_kafka.settings)
    older, newer = (Relay(on_kafka.database, on_kafka.settings) for _ in range(2))
    async with older._producer() as late:
        await write_items(on_kafka.database, range(20), range(1, 2))
        await older.step(late)
        async with newer._producer() as current:
            await write_items(on_kafka.database, range(20), range(2, 3))
            with pytest.raises(ProducerFenced):
                await older.step(late)
            assert await newer.step(current) == 20
    del late
    gc.collect()
    await asyncio.sleep(0)
    assert untold == []
    assert len(await published(on_kafka, "work", 40)) == 40


async def test_a_service_that_moves_from_the_embedded_stream_repeats_nothing(on_kafka: Transport) -> None:
    """What the embedded consumer had handled stays handled on Kafka."""
    toy = Toy("count")
    await write_items(on_kafka.database, range(10), range(1, 4))
    await EmbeddedStream(on_kafka.database, [toy.consumer()]).settle()
    await write_items(on_kafka.database, range(10), range(4, 7))
    await on_kafka.stream(toy.consumer()).settle()
    assert await handled_once(on_kafka.database, "count")


@pytest.fixture
async def own_broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A broker of one's own, to be killed at will."""
    broker = parts.a_broker(tmp_path / "broker")
    yield broker
    broker.stop(kill=True)


async def test_a_broker_that_dies_while_events_flow_loses_and_doubles_nothing(
    own_broker: Broker, sqlite_url: str
) -> None:
    """It is killed, the log grows meanwhile, it comes back: every effect is there once, in order."""
    database = Database(sqlite_url)
    await create_toy_tables(database)
    transport, toy = Transport(database, own_broker.address), Toy("count")
    stream = transport.stream(toy.consumer(batch=20))
    async with running(stream):
        await write_items(database, range(20), range(1, 20))

        async def some() -> bool:
            return len(await counted(database, "count")) > 50

        await parts.eventually(some)
        await asyncio.to_thread(own_broker.stop, kill=True)

        async def noticed() -> bool:
            return any(condition.waiting_for == "broker" for condition in stream.conditions.values())

        await write_items(database, range(20), range(20, 25))
        await parts.eventually(noticed)
        await asyncio.to_thread(own_broker.start)
        await stream.settle()
        await write_items(database, range(20), range(25, 27))
        await stream.settle()
        assert await handled_once(database, "count")
        assert await in_order(database, "count")
    await database.close()


async def test_a_broker_that_is_not_there_is_waited_for(tmp_path: Path, sqlite_url: str) -> None:
    """The service starts, says what it waits for, and a command is told where nobody answers."""
    settings = KafkaSettings((f"127.0.0.1:{free_port()}",))
    with pytest.raises(BrokerAway, match=settings.bootstrap_servers[0]):
        await provision(settings)
    database = Database(sqlite_url)
    stream = KafkaStream(database, [Toy("count").consumer()], settings)
    async with running(stream):

        async def noticed() -> bool:
            return {stream.conditions[name].waiting_for for name in ("broker", RELAY)} == {"broker"}

        await parts.eventually(noticed)
    await database.close()
