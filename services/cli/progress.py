"""Long work as it is seen from outside: how much of how much, how fast, and how long it takes yet."""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from services.cli.app import say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, Task, TaskID

    from services.ingest.poller import SyncProgress

#: Where there is no terminal, a container says how far it is so often.
PLAIN_EVERY_S = 10.0


def so_far(seen: int, total: int | None, seconds: float) -> str:
    """How much is read of about how much, items a second, and the time left where the total is known."""
    rate = seen / seconds if seconds > 0 else 0.0
    text = f"{seen:,} items" if total is None else f"{seen:,} of about {max(total, seen):,} items"
    if rate:
        text += f", {rate:,.0f}/s"
        if total is not None and total > seen:
            text += f", {duration((total - seen) / rate)} left"
    return text


def duration(seconds: float) -> str:
    """A time span for people: ``45 s``, ``12 min`` or ``3 h 05 min``."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    hours, minutes = divmod(max(round(whole / 60), 1), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


class ProgressShown:
    """A progress bar for each container on a terminal, plain lines elsewhere."""

    def __init__(self, *, live: bool | None = None, clock: Callable[[], float] = monotonic) -> None:
        from rich.console import Console

        console = Console(stderr=True)
        self._bars = _bars(console) if (console.is_terminal if live is None else live) else None
        self._clock = clock
        self._tasks: dict[str, TaskID] = {}
        self._begun: dict[str, float] = {}
        self._said: dict[str, float] = {}

    def __enter__(self) -> Callable[["SyncProgress"], None]:
        if self._bars:
            self._bars.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def _show(self, progress: "SyncProgress") -> None:
        name = f"{progress.source} {progress.container}"
        if self._bars:
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(name, total=progress.total)
            total = None if progress.total is None else max(progress.total, progress.seen)
            self._bars.update(self._tasks[name], completed=progress.seen, total=total)
        else:
            self._tell(name, progress)

    def _tell(self, name: str, progress: "SyncProgress") -> None:
        now = self._clock()
        if name not in self._begun:
            self._begun[name] = now
            self._said[name] = now
            say(f"reading {name}" + (f": about {progress.total:,} items" if progress.total else ""))
        elif now - self._said[name] >= PLAIN_EVERY_S:
            self._said[name] = now
            say(f"reading {name}: {so_far(progress.seen, progress.total, now - self._begun[name])}")


def _bars(console: "Console") -> "Progress":
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Items a second."""

        def render(self, task: "Task") -> Text:
            return Text(f"{task.speed:,.0f}/s" if task.speed else "")

    return Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), Rate(),
        TimeElapsedColumn(), TimeRemainingColumn(), console=console,
    )  # fmt: skip
