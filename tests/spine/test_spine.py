"""From a tracker's change to a dashboard's number, on real parts: HTTP, both client libraries, database, stream."""

import json
from datetime import timedelta
from typing import Any

import httpx2
from sqlalchemy import select

from schemas.amounts import SHARE
from services.bootstrap import App, open_app
from services.feed.api import create_app
from services.feed.exports import EXPORTS, Then
from services.simulator.model import Item
from services.simulator.world import World
from services.steer.history import PastFigures
from services.storage import tables
from tests.spine.conftest import Organisation

VOLATILE = {"as_of", "recorded_at", "observed_at", "position"}


async def exported(app: App, what: str) -> list[dict[str, Any]]:
    async with app.database.read() as connection:
        rows = [row async for row in EXPORTS[what](connection, Then(None, PastFigures()))]
    return [{key: value for key, value in row.items() if key not in VOLATILE} for row in rows]


def client_of(app: App) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=create_app(app.database, figures=PastFigures()))
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1")


async def get(app: App, path: str) -> Any:
    async with client_of(app) as client:
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


def living(world: World) -> dict[str, Item]:
    return {world.key(item): item for item in world.items.values()}


async def test_what_is_stored_is_what_the_trackers_hold(organisation: Organisation) -> None:
    """After one sync every item of every tracker is there, as it is: nothing lost, nothing doubled."""
    async with open_app(organisation.settings(), time=organisation.time) as app:
        summary = await app.sync()
        stored = {row["key"]: row for row in await exported(app, "items")}
    assert [one.error for one in summary.sources] == [None, None]
    truth = living(organisation.world)
    assert stored.keys() == truth.keys()
    for key, item in truth.items():
        row = stored[key]
        assert (row["title"], row["labels"]) == (item.title, sorted(item.labels)), key
        assert (row["status_category"] == "done") == item.done, key
        assert row["estimate_points"] == item.points, key
        parent = organisation.world.items.get(item.parent) if item.parent is not None else None
        assert (row["parent"] is None) == (parent is None), key


async def test_one_change_in_a_tracker_reaches_the_number_and_the_events(organisation: Organisation) -> None:
    """An item that is finished raises its node's progress, and says so on the stream."""
    async with open_app(organisation.settings(), time=organisation.time) as app:
        await app.sync()
        await app.apply()
        before = (await get(app, "/api/v1/nodes/INI-2"))["progress"]
        open_items = [
            row for row in await exported(app, "items")
            if row["status_category"] != "done" and row["type"] != "Epic" and row["resolution"] is None
            and [one["node"] for one in row["alignment"]] == ["INI-2"]
        ]  # fmt: skip
        leaf = next(row for row in open_items if not organisation.world.children.get(int(row["external_id"])))
        item = organisation.world.items[int(leaf["external_id"])]
        organisation.world.advance(organisation.world.now + timedelta(minutes=30))
        if not item.done:
            organisation.world.finish(item, author=1)
        await app.sync()
        found = await get(app, f"/api/v1/items/{leaf['uid']}")
        after = (await get(app, "/api/v1/nodes/INI-2"))["progress"]
        async with app.database.read() as connection:
            rows = await connection.execute(select(tables.log.c.key).where(tables.log.c.type == "progress.changed"))
            said = [row.key for row in rows]
    assert found["status_category"] == "done"
    assert after["done"] > before["done"]
    assert said.count("INI-2") >= 2


async def test_shares_and_balances_are_conserved(organisation: Organisation) -> None:
    """Every item's shares are one, and the ledger of all nodes, run and unaligned is the number of counted items."""
    async with open_app(organisation.settings(), time=organisation.time) as app:
        await app.sync()
        await app.apply()
        items, postings = await exported(app, "items"), await exported(app, "ledger")
        async with app.database.read() as connection:
            table = tables.alignments.c
            rows = (await connection.execute(select(table.item, table.share).where(table.valid_to.is_(None)))).all()
    shares: dict[str, int] = {}
    for row in rows:
        shares[row.item] = shares.get(row.item, 0) + row.share
    assert set(shares.values()) == {SHARE}
    assert shares.keys() == {row["uid"] for row in items}
    counted: dict[str, float] = {}
    for line in postings:
        counted[line["item"]] = counted.get(line["item"], 0.0) + line["scope"]
    assert {round(scope, 9) for scope in counted.values()} <= {0.0, 1.0}


async def test_a_replay_gives_the_same_answer(organisation: Organisation) -> None:
    """Everything that is computed can be forgotten and built again from the log, and nobody is told anew."""
    async with open_app(organisation.settings(), time=organisation.time) as app:
        await app.sync()
        await app.apply()
        organisation.world.advance(organisation.world.now + timedelta(hours=8))
        await app.sync()
        before = {what: await exported(app, what) for what in EXPORTS}
        async with app.database.read() as connection:
            said = len((await connection.execute(select(tables.log.c.position))).all())
        await app.replay()
        again = {what: await exported(app, what) for what in EXPORTS}
        async with app.database.read() as connection:
            assert len((await connection.execute(select(tables.log.c.position))).all()) == said
        second = await app.sync()
    assert again == before
    assert [one.changed for one in second.sources] == [0, 0]


async def test_a_plan_changes_nothing_and_foretells_the_apply(organisation: Organisation) -> None:
    """What `plan` shows is what `apply` then does."""
    async with open_app(organisation.settings(), time=organisation.time) as app:
        await app.sync()
        await app.apply()
        before = await exported(app, "alignments")
        path = app.settings.strategy_file
        text = path.read_text(encoding="utf-8").replace("run:", "run_was:", 1)
        path.write_text(text.replace("run_was:", "run:", 1).replace("title: Transfers", "title: Quick transfers"))
        planned = await app.plan()
        assert await exported(app, "alignments") == before
        applied = await app.apply()
    assert planned == applied
    assert [node.id for node in planned.nodes if node.change == "changed"] == ["INI-2"]


async def test_a_first_judgement_is_quiet(organisation: Organisation) -> None:
    """A first sync finds drift that is months old; nobody is woken for it."""
    async with open_app(organisation.settings(), time=organisation.time) as app:
        await app.sync()
        await app.apply()
        found = await get(app, "/api/v1/findings")
    assert found["items"]
    assert all(one["quiet"] for one in found["items"])


async def test_figures_of_a_past_day_are_those_of_its_end(organisation: Organisation) -> None:
    """As of a day two months ago, less was done; as of today, what is published."""
    async with open_app(organisation.settings(), time=organisation.time) as app:
        await app.sync()
        await app.apply()
        now = await get(app, "/api/v1/nodes/INI-2")
        today = await get(app, f"/api/v1/nodes/INI-2?as_of={organisation.world.now:%Y-%m-%d}")
        past = await get(app, f"/api/v1/nodes/INI-2?as_of={organisation.world.now - timedelta(days=60):%Y-%m-%d}")
        burnup = await get(app, "/api/v1/nodes/INI-2/burnup")
    assert past["progress"]["done"] < now["progress"]["done"] == today["progress"]["done"]
    assert burnup["days"][-1]["done"] == now["progress"]["done"]


async def test_pages_of_items_hold_every_item_once(organisation: Organisation) -> None:
    """Walking the cursors gives the whole list, in any page size."""
    async with open_app(organisation.settings(), time=organisation.time) as app:
        await app.sync()
        await app.apply()
        everything = [row["uid"] for row in await exported(app, "items")]
        async with client_of(app) as client:
            for size in (37, 500):
                walked, path = [], f"/api/v1/items?limit={size}"
                while True:
                    page = (await client.get(path)).json()
                    walked += [row["uid"] for row in page["items"]]
                    if page["next"] is None:
                        break
                    path = f"/api/v1/items?limit={size}&cursor={page['next']}"
                assert walked == everything
            first = await client.get("/api/v1/strategy")
            second = await client.get("/api/v1/strategy", headers={"If-None-Match": first.headers["etag"]})
    assert second.status_code == 304
    assert json.loads(first.text)["vision"]


async def test_a_sync_finds_what_was_deleted_since_the_last_one(organisation: Organisation) -> None:
    """A complete sync says what is gone, however soon it follows the one before, and the ledger knows."""
    world = organisation.world
    async with open_app(organisation.settings(), time=organisation.time) as running:
        await running.sync()
        doomed = next(
            item for item in world.container("PAY").items if not world.children.get(item.id) and item.type == "Story"
        )
        world.delete(doomed)
        summary = await running.sync()
        assert [one.deleted for one in summary.sources] == [1, 0]
        assert [one.deleted for one in (await running.sync()).sources] == [0, 0]
