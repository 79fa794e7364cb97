"""The feed over HTTP: REST under /api/v1, events, pages, health and metrics."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.strategy import RUN
from services.feed import reading
from services.feed.access import Tokens, is_loopback
from services.feed.asyncapi import asyncapi
from services.feed.exports import alignments_of
from services.feed.metrics import metrics_text
from services.feed.pages import add_pages
from services.feed.ports import Figures
from services.feed.shapes import item_json, milestone_json, node_json, plain
from services.feed.sse import add_events
from services.ledger.postings import UNALIGNED
from services.ledger.strategies import current_strategy
from services.storage import migrate, tables
from services.storage.database import Database

_CHALLENGE = 'Bearer realm="courseline", Basic realm="courseline", charset="UTF-8"'
_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_BAD_CURSOR = "this cursor was not given by us; begin without one"
Limit = Annotated[int, Query(ge=1, le=500)]


def create_app(
    database: Database,
    *,
    figures: Figures,
    feed: bool = True,
    waiting_for: Callable[[], str | None] = lambda: None,
    host: str = "127.0.0.1",
    public_host: str | None = None,
    tokens: Tokens | None = None,
) -> FastAPI:
    """The HTTP side of a process; without `feed`, health and metrics only.

    With `tokens` everything asks for one but ``/livez``, and ``POST /hooks/…``, whose senders sign instead.

    Bound to loopback it answers loopback names and `public_host` only, so that no page elsewhere can reach it.
    """
    app = FastAPI(title="Courseline", version="1", docs_url=None, redoc_url=None)
    app.state.database = database
    local_only = is_loopback(host)

    @app.middleware("http")
    async def guard(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        name = (request.url.hostname or "").lower()
        response: Response
        if local_only and not is_loopback(name) and name != public_host:
            response = JSONResponse(_problem(421, f"this service is not {name}", "use http://127.0.0.1"), 421)
        elif tokens and not _is_open(request) and not tokens.admits(request.headers.get("authorization")):
            fix = "send `Authorization: Bearer TOKEN` with one of `http.tokens_file`; a browser asks for it as password"
            problem = _problem(401, "a token is needed, and none that is known was sent", fix)
            response = JSONResponse(problem, 401, {"WWW-Authenticate": _CHALLENGE, "Cache-Control": "no-store"})
        else:
            response = await answer(request)
        for header, value in _HEADERS.items():
            response.headers.setdefault(header, value)
        return response

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return JSONResponse(_problem(error.status_code, str(error.detail)), error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:])
        return JSONResponse(_problem(400, f"{name}: {first['msg']}", "/openapi.json says what is taken"), 400)

    _add_health(app, database, waiting_for)
    if feed:
        _add_rest(app, database, figures)
        add_events(app, database)
        add_pages(app, database, figures)
    return app


def _is_open(request: Request) -> bool:
    path = request.url.path
    return path == "/livez" or (request.method == "POST" and path.startswith("/hooks/"))


def _problem(status: int, message: str, fix: str = "") -> dict[str, Any]:
    return {"error": {"status": status, "message": message, "fix": fix}}


def _add_health(app: FastAPI, database: Database, waiting_for: Callable[[], str | None]) -> None:
    @app.get("/livez", response_class=PlainTextResponse)
    async def livez() -> str:
        """The process is alive."""
        return "ok\n"

    @app.get("/readyz", response_class=PlainTextResponse)
    async def readyz() -> Response:
        """Everything it needs is there: the database, its migrations, the stream."""
        away = waiting_for()
        try:
            async with database.read() as connection:
                await connection.execute(text("SELECT 1"))
            if await migrate.current(database) != migrate.head():
                away = "the database's migrations (`courseline db upgrade`)"
        except Exception:
            away = "the database"
        return PlainTextResponse("ok\n" if away is None else f"waiting for {away}\n", 200 if away is None else 503)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus metrics, a series per node and source, never per item."""
        content, kind = await metrics_text(database)
        return Response(content, media_type=kind)


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


def _answer(request: Request, data: Any) -> Response:
    """JSON with an ETag; 304 where the reader has it already."""
    body = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if etag in known:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _add_rest(app: FastAPI, database: Database, figures: Figures) -> None:
    async def zone_and_nodes(connection: AsyncConnection) -> tuple[Any, dict[str, Any]]:
        strategy = await current_strategy(connection)
        if strategy is None:
            raise HTTPException(404, "no strategy is applied yet; `courseline apply` makes strategy.yaml current")
        return strategy.zone, await reading.nodes(connection, strategy)

    def known(nodes: dict[str, Any], node: str) -> None:
        if node not in nodes:
            raise HTTPException(404, f"there is no node {node[:100]!r}; known are {', '.join(sorted(nodes))[:500]}")

    async def at(connection: AsyncConnection, as_of: str | None) -> tuple[datetime, dict[str, Any]]:
        zone, nodes = await zone_and_nodes(connection)
        moment = moment_of(as_of, database.now(), zone)
        if as_of is not None:
            then = await figures.as_of(connection, moment)
            nodes = {
                name: nodes[name] | node_json(found, nodes[name]["kind"], [])
                for name, found in then.items()
                if name in nodes
            }
        return moment, nodes

    @app.get("/api/v1/strategy")
    async def strategy(request: Request, as_of: str | None = None) -> Response:
        """The tree with everything."""
        async with database.read() as connection:
            _, nodes = await at(connection, as_of)
            return _answer(request, await reading.strategy_tree(connection, nodes))

    @app.get("/api/v1/nodes/{node}")
    async def one_node(request: Request, node: str, as_of: str | None = None) -> Response:
        """One node's figures."""
        async with database.read() as connection:
            _, nodes = await at(connection, as_of)
            known(nodes, node)
            return _answer(request, nodes[node])

    @app.get("/api/v1/nodes/{node}/burnup")
    async def burnup(request: Request, node: str, as_of: str | None = None) -> Response:
        """Scope, done and the planned curve, by day, with the five counters of scope change."""
        async with database.read() as connection:
            moment, nodes = await at(connection, as_of)
            known(nodes, node)
            return _answer(request, plain(await figures.burnup(connection, node, moment)))

    @app.get("/api/v1/nodes/{node}/forecast")
    async def forecast(request: Request, node: str, as_of: str | None = None) -> Response:
        """The finish as a distribution over week ends."""
        async with database.read() as connection:
            moment, nodes = await at(connection, as_of)
            known(nodes, node)
            return _answer(request, plain(await figures.forecast(connection, node, moment)))

    @app.get("/api/v1/nodes/{node}/explain")
    async def explain(request: Request, node: str) -> Response:
        """Where a node's figures come from."""
        async with database.read() as connection:
            _, nodes = await zone_and_nodes(connection)
            known(nodes, node)
            return _answer(request, await reading.explanation(connection, node))

    @app.get("/api/v1/items")
    async def items(
        request: Request,
        node: str | None = None,
        aligned: bool | None = None,
        source: str | None = None,
        cursor: str | None = None,
        limit: Limit = 50,
    ) -> Response:
        """Items by uid, a page at a time; of a node, of a source, or those that serve nothing."""
        table, rows_of = tables.items.c, tables.alignments.c
        statement = select(tables.items).order_by(table.uid).limit(limit + 1)
        if cursor is not None:
            statement = statement.where(table.uid > _cursor(cursor))
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
                known((await zone_and_nodes(connection))[1], node)
            rows = (await connection.execute(statement)).all()
            shares = await alignments_of(connection, [row.uid for row in rows[:limit]])
        found = [item_json(row, shares.get(row.uid, [])) for row in rows[:limit]]
        return _answer(request, _list(found, rows[limit - 1].uid if len(rows) > limit else None))

    @app.get("/api/v1/items/{ref:path}")
    async def one_item(request: Request, ref: str) -> Response:
        """One item, by uid, key or former key."""
        async with database.read() as connection:
            found = await reading.item(connection, ref)
        if found is None:
            raise HTTPException(404, f"no item is called {ref[:100]!r}")
        return _answer(request, found)

    @app.get("/api/v1/milestones")
    async def milestones(request: Request, cursor: str | None = None, limit: Limit = 50) -> Response:
        """Milestones by uid, a page at a time."""
        table = tables.milestones.c
        statement = select(tables.milestones).order_by(table.uid).limit(limit + 1)
        if cursor is not None:
            statement = statement.where(table.uid > _cursor(cursor))
        async with database.read() as connection:
            rows = (await connection.execute(statement)).all()
        found = [milestone_json(row) for row in rows[:limit]]
        return _answer(request, _list(found, rows[limit - 1].uid if len(rows) > limit else None))

    @app.get("/api/v1/findings")
    async def findings(request: Request, cursor: str | None = None, limit: Limit = 50) -> Response:
        """Findings, the open and severe ones first."""
        async with database.read() as connection:
            found = await reading.findings(connection)
        start = 0
        if cursor is not None:
            last = _cursor(cursor)
            start = next((at for at, one in enumerate(found, 1) if one["id"] == last), 0)
            if not start:
                raise HTTPException(400, _BAD_CURSOR)
        page = found[start : start + limit]
        more = start + limit < len(found)
        return _answer(request, _list(page, page[-1]["id"] if more else None))

    @app.get("/api/v1/decisions")
    async def decisions(request: Request) -> Response:
        """Decisions on findings; none can be recorded yet."""
        return _answer(request, _list([], None))

    @app.get("/api/v1/sources")
    async def sources(request: Request) -> Response:
        """Sources: state, last complete pass, gaps."""
        async with database.read() as connection:
            return _answer(request, _list(await reading.sources(connection), None))

    @app.get("/asyncapi.json")
    async def asyncapi_document(request: Request) -> Response:
        """The events, as AsyncAPI 3."""
        return _answer(request, asyncapi())


def _list(found: list[Any], last: str | None) -> dict[str, Any]:
    return {"items": found, "next": None if last is None else last.encode().hex()}


def _cursor(text_: str) -> str:
    try:
        return bytes.fromhex(text_).decode()
    except (ValueError, UnicodeDecodeError):
        raise HTTPException(400, _BAD_CURSOR) from None
