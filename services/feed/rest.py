"""REST under /api/v1: figures of any day, items and milestones by pages, findings and sources."""

import hashlib
import json
from datetime import UTC, date, datetime, time
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas import rest
from schemas.strategy import RUN
from services.feed import reading
from services.feed.answered import decisions as decisions_after
from services.feed.described import answers
from services.feed.exports import alignments_of
from services.feed.ports import Figures
from services.feed.shapes import item_json, milestone_json, node_json, plain
from services.ledger.postings import UNALIGNED
from services.ledger.strategies import current_strategy
from services.storage import tables
from services.storage.database import Database

_BAD_CURSOR = "this cursor was not given by us; begin without one"
AsOf = Annotated[str | None, Query(description="A day (its end counts) or a time; now without it.")]
Cursor = Annotated[str | None, Query(description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]


def add_rest(app: FastAPI, database: Database, figures: Figures) -> None:
    """Add everything under ``/api/v1`` but the events."""
    _add_nodes(app, database, figures)
    _add_items(app, database)
    _add_lists(app, database)


def moment_of(as_of: str | None, now: datetime, zone: Any) -> datetime:
    """The moment that ``?as_of=`` names: a day's end in the calendar's zone, or an instant. Raises 400."""
    if as_of is None:
        return now
    try:
        if len(as_of) == 10:
            return min(datetime.combine(date.fromisoformat(as_of), time.max, zone).astimezone(UTC), now)
        found = datetime.fromisoformat(as_of)
        if found.tzinfo is not None:
            return min(found.astimezone(UTC), now)
    except (ValueError, OverflowError):
        raise HTTPException(400, "as_of must be a day (2026-11-23) or a time (2026-11-23T10:00:00Z)") from None
    raise HTTPException(400, "as_of has no zone; end it with Z")


def tagged(request: Request, data: Any) -> Response:
    """JSON with an ETag; 304 where the reader has it already."""
    return tagged_bytes(request, json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())


def tagged_bytes(request: Request, body: bytes, media: str = "application/json") -> Response:
    """A body with an ETag; 304 where the reader has it already."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if etag in known:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media, headers=headers)


async def _zone_and_nodes(connection: AsyncConnection) -> tuple[Any, dict[str, Any]]:
    strategy = await current_strategy(connection)
    if strategy is None:
        raise HTTPException(404, "no strategy is applied yet; `courseline apply` makes strategy.yaml current")
    return strategy.zone, await reading.nodes(connection, strategy)


def _known(nodes: dict[str, Any], node: str) -> dict[str, Any]:
    if node not in nodes:
        raise HTTPException(404, f"there is no node {node[:100]!r}; known are {', '.join(sorted(nodes))[:500]}")
    found: dict[str, Any] = nodes[node]
    return found


def _add_nodes(app: FastAPI, database: Database, figures: Figures) -> None:
    async def at(connection: AsyncConnection, as_of: str | None) -> tuple[datetime, dict[str, Any]]:
        """The moment that is asked for, in the calendar's zone, and every node's figures as of it."""
        zone, nodes = await _zone_and_nodes(connection)
        moment = moment_of(as_of, database.now(), zone)
        if as_of is not None:
            then = await figures.as_of(connection, moment)
            nodes = {
                name: nodes[name] | node_json(found, nodes[name]["kind"], [])
                for name, found in then.items()
                if name in nodes
            }
        return moment.astimezone(zone), nodes

    @app.get("/api/v1/strategy", responses=answers(rest.Strategy, tagged=True))
    async def strategy(request: Request, as_of: AsOf = None) -> Response:
        """The tree with everything."""
        async with database.read() as connection:
            _, nodes = await at(connection, as_of)
            return tagged(request, await reading.strategy_tree(connection, nodes))

    @app.get("/api/v1/nodes/{node}", responses=answers(rest.Node, tagged=True))
    async def one_node(request: Request, node: str, as_of: AsOf = None) -> Response:
        """One node's figures."""
        async with database.read() as connection:
            _, nodes = await at(connection, as_of)
            return tagged(request, _known(nodes, node))

    @app.get("/api/v1/nodes/{node}/burnup", responses=answers(rest.NodeBurnup, tagged=True))
    async def burnup(request: Request, node: str, as_of: AsOf = None) -> Response:
        """Scope, done and the planned curve, by day, with the five counters of scope change."""
        async with database.read() as connection:
            moment, nodes = await at(connection, as_of)
            named = _known(nodes, node)
            found = plain(await figures.burnup(connection, node, moment))
        progress = named["progress"]
        told = {name: named[name] for name in ("id", "as_of", "stale")} | {"n": progress["n"]}
        return tagged(request, told | {"reason": progress["reason"]} | found)

    @app.get("/api/v1/nodes/{node}/forecast", responses=answers(rest.NodeFinish, tagged=True))
    async def forecast(request: Request, node: str, as_of: AsOf = None) -> Response:
        """The finish as a distribution over week ends."""
        async with database.read() as connection:
            moment, nodes = await at(connection, as_of)
            named = _known(nodes, node)
            found = plain(await figures.forecast(connection, node, moment))
        told = {name: named[name] for name in ("id", "as_of", "stale")}
        return tagged(request, told | {"unit": named["progress"]["unit"]} | found)

    @app.get("/api/v1/nodes/{node}/explain", responses=answers(rest.NodeExplained, tagged=True))
    async def explain(request: Request, node: str, as_of: AsOf = None) -> Response:
        """Where a node's figures come from."""
        async with database.read() as connection:
            moment, nodes = await at(connection, as_of)
            return tagged(request, await reading.node_explained(connection, _known(nodes, node), moment.date()))


def _add_items(app: FastAPI, database: Database) -> None:
    @app.get("/api/v1/items", responses=answers(rest.Items, tagged=True))
    async def items(
        request: Request,
        node: str | None = None,
        aligned: bool | None = None,
        source: str | None = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Response:
        """Items by uid, a page at a time; of a node, of a source, or those that serve nothing."""
        table, rows_of = tables.items.c, tables.alignments.c
        statement = select(tables.items).order_by(table.uid).limit(limit + 1)
        if cursor is not None:
            statement = statement.where(table.uid > cursor_of(cursor))
        if source is not None:
            statement = statement.where(table.source == source)
        wanted = node if node is not None else UNALIGNED
        in_force = select(rows_of.item).where((rows_of.node == wanted) & rows_of.valid_to.is_(None))
        if node is not None or aligned is False:
            statement = statement.where(table.uid.in_(in_force))
        elif aligned is True:
            statement = statement.where(table.uid.not_in(in_force))
        async with database.read() as connection:
            if node is not None and node != RUN:
                _known((await _zone_and_nodes(connection))[1], node)
            rows = (await connection.execute(statement)).all()
            shares = await alignments_of(connection, [row.uid for row in rows[:limit]])
        found = [item_json(row, shares.get(row.uid, [])) for row in rows[:limit]]
        return tagged(request, page_of(found, rows[limit - 1].uid if len(rows) > limit else None))

    @app.get("/api/v1/items/{ref:path}", responses=answers(rest.LinkedItem, tagged=True))
    async def one_item(request: Request, ref: str) -> Response:
        """One item, by uid, key or former key."""
        async with database.read() as connection:
            found = await reading.item(connection, ref)
        if found is None:
            raise HTTPException(404, f"no item is called {ref[:100]!r}")
        return tagged(request, found)


def _add_lists(app: FastAPI, database: Database) -> None:
    @app.get("/api/v1/milestones", responses=answers(rest.Milestones, tagged=True))
    async def milestones(request: Request, cursor: Cursor = None, limit: Limit = 50) -> Response:
        """Milestones by uid, a page at a time."""
        table = tables.milestones.c
        statement = select(tables.milestones).order_by(table.uid).limit(limit + 1)
        if cursor is not None:
            statement = statement.where(table.uid > cursor_of(cursor))
        async with database.read() as connection:
            rows = (await connection.execute(statement)).all()
        found = [milestone_json(row) for row in rows[:limit]]
        return tagged(request, page_of(found, rows[limit - 1].uid if len(rows) > limit else None))

    @app.get("/api/v1/findings", responses=answers(rest.Findings, tagged=True))
    async def findings(request: Request, cursor: Cursor = None, limit: Limit = 50) -> Response:
        """Findings, the open and severe ones first."""
        async with database.read() as connection:
            found = await reading.findings(connection)
        start = 0
        if cursor is not None:
            last = cursor_of(cursor)
            start = next((at for at, one in enumerate(found, 1) if one["id"] == last), 0)
            if not start:
                raise HTTPException(400, _BAD_CURSOR)
        page = found[start : start + limit]
        more = start + limit < len(found)
        return tagged(request, page_of(page, page[-1]["id"] if more else None))

    @app.get("/api/v1/decisions", responses=answers(rest.Decisions, tagged=True))
    async def decisions(request: Request, cursor: Cursor = None, limit: Limit = 50) -> Response:
        """Decisions about findings, the latest first, a page at a time."""
        async with database.read() as connection:
            found = await decisions_after(connection, limit + 1, None if cursor is None else cursor_of(cursor))
        if found is None:
            raise HTTPException(400, _BAD_CURSOR)
        page = found[:limit]
        return tagged(request, page_of(page, page[-1]["id"] if len(found) > limit else None))

    @app.get("/api/v1/sources", responses=answers(rest.Sources, tagged=True))
    async def sources(request: Request) -> Response:
        """Sources: state, last complete pass, gaps."""
        async with database.read() as connection:
            return tagged(request, page_of(await reading.sources(connection), None))


def page_of(found: list[Any], last: str | None) -> dict[str, Any]:
    """A page of a list; ``last`` is what the next one begins after, None where this is the last."""
    return {"items": found, "next": None if last is None else last.encode().hex()}


def cursor_of(text: str) -> str:
    """What a cursor stands for. Raises 400."""
    try:
        return bytes.fromhex(text).decode()
    except (ValueError, UnicodeDecodeError):
        raise HTTPException(400, _BAD_CURSOR) from None
