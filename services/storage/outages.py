"""An outage is waited for, by everybody in the same way: longer and longer up to a bound, and never in step."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

import structlog

from services.storage.database import is_outage

log = structlog.get_logger(__name__)
T = TypeVar("T")
_FIRST_S = 0.1
_LONGEST_S = 5.0


def pause_s(attempt: int) -> float:
    """Seconds to wait after the failed attempt of this number (from nought): doubled each time, at most five."""
    return min(_FIRST_S * 2.0 ** min(attempt, 10), _LONGEST_S) * random.uniform(0.5, 1)  # noqa: S311


async def despite_outages(
    step: Callable[[], Awaitable[T]], *, who: str, on_outage: Callable[[], None] = lambda: None
) -> T:
    """Do the step; while the database is away, say so, wait and do it again. Every other error is the caller's.

    The step must be a transaction (or several that may be done again): it is begun anew each time.
    """
    for attempt in count():
        try:
            return await step()
        except Exception as error:
            if not is_outage(error):
                raise
            on_outage()
            log.warning("database.away", who=who, error=type(error).__name__)
        await asyncio.sleep(pause_s(attempt))
    raise AssertionError("unreachable")
