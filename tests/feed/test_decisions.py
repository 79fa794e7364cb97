"""What people answered, as the feed tells it."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from services.alert.attention import acknowledge, snooze
from services.bootstrap import App
from services.steer.decisions import appraise, decide
from services.storage import tables
from tests.alert.test_alerts import a_finding
from tests.feed.test_openapi import document_of
from tests.feed.test_rest import served


async def answered(app: App, days_open: int = 9) -> None:
    """A finding about OBJ-1 with three decisions at the same moment, an acknowledgement, a snooze and an appraisal."""
    async with app.database.write() as uow:
        finding = a_finding(node="OBJ-1", opened_at=uow.now - timedelta(days=days_open))
        row = {"id": finding.id, "node": "OBJ-1", "dimension": "schedule", "severity": "red", "open": True, "seq": 1}
        row |= {"opened_at": finding.opened_at, "changed_at": uow.now, "content": msgspec.json.encode(finding)}
        await uow.upsert(tables.findings, [row])
        for effect in (None, "<b>faster</b>", "cheaper"):
            await decide(uow, finding, "keep", by="ada", why="it holds", effect=effect)
    await app.settle()
    async with app.database.write() as uow:
        await acknowledge(uow, finding, by="ben")
        await snooze(uow, finding, (uow.now + timedelta(days=9)).date(), why="a freeze")
        await appraise(uow, "OBJ-1", "keep", by="ada", why="on the way", attendees=["ben", "cem"])
    await app.settle()


async def test_decisions_come_by_pages_each_once(tmp_path: Path) -> None:
    """Also those of one moment; a page and its cursor are as described."""
    async with served(tmp_path, 1) as (app, client):
        await answered(app)
        document, path = await document_of(client), "/api/v1/decisions"
        seen: list[Any] = []
        query = {"limit": "1"}
        while True:
            page = document.validate(path, await client.get(path, params=query))
            seen += page["items"]
            if page["next"] is None:
                break
            query["cursor"] = page["next"]
        assert sorted(str(one["effect"]) for one in seen) == ["<b>faster</b>", "None", "cheaper"]
        assert [one["id"] for one in seen] == sorted({one["id"] for one in seen}, reverse=True)
        refused = await client.get(path, params={"cursor": b"d-0".hex()})
        assert refused.status_code == 400
        document.validate(path, refused)


async def findings(client: httpx2.AsyncClient) -> list[dict[str, Any]]:
    document = await document_of(client)
    found = document.validate("/api/v1/findings", await client.get("/api/v1/findings"))["items"]
    tree = document.validate("/api/v1/strategy", await client.get("/api/v1/strategy"))
    assert tree["findings"] == found
    return [dict(one) for one in found]


async def test_a_finding_tells_what_was_answered(tmp_path: Path) -> None:
    """In the list, in the tree, for its node, and on the page, where hostile words are only words."""
    async with served(tmp_path, 1) as (app, client):
        await answered(app)
        (one,) = await findings(client)
        assert (one["acknowledged"]["by"], one["snoozed"]["why"]) == ("ben", "a freeze")
        assert one["decision"]["by"] == "ada"
        path = "/api/v1/nodes/{node}/explain"
        explained = (await document_of(client)).validate(path, await client.get(path.format(node="OBJ-1")))
        assert len(explained["decisions"]) == 3
        assert [one["attendees"] for one in explained["appraisals"]] == [["ben", "cem"]]
        page = (await client.get("/nodes/OBJ-1")).text
        assert "Decided by ada on" in page and "Snoozed to the end of" in page
        assert "<b>faster" not in page


async def test_an_older_decision_is_not_about_a_new_drift(tmp_path: Path) -> None:
    """What was decided before the finding opened again stays in the list of decisions only."""
    async with served(tmp_path, 1) as (app, client):
        await answered(app, days_open=-1)
        (one,) = await findings(client)
        assert one["decision"] is None
        assert len((await client.get("/api/v1/decisions")).json()["items"]) == 3
