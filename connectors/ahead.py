"""Work in several lanes: pages read ahead of the one who stores them, and answers awaited side by side."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
U = TypeVar("U")


async def ahead(found: AsyncIterator[T], most: int) -> AsyncGenerator[T, None]:
    """The same in the same order, asked for up to ``most`` ahead. An error comes where it happened, not before."""
    ready: asyncio.Queue[list[T]] = asyncio.Queue(most)

    async def fill() -> None:
        async for one in found:
            await ready.put([one])

    filling = asyncio.create_task(fill())
    filling.add_done_callback(lambda _: _wake(ready))
    try:
        while True:
            if not (ready.empty() and filling.done()):
                for one in await ready.get():
                    yield one
            else:
                filling.result()
                return
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)


def _wake(ready: "asyncio.Queue[list[T]]") -> None:
    """Let whoever waits for more see that there is no more; in a full queue nobody waits."""
    if not ready.full():
        ready.put_nowait([])


async def both(one: Coroutine[Any, Any, T], other: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Two answers of different kinds, side by side."""
    asked: list[Coroutine[Any, Any, Any]] = [one, other]
    first, second = await together(asked)
    return first, second


async def together(asked: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All of them side by side; when one fails, none goes on unseen."""
    tasks = [asyncio.create_task(one) for one in asked]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
