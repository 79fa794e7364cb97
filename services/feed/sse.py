"""Public events as they happen, over server-sent events, resumable by their position in the log."""

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException, Query, Request, Response
from sqlalchemy import func, select
from sse_starlette import EventSourceResponse, ServerSentEvent

from schemas.wire import TOPICS
from services.feed.described import answers
from services.storage import tables
from services.storage.database import Database, woken

_PUBLIC = tuple(topic.name for topic in TOPICS if topic.public)
_CHUNK = 200
_POSITION = re.compile(r"[0-9]{1,18}", re.ASCII)
_LOOK_AGAIN_S = 0.5


class _Events(Response):
    """For the OpenAPI document: sse_starlette's class does not tell its media type."""

    media_type = "text/event-stream"


def add_events(app: FastAPI, database: Database) -> None:
    """Add ``/api/v1/events``."""

    @app.get("/api/v1/events", response_class=_Events, responses=answers())
    async def events(
        request: Request,
        topic: Annotated[list[str] | None, Query()] = None,
        node: str | None = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> EventSourceResponse:
        """Public events from now on, or after ``Last-Event-ID``; ``reset`` says that some were missed for good."""
        topics = tuple(topic) if topic else _PUBLIC
        if not set(topics) <= set(_PUBLIC):
            raise HTTPException(400, f"topics are {', '.join(_PUBLIC)}")
        if last_event_id is not None and _POSITION.fullmatch(last_event_id) is None:
            raise HTTPException(400, "Last-Event-ID must be one that was given by us")
        start = int(last_event_id) if last_event_id is not None else await _end(database)
        return EventSourceResponse(_stream(database, topics, node, start, last_event_id is not None), ping=15)


async def _end(database: Database) -> int:
    async with database.read() as connection:
        return (await connection.execute(select(func.max(tables.log.c.position)))).scalar() or 0


async def _stream(
    database: Database, topics: tuple[str, ...], node: str | None, position: int, resumed: bool
) -> AsyncIterator[ServerSentEvent]:
    if resumed and await _is_forgotten(database, position):
        position = await _end(database)
        yield ServerSentEvent(id=str(position), event="reset", data="{}")
    while True:
        ticket = database.appended.ticket()
        rows = await _after(database, topics, node, position)
        for row in rows:
            position = row.position
            yield ServerSentEvent(id=str(row.position), event=row.type, data=row.value.decode())
        if len(rows) < _CHUNK:
            await woken(ticket, _LOOK_AGAIN_S)


async def _is_forgotten(database: Database, position: int) -> bool:
    async with database.read() as connection:
        ends = select(func.min(tables.log.c.position), func.max(tables.log.c.position))
        first, last = (await connection.execute(ends)).one()
    # A position beyond the end was given by another log: of a database that was since restored or begun anew.
    return position > (last or 0) or (first is not None and position < first - 1)


async def _after(database: Database, topics: tuple[str, ...], node: str | None, position: int) -> list[Any]:
    log = tables.log.c
    statement = select(log.position, log.type, log.value).where((log.position > position) & log.topic.in_(topics))
    if node is not None:
        statement = statement.where(log.key == node)
    async with database.read() as connection:
        return list(await connection.execute(statement.order_by(log.position).limit(_CHUNK)))
