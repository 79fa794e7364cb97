"""The feed over HTTP: REST under /api/v1, events, pages, health and metrics."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy import text

from services.feed.access import Tokens, is_loopback
from services.feed.asyncapi import asyncapi
from services.feed.described import answers
from services.feed.icalendar import add_calendar
from services.feed.metrics import metrics_text
from services.feed.pages import add_pages
from services.feed.ports import Figures
from services.feed.rest import add_rest, tagged
from services.feed.sse import add_events
from services.storage import migrate
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
_WAITING = {503: {"description": "What it waits for.", "content": {"text/plain": {"schema": {"type": "string"}}}}}


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
        add_rest(app, database, figures)
        add_events(app, database)
        add_calendar(app, database)
        _add_asyncapi(app)
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

    @app.get("/readyz", response_class=PlainTextResponse, responses=answers() | _WAITING)
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

    @app.get("/metrics", response_class=PlainTextResponse, responses=answers())
    async def metrics() -> Response:
        """Prometheus metrics, a series per node and source, never per item."""
        content, kind = await metrics_text(database)
        return Response(content, media_type=kind)


def _add_asyncapi(app: FastAPI) -> None:
    @app.get("/asyncapi.json", responses=answers(tagged=True))
    async def asyncapi_document(request: Request) -> Response:
        """The events, as AsyncAPI 3."""
        return tagged(request, asyncapi())
