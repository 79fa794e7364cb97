"""A clock that tests move: sleeping costs nothing and moves it on."""

import asyncio
from datetime import UTC, datetime, timedelta


class FakeClock:
    """Starts on a fixed day; remembers every sleep."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.at

    def now(self) -> datetime:
        return datetime(2026, 11, 23, 10, tzinfo=UTC) + timedelta(seconds=self.at - 1000.0)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds
        await asyncio.sleep(0)
