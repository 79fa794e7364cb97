"""One budget per credential: how fast we may ask, and what we must wait for."""

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import IntEnum
from typing import Protocol, TypeVar

from connectors.base import RateLimited, Retriable, Spared, Unreachable

T = TypeVar("T")

#: Where a tracker says "wait" and not how long.
DEFAULT_WAIT_S = 60.0
#: However long it says: after this we ask again, and say that we cut it short.
LONGEST_WAIT_S = 3600.0
#: A wait up to this is sat out inside a pass; a longer one ends the pass, which goes on from its checkpoint.
LONGEST_SAT_OUT_S = 900.0
TRIES = 6
#: This share of a budget is kept for live work: once no more is left of it, all else waits for the next one.
KEPT_SHARE = 0.1
_KEPT = "the last tenth of the requests is kept for live work"


class Priority(IntEnum):
    """Who goes first when lanes are short."""

    HINT = 0
    POLL = 1
    HISTORY = 2
    DEEP_POLL = 3
    CENSUS = 4
    BACKFILL = 5

    @property
    def live(self) -> bool:
        """Whether somebody waits for it; what is not can wait for the tracker's next budget."""
        return self <= Priority.HISTORY


class Clock(Protocol):
    """Time as the pacer sees it; tests hand in one of their own."""

    def monotonic(self) -> float: ...

    def now(self) -> datetime: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def retry_after(value: str | None, now: datetime) -> float:
    """Seconds to wait by a ``Retry-After`` header: seconds or an HTTP date (RFC 9110, section 10.2.3).

    At least 1 s and at most an hour; a minute where it is missing or says nothing sensible.
    """
    seconds = DEFAULT_WAIT_S
    if value is not None:
        text = value.strip()
        try:
            seconds = float(int(text))
        except ValueError:
            try:
                seconds = (parsedate_to_datetime(text).astimezone(UTC) - now).total_seconds()
            except (ValueError, TypeError, OverflowError):
                return DEFAULT_WAIT_S
            return min(max(seconds, 1.0), LONGEST_WAIT_S)
        if seconds < 0:
            return DEFAULT_WAIT_S
    return min(max(seconds, 1.0), LONGEST_WAIT_S)


class Pacer:
    """Lanes, rate and waits of one credential. Lives in the event loop; the requests run in threads.

    ``concurrency`` lanes may be used at once; ``rate`` requests a second may begin (None: as fast as the lanes
    allow). A scope ("*" for all, or an endpoint's name) that is parked gets no request until its wait has passed.
    Of those who wait for a lane, the one of the first priority gets it; within one, who came first.
    """

    def __init__(self, *, concurrency: int = 4, rate: float | None = None, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self._free = concurrency
        self._interval = 1.0 / rate if rate else 0.0
        self._next_start = 0.0
        self._parked: dict[str, tuple[float, str]] = {}
        self._kept_until = 0.0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self.requests = 0

    def park(self, seconds: float, reason: str, scope: str = "*") -> None:
        """Send nothing in a scope for so long; a longer wait that is already known stands."""
        until = self.clock.monotonic() + seconds
        if until > self._parked.get(scope, (0.0, ""))[0]:
            self._parked[scope] = (until, reason)

    def keep(self, limit: int, left: int, reset_in: float) -> None:
        """What the tracker says of its budget: ``left`` of ``limit`` requests for so many seconds.

        Where that is a tenth or less, it is kept for live work. What cannot be true changes nothing.
        """
        if limit <= 0 or not 0 <= left <= limit or not 0 < reset_in <= LONGEST_WAIT_S + 60:
            return
        self._kept_until = self.clock.monotonic() + reset_in + 1 if left <= limit * KEPT_SHARE else 0.0

    def wait_for(self, scope: str = "*", priority: Priority = Priority.POLL) -> tuple[float, str]:
        """Seconds until a request in this scope may start, and why; (0, "") if it may now."""
        now = self.clock.monotonic()
        waits = [self._parked[name] for name in {"*", scope} if name in self._parked]
        waits += [] if priority.live else [(self._kept_until, _KEPT)]
        until, reason = max(waits, default=(0.0, ""))
        return (until - now, reason) if until > now else (0.0, "")

    @property
    def parked_until(self) -> datetime | None:
        """When the longest wait ends, for those who look at the source's state."""
        longest = max((until for until, _ in self._parked.values()), default=0.0) - self.clock.monotonic()
        return self.clock.now() + timedelta(seconds=longest) if longest > 0 else None

    @asynccontextmanager
    async def slot(self, scope: str = "*", priority: Priority = Priority.POLL) -> AsyncIterator[None]:
        """A lane for one request, when one is free, the rate allows it and no wait stands against it.

        Raises RateLimited where the wait is too long to sit out, Spared where live work need not wait so long.
        """
        while True:
            await self._take(priority)
            kept, reason = self.wait_for(scope, priority)
            if reason != _KEPT:
                break
            self._give_back()  # others may ask meanwhile
            if kept > LONGEST_SAT_OUT_S:
                raise Spared(self.clock.now() + timedelta(seconds=kept), reason)
            await self.clock.sleep(kept)
        try:
            await self._start(scope, priority)
            yield
        finally:
            self._give_back()

    async def _take(self, priority: Priority) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._order), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back()
            raise

    def _give_back(self) -> None:
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    async def _start(self, scope: str, priority: Priority) -> None:
        while (wait := self.due(scope, priority)) > 0:
            self.sit_out(scope, priority)
            await self.clock.sleep(wait)
        self.begin()

    def sit_out(self, scope: str, priority: Priority) -> None:
        """Raises RateLimited where the wait is too long to be sat out; Spared where live work need not."""
        parked, reason = self.wait_for(scope, priority)
        if parked > LONGEST_SAT_OUT_S:
            kind = Spared if reason == _KEPT else RateLimited
            raise kind(self.clock.now() + timedelta(seconds=parked), reason)

    def due(self, scope: str = "*", priority: Priority = Priority.POLL) -> float:
        """Seconds until a request in this scope may begin, by the waits and by the rate; 0 if it may now."""
        return max(self.wait_for(scope, priority)[0], self._next_start - self.clock.monotonic(), 0.0)

    def begin(self) -> None:
        """A request that was due begins now."""
        self._next_start = self.clock.monotonic() + self._interval
        self.requests += 1


class Strikes:
    """Limits in a row: each that comes after the wait of the one before asks for a longer one, so that a limit that
    never ends is soon a wait that ends the pass."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = 0
        self._free_at = 0.0

    def wait(self, told: float, sent: float, *, least: float = 1.0) -> float:
        """Seconds to wait after a limit that answered a request sent at ``sent`` (monotonic) and told so many."""
        if sent >= self._free_at:  # of several in flight at once, one is a strike
            self._count += 1
        seconds = min(max(told, least * 2.0 ** min(self._count - 1, 12)), LONGEST_WAIT_S)
        self._free_at = max(self._free_at, self._clock.monotonic() + seconds)
        return seconds

    def over(self, sent: float) -> None:
        """A request that was sent after the wait was answered."""
        if sent >= self._free_at:
            self._count = 0


async def persistently(
    pacer: Pacer,
    attempt: Callable[[], Awaitable[T]],
    *,
    scope: str = "*",
    priority: Priority = Priority.POLL,
    tries: int = TRIES,
) -> T:
    """What the attempt gives, tried again after Retriable errors with growing, jittered pauses, ``tries`` times.

    A RateLimited answer is no failed try: its wait is sat out exactly, in its scope, however often it is asked for
    (the attempt itself parks the pacer). When the tries are used up, Unreachable is raised with the last reason.
    """
    failures = 0
    while True:
        try:
            async with pacer.slot(scope, priority):
                return await attempt()
        except Spared:
            raise
        except RateLimited as limited:
            if (limited.until - pacer.clock.now()).total_seconds() > LONGEST_SAT_OUT_S:
                raise
        except Unreachable:
            raise
        except Retriable as error:
            failures += 1
            if failures >= tries:
                raise Unreachable(f"{error} (tried {failures} times)") from error
            await pacer.clock.sleep(min(0.5 * 2 ** (failures - 1), 30.0) * random.uniform(0.5, 1.0))  # noqa: S311
