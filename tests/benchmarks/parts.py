"""What the benchmarks share: databases on this machine, items, a stopwatch."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

from schemas.strategy import parse_strategy
from schemas.work import WorkItem
from services.align.adopt import adopt
from services.align.handlers import Aligner
from services.storage import migrate
from services.storage.database import Database
from tests import parts
from tests.work_items import a_change, an_item, at, to_done

STRATEGY = """
objectives: [{id: OBJ-1, title: One, horizon: {start: 2026-01-01, end: 2027-12-31}}]
initiatives:
""" + "".join(
    f"  - {{id: INI-{n}, title: I{n}, serves: {{OBJ-1: 0.05}}, start: 2026-01-01, due: 2026-12-15, "
    f'match: {{label: "ini:{n}"}}}}\n'
    for n in range(20)
)


def items(count: int, start: int = 1) -> list[WorkItem]:
    """Stories under epics of ten, over a year, labelled for twenty initiatives, half of them done."""
    made = []
    for number in range(start, start + count):
        epic = (number - 1) // 10 * 10 + 1
        created = at("2026-01-05") + timedelta(hours=number % 4000)
        finished = f"{created + timedelta(days=9):%Y-%m-%d %H:%M}"
        done = number % 2 == 0
        history = (a_change("labels", f"{created:%Y-%m-%d %H:%M}", [], [f"ini:{epic % 20}"]), to_done(finished))
        made.append(
            an_item(
                number,
                created_at=created,
                updated_at=created + timedelta(days=10),
                labels=(f"ini:{epic % 20}",),
                parent=None if number == epic else f"acme-jira:issue:{epic}",
                type="Epic" if number == epic else "Story",
                estimate_points=float(number % 5 + 1),
                status="Done" if done else "To Do",
                status_category="done" if done else "todo",
                history=history if done else history[:1],
            )
        )
    return made


@asynccontextmanager
async def a_database(kind: str) -> AsyncIterator[Database]:
    """A fresh database with a strategy applied: ``sqlite`` or ``postgresql``."""
    with tempfile.TemporaryDirectory() as folder:
        if kind == "sqlite":
            url, server = f"sqlite:///{folder}/courseline.db", None
        else:
            server = parts.postgres_server(Path(folder))
            url = parts.postgres_url(server, "postgres")
        database = Database(url, now=lambda: datetime(2026, 11, 23, 10, tzinfo=UTC))
        try:
            await migrate.upgrade(database)
            async with database.write() as uow:
                await adopt(uow, Aligner(()), STRATEGY, parse_strategy(STRATEGY, file="strategy.yaml"))
            yield database
        finally:
            await database.close()
            if server is not None:
                server.cleanup()


class Stopwatch:
    seconds = 0.0


@contextmanager
def timed() -> Iterator[Stopwatch]:
    """How long the block took."""
    watch, start = Stopwatch(), perf_counter()
    yield watch
    watch.seconds = perf_counter() - start


def said(text: str) -> None:
    """One line of the report."""
    print(text, flush=True)
