"""The same world gives the same answer, whatever carries the log and wherever it is kept."""

import asyncio
import uuid

import pytest

from services.bootstrap import STAGES, open_app
from services.ingest.poller import sync_source
from tests.spine.conftest import Organisation
from tests.spine.test_outages import COMPARED
from tests.spine.test_spine import exported


# The run is cancelled at the end: aiokafka drops a connection that awaits its first answer then, and closes it there.
@pytest.mark.filterwarnings("ignore:Unclosed AIOKafkaConnection:ResourceWarning")
@pytest.mark.kafka
@pytest.mark.postgres
async def test_kafka_and_postgresql_end_where_one_file_ends(
    organisation: Organisation, kafka: str, postgres_url: str
) -> None:
    """The whole job, its stages running while the trackers are read and changed, equals the embedded run."""
    broker = f"{{bootstrap_servers: ['{kafka}'], topic_prefix: 'spine-{uuid.uuid4().hex[:8]}.'}}"
    grown = organisation.settings("grown", database=postgres_url, stream="kafka", kafka=broker)
    async with (
        open_app(organisation.settings("small"), time=organisation.time) as small,
        open_app(grown, time=organisation.time) as app,
    ):
        working = asyncio.create_task(app.run(STAGES - {"ingest"}))
        try:
            for _ in range(2):
                await small.sync()
                await small.apply()
                for source in grown.sources:
                    read = await sync_source(
                        app.database, app.connectors[source.name], poll_every=source.poll_every, kind=source.kind,
                        count=True,
                    )  # fmt: skip
                    assert read.error is None
                await app.apply()
                assert not working.done(), working
                for what in COMPARED:
                    assert await exported(app, what) == await exported(small, what), what
                for item in [*organisation.world.items.values()][:60:3]:
                    organisation.world.edit(item, title=f"{item.title}, later")
                organisation.world.delete(organisation.world.container("PAY").items[-1])
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
