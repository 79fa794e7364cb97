"""HTTP of one process: health and metrics everywhere, the feed where it runs."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvicorn

from services.feed.api import create_app
from services.steer.history import PastFigures

if TYPE_CHECKING:
    from services.bootstrap import App


class _Server(uvicorn.Server):
    """A server that leaves the signals of the process alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve_http(running: "App", stages: frozenset[str], host: str, port: int) -> AsyncIterator[str]:
    """Serve as long as the context lasts, and give the base URL; port 0 takes a free one."""
    application = create_app(
        running.database,
        figures=PastFigures(),
        feed="feed" in stages,
        waiting_for=running.waiting_for,
        host=host,
        public_host=urlsplit(running.settings.http.public_url or "").hostname,
    )
    listening = socket.create_server((host, port), reuse_port=False)
    config = uvicorn.Config(application, log_config=None, access_log=False, server_header=False, lifespan="off",
                            timeout_graceful_shutdown=2)  # fmt: skip
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        name = f"[{host}]" if ":" in host else host
        yield f"http://{name}:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listening.close()
