"""Hooks that should come and do not: polls go on finding what no hook announced."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select

from schemas.work import Gap
from services.ingest.apply import close_gap, open_gaps
from services.storage import tables
from services.storage.database import Database
from services.storage.outages import despite_outages

#: The gap's place among a source's containers; no project and no repository is called so.
HOOKS = "hooks"
#: So many passes must have found changes, over so long, before the silence is believed.
PASSES, PATIENCE = 3, timedelta(hours=1)
_MOST = 1_000


def silent_since(found: Sequence[datetime], last_hook: datetime | None, now: datetime) -> datetime | None:
    """Since when polls have found what no hook announced; None while that proves nothing.

    ``found`` are the times of passes that found changes, oldest first. A hook that came after one of them may have
    been late, so only those after the last hook count.
    """
    unannounced = [at for at in found if last_hook is None or at > last_hook]
    if len(unannounced) < PASSES or now - unannounced[0] < PATIENCE:
        return None
    return unannounced[0]


@dataclass
class Watchdog:
    """Looks after the hooks of a source that should send some, and says once when they have stopped."""

    database: Database
    source: str
    found: list[datetime] = field(default_factory=list)
    _open: bool = True  #: whether the gap may be open: a process before this one may have opened it

    async def after_pass(self, changes: int) -> None:
        """Take in how many items a poll found changed that were known before."""
        if changes:
            self.found = [*self.found, self.database.now()][-_MOST:]
        if self.found or self._open:
            await despite_outages(self._judge, who=f"source {self.source}")

    async def _judge(self) -> None:
        hooks, gaps = tables.hook_deliveries.c, tables.gaps.c
        ours = (gaps.source == self.source) & (gaps.container == HOOKS) & gaps.closed_at.is_(None)
        async with self.database.read() as connection:
            newest = select(func.max(hooks.received_at)).where(hooks.source == self.source)
            last = (await connection.execute(newest)).scalar()
            opened = (await connection.execute(select(gaps.opened_at).where(ours))).scalar()
        self.found = [at for at in self.found if last is None or at > last]
        self._open = opened is not None
        if opened is not None and last is not None and last > opened:
            async with self.database.write() as uow:
                await close_gap(uow, self.source, HOOKS)
            self._open = False
        elif opened is None and silent_since(self.found, last, self.database.now()) is not None:
            async with self.database.write() as uow:
                await open_gaps(uow, [self._gap(last)])
            self._open = True

    def _gap(self, last: datetime | None) -> Gap:
        heard = f"the last hook came at {last:%Y-%m-%d %H:%M} UTC" if last is not None else "no hook ever came"
        return Gap(
            source=self.source,
            container=HOOKS,
            reason="silent",
            detail=f"polls find changes that no hook announces: {heard}; changes are seen with the next poll only",
            fix=f"run `courseline hooks check --source {self.source}`, or take away webhook_secret_file",
        )
