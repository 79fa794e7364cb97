"""The past of a project: windows of creation, several at once, until what was read agrees with what was counted."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from connectors.ahead import together
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
from connectors.jira import jql
from connectors.jira.chain import TOLERANCE
from connectors.jira.client import Refused
from connectors.jira.flavour import PAGE, Step
from connectors.jira.progress import Checkpoint, Window
from connectors.pacing import Priority
from schemas.work import WorkItem

if TYPE_CHECKING:
    from connectors.jira.sync import JiraConnector


async def backfill(
    reader: "JiraConnector", container: Container, state: Checkpoint, started: datetime
) -> AsyncGenerator[Page, None]:
    """All issues of a project, as far as ``state`` does not know them yet; it goes on in ``state``.

    ``started`` is the site's time at the start of this pass.
    """
    flavour = reader.flavour
    bounded = any(window.start is not None or window.end is not None for window in state.windows)
    if bounded and not await flavour.moments.exact(container.id):
        state.windows = []  # they were bounded by epochs, which this site does not read (any more)
    if not state.windows:
        state.began = started
        state.total = await flavour.count(jql.window(container.id, None, None))
        state.windows = await _windows(reader, container, state.total)
        yield reader.page(container, state, [])
    for attempt in (1, 2):
        async with aclosing(_lanes(reader, container, state)) as pages:
            async for page in pages:
                yield page
        seen, count = sum(window.seen for window in state.windows), state.total
        if count is None or seen < _least(count):  # some may be gone since the start
            count = await flavour.count(jql.window(container.id, None, None))
        if seen >= _least(count):
            return
        if attempt == 1:  # the search ended early somewhere: read the windows again, whole
            state.windows = [Window(window.start, window.end) for window in state.windows]
    raise Retriable(
        f"the search ended normally after {seen} of about {count} issues, twice", source=reader.source,
        container=container.key,
    )  # fmt: skip


def _least(count: int) -> float:
    """So many must come where so many were counted, as counts are estimates and issues come and go."""
    return count * (1 - TOLERANCE) - 3


async def _windows(reader: "JiraConnector", container: Container, total: int) -> list[Window]:
    """Windows of creation, of about equal length in time, at least as many as there are lanes."""
    if total <= PAGE:
        return [Window(None, None)]
    first, last = await together(reader.flavour.edge(container, order) for order in ("ASC", "DESC"))
    if first is None or last is None or last - first < timedelta(hours=1):
        return [Window(None, None)]
    if not await reader.flavour.moments.exact(container.id):
        return [Window(None, None)]
    lanes = reader.config.concurrency
    parts = max(min(lanes * 2, total // PAGE), -(-total // reader.flavour.largest_window), 1)
    step = (last - first) / parts
    bounds = [(first + step * part).replace(microsecond=0) for part in range(1, parts)]
    return [Window(start, end) for start, end in zip([None, *bounds], [*bounds, None], strict=True)]


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
            elif entries:
                window.anchor = entries[-1].created_at if isinstance(entries[-1], WorkItem) else window.anchor
            window.seen += len(entries)
            window.done = step.last
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
