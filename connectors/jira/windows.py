"""The windows of creation that a project's past is read in: none too large for a search, none shorter than counted."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connectors.ahead import both, together
from connectors.base import Container
from connectors.jira import jql
from connectors.jira.chain import TOLERANCE
from connectors.jira.flavour import PAGE
from connectors.jira.progress import Checkpoint, Window

if TYPE_CHECKING:
    from connectors.jira.sync import JiraConnector


async def planned(reader: "JiraConnector", container: Container, total: int) -> list[Window]:
    """Half-open windows, the last without an end, at least as many as there are lanes; bisected by their counts where
    one might hold more than a search gives whole."""
    flavour = reader.flavour
    if total <= PAGE:
        return [Window(None, None)]
    (first, last), exact = await both(edges(reader, container), flavour.moments.exact(container.id))
    if first is None or last is None or last - first < timedelta(hours=1) or not exact:
        return [Window(None, None)]
    parts = max(min(reader.config.concurrency * 2, total // PAGE), -(-total // flavour.largest_window), 1)
    step = (last - first) / parts
    bounds = [(first + step * part).replace(microsecond=0) for part in range(1, parts)]
    windows = [Window(start, end) for start, end in zip([None, *bounds], [*bounds, None], strict=True)]
    if total <= flavour.largest_window:
        return windows
    fine: list[Window] = []
    while windows:
        await _count(reader, container, windows)
        small = [one for one in windows if (one.count or 0) <= flavour.largest_window]
        halves = {id(one): _halves(one, first, last) for one in windows if one not in small}
        fine += small + [parts[0] for parts in halves.values() if len(parts) == 1]
        windows = [half for parts in halves.values() if len(parts) > 1 for half in parts]
    return sorted(fine, key=lambda one: (one.start is not None, one.start))


async def edges(reader: "JiraConnector", container: Container) -> tuple[datetime | None, datetime | None]:
    """When the first and the last issue were created."""
    first, last = await together(reader.flavour.edge(container, order) for order in ("ASC", "DESC"))
    return first, last


async def short(reader: "JiraConnector", container: Container, state: Checkpoint) -> list[Window]:
    """The windows that gave fewer issues than are counted; none where all that was counted at the start came."""
    windows = state.windows
    whole = state.total is not None and sum(one.seen for one in windows) >= least(state.total)
    if whole and all(one.count is None or one.seen >= least(one.count) for one in windows):
        return []
    await _count(reader, container, windows)  # some may be gone since the start
    state.total = sum(one.count or 0 for one in windows)
    found = [one for one in windows if one.seen < least(one.count or 0)]
    if not found and sum(one.seen for one in windows) < least(state.total):
        found = [one for one in windows if one.seen < (one.count or 0)]
    return found


async def to_read_again(reader: "JiraConnector", container: Container, those: list[Window]) -> list[Window]:
    """Windows that came short, as halves to be read from their start: the search may give smaller ones whole."""
    first, last = await edges(reader, container)
    if first is None or last is None or not await reader.flavour.moments.exact(container.id):
        return [Window(one.start, one.end) for one in those]
    return [half for one in those for half in _halves(one, first, last)]


def least(count: int) -> float:
    """So many must come where so many were counted, as counts are estimates and issues come and go."""
    return count * (1 - TOLERANCE) - 3


async def _count(reader: "JiraConnector", container: Container, windows: list[Window]) -> None:
    queries = [jql.window(container.id, one.start, one.end) for one in windows]
    counts = await together(reader.flavour.count(query) for query in queries)
    for one, count in zip(windows, counts, strict=True):
        one.count = count


def _halves(window: Window, first: datetime, last: datetime) -> list[Window]:
    """A window in two, or anew where it is of a second: ``first`` and ``last`` are where it ends that has no end."""
    start, end = window.start or first, window.end or last
    middle = (start + (end - start) / 2).replace(microsecond=0)
    if not start < middle < end:
        return [Window(window.start, window.end)]
    return [Window(window.start, middle), Window(middle, window.end)]
