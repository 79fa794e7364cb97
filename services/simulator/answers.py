"""Answers of both simulated hosts: JSON quickly written, the world's date on each, page sizes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import msgspec
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.simulator.world import World

PAGE_CAP = "page_cap"
"""A key of the scope's state: no page of this answer may be larger, whatever was asked for."""


def json_answer(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(data), status, headers, media_type="application/json;charset=UTF-8")


def number(text: str | None, default: int) -> int:
    """A number of a query string, or the default where there is none or it is none."""
    try:
        return int(text) if text else default
    except ValueError:
        return default


def page_size(request: Request, wanted: int, most: int) -> int:
    """How many entries this page holds: never more than the host allows, or than a fault lets through."""
    cap = request.scope.get("state", {}).get(PAGE_CAP, most)
    return max(1, min(wanted, most, int(cap)))


def origin(request: Request) -> str:
    """``http://127.0.0.1:PORT``, as the client has called us."""
    return f"{request.url.scheme}://{request.url.netloc}"


class Dated:
    """An application whose answers carry the date of its world, as the clients' only trustworthy clock."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("date", http_date(self._world.now))
            await send(message)

        await self._app(scope, receive, dated)


def http_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0), usegmt=True)
