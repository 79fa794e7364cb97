"""The world's clock, driven by the real one."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from services.simulator.world import World

SPEED = 3600.0
"""Simulated seconds a second for whoever watches: at Acme's pace something moves every few seconds then."""
_TICK = 0.2


async def keep_moving(
    world: World,
    speed: float = SPEED,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Advance the world for ever, by ``speed`` simulated seconds a second. Cancel it to stop."""
    began, start = world.now, monotonic()
    while True:
        world.advance(began + timedelta(seconds=(monotonic() - start) * speed))
        await sleep(_TICK)
