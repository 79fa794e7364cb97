"""HTTP of one process: health and metrics everywhere, the feed and the hooks where they run."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvicorn

from schemas.problems import Problem, unreadable
from services.feed.access import InvalidTokens, Tokens, is_loopback, parse_tokens
from services.feed.api import create_app
from services.ingest.receive import hooks_route
from services.settings import InvalidSettings, Settings
from services.steer.history import PastFigures

if TYPE_CHECKING:
    from services.bootstrap import App


class _Server(uvicorn.Server):
    """A server that leaves the signals of the process alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def tokens_of(settings: Settings, host: str) -> Tokens | None:
    """The tokens that the feed asks for; none on loopback where none are configured.

    Raises InvalidSettings where they cannot be read, and where others could reach us without one.
    """
    named = settings.http.tokens_file
    if named is None:
        if is_loopback(host):
            return None
        problem = f"is needed to serve on {host}: others could read everything; name a file with a token on each line"
        raise InvalidSettings(settings.file, [Problem("http.tokens_file", problem)])
    try:
        return Tokens.of(parse_tokens((settings.folder / named).read_text(encoding="utf-8")))
    except InvalidTokens as error:
        raise InvalidSettings(settings.file, [Problem("http.tokens_file", str(error))]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(settings.file, [Problem("http.tokens_file", unreadable(error))]) from None


@asynccontextmanager
async def serve_http(running: "App", stages: frozenset[str], host: str, port: int) -> AsyncIterator[str]:
    """Serve as long as the context lasts, and give the base URL; port 0 takes a free one."""
    tokens = tokens_of(running.settings, host)
    application = create_app(
        running.database,
        figures=PastFigures(),
        feed="feed" in stages,
        waiting_for=running.waiting_for,
        host=host,
        public_host=urlsplit(running.settings.http.public_url or "").hostname,
        tokens=tokens,
    )
    if "ingest" in stages:
        application.router.routes.append(hooks_route(running.inbox))
    listening = socket.create_server((host, port), reuse_port=False)
    # asyncio leaves it off for a socket of this making, and each answer's body would wait 40 ms behind its headers
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
