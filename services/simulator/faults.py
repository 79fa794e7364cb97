"""Everything that goes wrong between a client and a tracker, on order: by a list, or by lot from a seed."""

import asyncio
import re
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.simulator.answers import PAGE_CAP
from services.simulator.serve import TRANSPORT

Kind = Literal["answer", "pass", "reset", "cut", "chunked_cut", "truncated", "drip", "short_page", "stale", "rewrite"]
Headers = list[tuple[bytes, bytes]]
_MANGLING = ("cut", "chunked_cut", "truncated", "drip")


@dataclass
class Asked:
    """A request as it came, with what became of it. ``status`` is 0 where no answer was begun."""

    at: float  #: seconds of the monotonic clock
    method: str
    path: str
    query: str
    body: bytes = b""
    known: str = ""  #: its If-None-Match
    status: int = 0
    fault: "Fault | None" = None
    early: bool = False  #: it came before a wait that we had asked for was over

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}" + (f"?{self.query}" if self.query else "")


@dataclass(frozen=True, kw_only=True, eq=False)
class Fault:
    """What goes wrong, with which requests, and how often.

    ``when`` is a pattern looked for in ``GET /path?query``, or a test of the request. The first ``skip`` matching
    requests pass; the next ``times`` (None: all) meet the fault. ``hold`` seconds long after it has struck, every
    matching request gets the same answer and is marked as early, whatever ``times`` says. Kinds:

    - ``answer``: ``status``, ``headers`` and ``body`` in place of the tracker's answer
    - ``pass``: the tracker's answer; for ``seconds`` of latency, and for ``act``
    - ``reset``: the connection is cut before any answer
    - ``cut``, ``chunked_cut``: it is cut after ``size`` bytes of the body, with a Content-Length or chunked
    - ``truncated``: the body ends after ``size`` bytes (-1: the half), and the Content-Length says the same
    - ``drip``: the body comes one byte every ``seconds`` (of ``size`` at most, then the connection is cut)
    - ``short_page``: pages hold ``size`` entries at most; nothing is missing from the chain
    - ``stale``: the first answer that this very request was ever given
    - ``rewrite``: the tracker's answer after ``change`` (of its JSON) and with ``headers``; an empty one is taken away

    ``act`` is called after the answer, such as to let an item change while somebody pages.
    """

    when: str | Callable[[Asked], bool]
    kind: Kind
    skip: int = 0
    times: int | None = 1
    hold: float = 0.0
    seconds: float = 0.0
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    size: int = -1
    act: Callable[[], object] | None = None
    change: Callable[[Any], Any] = lambda data: data

    def meant(self, asked: Asked) -> bool:
        return re.search(self.when, asked.line) is not None if isinstance(self.when, str) else self.when(asked)


class Faults:
    """Stands before one or several applications (`around`), lets faults happen and keeps a log of all requests.

    ``by_lot`` decides about requests that no listed fault is meant for. ``monotonic`` is the clock for ``hold``
    and for the log.
    """

    def __init__(
        self,
        faults: Iterable[Fault] = (),
        *,
        by_lot: Callable[[Asked], Fault | None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.asked: list[Asked] = []
        self._faults = list(faults)
        self._by_lot = by_lot
        self._monotonic = monotonic
        self._met: Counter[Fault] = Counter()
        self._held: dict[Fault, float] = {}
        self._first: dict[tuple[str, bytes], tuple[int, Headers, bytes]] = {}

    def around(self, app: ASGIApp) -> ASGIApp:
        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            await self._answer(app, scope, receive, send)

        return faulty

    def add(self, *faults: Fault) -> None:
        self._faults += faults

    def unruly(self, by_lot: Callable[[Asked], Fault | None]) -> None:
        """From now on this lottery decides about requests that no listed fault is meant for."""
        self._by_lot = by_lot

    def clear(self) -> None:
        """From now on nothing goes wrong; the log stays."""
        self._faults.clear()
        self._held.clear()
        self._by_lot = None

    def count(self, pattern: str = "") -> int:
        """How many requests there were whose line, such as ``GET /path?query``, has the pattern."""
        return sum(1 for one in self.asked if re.search(pattern, one.line))

    @property
    def early(self) -> list[Asked]:
        """Requests that came before a wait that we had asked for was over."""
        return [one for one in self.asked if one.early]

    # -- within ------------------------------------------------------------------------------------------------

    async def _answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        query = scope["query_string"].decode("latin-1")
        known = dict(scope["headers"]).get(b"if-none-match", b"").decode("latin-1")
        asked = Asked(self._monotonic(), scope["method"], scope["path"], query, body, known)
        self.asked.append(asked)
        asked.fault = fault = self._choose(asked)

        async def logged(message: Message) -> None:
            if message["type"] == "http.response.start":
                asked.status = message["status"]
            await send(message)

        try:
            if fault is not None and fault.kind == "reset":
                await _cut(scope, receive, reset=True)
            elif fault is not None and fault.kind in _MANGLING:
                answer = await _answer_of(app, scope, _replayed(body))
                asked.status = answer[0]
                await _mangled(fault, *answer, scope, receive, send)
            else:
                await self._let_happen(fault, app, scope, _replayed(body), logged, asked)
        finally:
            if fault is not None and fault.act is not None:
                fault.act()

    def _choose(self, asked: Asked) -> Fault | None:
        for fault, until in self._held.items():
            if asked.at < until and fault.meant(asked):
                asked.early = True
                return fault
        chosen = self._listed(asked) or (self._by_lot(asked) if self._by_lot else None)
        if chosen is not None and chosen.hold:
            self._held[chosen] = asked.at + chosen.hold
        return chosen

    def _listed(self, asked: Asked) -> Fault | None:
        for fault in self._faults:
            met = self._met[fault]
            over = fault.times is not None and met >= fault.skip + fault.times
            if over or not fault.meant(asked):
                continue
            self._met[fault] += 1
            if met >= fault.skip:
                return fault
        return None

    async def _let_happen(
        self, fault: Fault | None, app: ASGIApp, scope: Scope, receive: Receive, send: Send, asked: Asked
    ) -> None:
        if fault is None:
            await self._remember(app, scope, receive, send, asked)
            return
        await asyncio.sleep(fault.seconds)
        match fault.kind:
            case "pass":
                await self._remember(app, scope, receive, send, asked)
            case "answer":
                await _send(send, fault.status, _headers(fault), fault.body)
            case "short_page":
                scope["state"] = {**scope.get("state", {}), PAGE_CAP: fault.size}
                await app(scope, receive, send)
            case "stale":
                known = self._first.get((asked.line, asked.body))
                status, headers, body = known or await _answer_of(app, scope, receive)
                await _send(send, status, headers, body)
            case "rewrite":
                await _send(send, *_rewritten(fault, *await _answer_of(app, scope, receive)))

    async def _remember(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, asked: Asked) -> None:
        if not any(fault.kind == "stale" and fault.meant(asked) for fault in self._faults):
            await app(scope, receive, send)
            return
        status, headers, body = await _answer_of(app, scope, receive)
        self._first.setdefault((asked.line, asked.body), (status, headers, body))
        await _send(send, status, headers, body)


def by_lot(
    seed: int, choices: Sequence[Fault], *, rate: float = 0.1, most: int = 50, apiece: int = 2
) -> Callable[[Asked], Fault | None]:
    """A lottery for `Faults`: of the requests that a choice is meant for, a share ``rate`` meets one of them.

    No more than ``most`` strike in all, and ``apiece`` the very same request, so that a patient client gets through.
    """
    dice = Random(seed)  # noqa: S311 - a simulation, no secret
    struck: Counter[tuple[str, bytes]] = Counter()

    def draw(asked: Asked) -> Fault | None:
        meant = [fault for fault in choices if fault.meant(asked)]
        lot = dice.random()
        if not meant or lot >= rate or struck.total() >= most or struck[asked.line, asked.body] >= apiece:
            return None
        struck[asked.line, asked.body] += 1
        return dice.choice(meant)

    return draw


def _rewritten(fault: Fault, status: int, headers: Headers, body: bytes) -> tuple[int, Headers, bytes]:
    replaced = [name for name, _ in _headers(fault)]
    kept = [(name, value) for name, value in headers if name.lower() not in replaced]
    given = [(name, value) for name, value in _headers(fault) if value]
    changed = msgspec.json.encode(fault.change(msgspec.json.decode(body))) if body else body  # a 304 has none
    return status, [*kept, *given], changed


async def _mangled(
    fault: Fault, status: int, headers: Headers, body: bytes, scope: Scope, receive: Receive, send: Send
) -> None:
    """An answer that stops short, in one of the ways in which it can."""
    size = len(body) // 2 if fault.size < 0 else min(fault.size, len(body))
    bare = [(name, value) for name, value in headers if name.lower() != b"content-length"]
    match fault.kind:
        case "truncated":
            await _send(send, status, headers, body[:size])
            return
        case "chunked_cut":
            start = bare
        case _:
            start = [*bare, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": start})
    if fault.kind == "drip":
        for place in range(size):
            await send({"type": "http.response.body", "body": body[place : place + 1], "more_body": True})
            await asyncio.sleep(fault.seconds)
    else:
        await send({"type": "http.response.body", "body": body[:size], "more_body": True})
    await _cut(scope, receive)


async def _cut(scope: Scope, receive: Receive, *, reset: bool = False) -> None:
    """Close the connection, or reset it with whatever was under way, and wait until it is gone."""
    transport = scope.get("state", {}).get(TRANSPORT)
    if transport is None:
        raise RuntimeError("a connection can only be cut behind serve() or serve_in_thread()")
    if reset:
        linger = struct.pack("ii", 1, 0)  # on, for no time: the peer gets a reset and not an end
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    else:
        transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    bare = [(name, value) for name, value in headers if name.lower() != b"content-length"]
    bare.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": bare})
    await send({"type": "http.response.body", "body": body})


def _headers(fault: Fault) -> Headers:
    return [(name.lower().encode(), value.encode()) for name, value in fault.headers.items()]


async def _read(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _replayed(body: bytes) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    return receive


async def _answer_of(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[int, Headers, bytes]:
    """What the tracker would have answered."""
    status, headers, parts = 500, list[tuple[bytes, bytes]](), list[bytes]()

    async def keep(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message["headers"])
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, keep)
    return status, headers, b"".join(parts)
