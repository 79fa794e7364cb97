"""The simulated trackers on loopback HTTP: in the running loop, or in a thread of their own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Event, Thread
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

TRANSPORT = "transport"
"""A key of the scope's state: the connection itself, which a fault may cut."""
_PATIENCE = 30.0


class _Wire(H11Protocol):
    """HTTP that hands its connection on to the application."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.app_state = {**self.app_state, TRANSPORT: transport}
        super().connection_made(transport)


def _server(app: ASGIApp) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=_Wire,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=1,
    )
    return _Server(config)


class _Server(uvicorn.Server):
    """A server that leaves the signals of the process alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    # with the protocol named, asyncio turns off the delay of small packets, 40 ms a request
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(256)
    listening.setblocking(False)
    return listening


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{host}:{port}"


@asynccontextmanager
async def serve(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve an application in the running loop, and give its base URL; port 0 takes a free one.

    Whoever asks must not block the loop: blocking clients belong in threads.
    """
    listening = _listen(host, port)
    server = _server(app)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield _url(listening)
    finally:
        server.should_exit = True
        server.force_exit = True
        await serving
        listening.close()


@contextmanager
def serve_in_thread(*apps: ASGIApp, host: str = "127.0.0.1", ports: tuple[int, ...] = ()) -> Iterator[list[str]]:
    """Serve applications from a thread with a loop of its own, and give their base URLs in the same order.

    Raises OSError where a port is taken.
    """
    sockets = [_listen(host, port) for port, _ in zip((*ports, *[0] * len(apps)), apps, strict=False)]
    stop = Event()
    thread = Thread(target=_serve_all, args=(apps, sockets, stop), name="simulator", daemon=True)
    thread.start()
    try:
        yield [_url(listening) for listening in sockets]
    finally:
        stop.set()
        thread.join(_PATIENCE)
        for listening in sockets:
            listening.close()


def _serve_all(apps: tuple[ASGIApp, ...], sockets: list[socket.socket], stop: Event) -> None:
    async def until_stopped() -> None:
        servers = [_server(app) for app in apps]
        serving: list[asyncio.Task[Any]] = [
            asyncio.create_task(server.serve(sockets=[listening]))
            for server, listening in zip(servers, sockets, strict=True)
        ]
        await asyncio.to_thread(stop.wait)
        for server in servers:
            server.should_exit = server.force_exit = True
        await asyncio.gather(*serving)

    asyncio.run(until_stopped())
