"""The past of a project: windows of creation, several at once, until what was read agrees with what was counted."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, Any

from connectors.base import (
    AuthenticationFailed,
    ConnectorError,
    Container,
    Fatal,
    Page,
    RateLimited,
    Retriable,
    Skippable,
)
from connectors.jira import jql, windows
from connectors.jira.client import Refused
from connectors.jira.flavour import Step
from connectors.jira.progress import Checkpoint, Window
from connectors.pacing import Priority

if TYPE_CHECKING:
    from connectors.jira.sync import JiraConnector

#: So often windows are read that give less than is counted, each time in halves.
_READINGS = 4


async def backfill(
    reader: "JiraConnector", container: Container, state: Checkpoint, started: datetime, total: int | None
) -> AsyncGenerator[Page, None]:
    """All issues of a project, as far as ``state`` does not know them yet; it goes on in ``state``.

    ``started`` is the site's time at the start of this pass, ``total`` a count of the issues, where it was taken.
    """
    bounded = any(window.start is not None or window.end is not None for window in state.windows)
    if bounded and not await reader.flavour.moments.exact(container.id):
        state.windows = []  # they were bounded by epochs, which this site does not read (any more)
    if not state.windows:
        state.began = started
        state.total = total if total is not None else await count(reader, container)
        state.windows = await windows.planned(reader, container, state.total)
        yield reader.page(container, state, [])
    for _ in range(_READINGS):
        async with aclosing(_lanes(reader, container, state)) as pages:
            async for page in pages:
                yield page
        seen, again = sum(window.seen for window in state.windows), await windows.short(reader, container, state)
        if not again:
            return
        kept = [window for window in state.windows if window not in again]
        state.windows = kept + await windows.to_read_again(reader, container, again)
        yield reader.page(container, state, [])
    raise Retriable(
        f"the search ended normally after {seen} of about {state.total} issues, {_READINGS} times",
        source=reader.source, container=container.key,
    )  # fmt: skip


async def count(reader: "JiraConnector", container: Container) -> int:
    """How many issues a project has, as far as the site can tell."""
    return await reader.flavour.count(jql.window(container.id, None, None))


async def _lanes(reader: "JiraConnector", container: Container, state: Checkpoint) -> AsyncGenerator[Page, None]:
    """All open windows at once, as many as the credential's lanes let through; pages in order of arrival."""
    waiting = [window for window in state.windows if not window.done]
    queue: asyncio.Queue[tuple[Window, list[Any], Step] | None] = asyncio.Queue(maxsize=reader.config.concurrency)

    async def fill(window: Window) -> None:
        async with aclosing(reader.flavour.window(container, window, reader.wanted())) as found:
            async for step in found:
                entries = await reader.translated(container, step.rows, Priority.BACKFILL)
                await queue.put((window, entries, step))

    async def fill_all() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for window in waiting:
                    group.create_task(fill(window))
        finally:
            await queue.put(None)

    lanes = asyncio.create_task(fill_all())
    try:
        while (arrived := await queue.get()) is not None:
            window, entries, step = arrived
            if step.anchor is not None:
                window.anchor, window.before = step.anchor, step.before
            window.seen, window.done = step.seen, step.last
            yield reader.page(container, state, entries)
        await lanes
    except BaseExceptionGroup as group:
        raise _first(group) from group
    finally:
        lanes.cancel()
        await asyncio.gather(lanes, return_exceptions=True)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to report of several lanes that failed: the most lasting one."""
    leaves = [_first(error) if isinstance(error, BaseExceptionGroup) else error for error in group.exceptions]
    for kind in (AuthenticationFailed, Fatal, Skippable, Refused, RateLimited, ConnectorError):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0]
