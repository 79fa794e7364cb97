"""Judge the nodes whose ledger changed: publish figures that differ, and say of findings what is new.

Judgement is a function of the ledger and the clock; nothing is added up from event to event. While a source has
not been read whole, or cannot be seen, findings stay as they are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import delete, select

from schemas import wire
from schemas.events import (
    Finding,
    FindingClosed,
    LedgerPosted,
    ProgressChanged,
    SourceSynced,
    StrategyApplied,
)
from services.ledger.strategies import current_strategy
from services.steer.calendar import WorkCalendar
from services.steer.drift import fold
from services.steer.figures import Ledger, evaluations, load_ledger, outlook, progress, roll
from services.steer.findings import Step, health, percent, schedule_finding, step
from services.storage import tables
from services.storage.unit_of_work import UnitOfWork
from services.stream.log import is_behind

_FIGURES: msgspec.json.Decoder[ProgressChanged] = msgspec.json.Decoder(ProgressChanged)
_FINDING: msgspec.json.Decoder[Finding] = msgspec.json.Decoder(Finding)
_ENCODER = msgspec.json.Encoder(order="deterministic")
#: The group of readers that brings what was read to the ledger.
ALIGN = "align"
FIRST_JUDGEMENT = "this is the first judgement of the node"
RULES_CHANGED = "the strategy changed"


@dataclass(frozen=True)
class Sight:
    """Whether the sources can be seen: each read whole once, and not longer ago than twice its poll interval.

    ``settling`` while some of what was read has yet to reach the ledger.
    """

    whole: bool
    stale: bool
    settling: bool = False

    @property
    def clear(self) -> bool:
        return self.whole and not self.stale


async def sight(uow: UnitOfWork, as_of: datetime) -> Sight:
    """How well the sources can be seen at a moment."""
    rows = (await uow.connection.execute(select(tables.sources))).all()
    whole = bool(rows) and all(row.first_complete_at is not None for row in rows)
    stale = any(
        row.last_complete_at is None or as_of - row.last_complete_at > 2 * timedelta(seconds=row.poll_every_s)
        for row in rows
        if row.state != "syncing" or row.last_complete_at is None
    )
    return Sight(whole, stale, await is_behind(uow.connection, ALIGN, (wire.WORK, wire.ALIGN)))


async def handle(uow: UnitOfWork, events: Sequence[wire.Event]) -> None:
    """Judge what these events touched: some nodes, or all after a sync or a new strategy."""
    nodes: set[str] = set()
    quiet: str | None = None
    everything = False
    for event in events:
        match event.data:
            case LedgerPosted(node=node):
                nodes.add(node)
            case StrategyApplied():
                everything, quiet = True, RULES_CHANGED
            case SourceSynced():
                everything = True
    await judge(uow, None if everything else nodes, quiet=quiet)


async def judge_if_due(uow: UnitOfWork) -> None:
    """Judge every node where a day ended, or a source went out of sight or came back, since the last judgement."""
    rows = (await uow.connection.execute(select(tables.node_figures.c.as_of, tables.node_figures.c.stale))).all()
    strategy = await current_strategy(uow.connection)
    if strategy is None or not rows:
        return
    seen = await sight(uow, uow.now)
    calendar = WorkCalendar.of(strategy.file.calendar)
    today = calendar.day_of(uow.now)
    if any(calendar.day_of(row.as_of) != today or row.stale != (not seen.clear) for row in rows):
        await judge(uow)


async def judge(uow: UnitOfWork, changed: Iterable[str] | None = None, *, quiet: str | None = None) -> None:
    """Judge these nodes and all that hang on them (None: every node) as of now."""
    ledger = await load_ledger(uow.connection, uow.now)
    if ledger is None:
        return
    nodes = ledger.tree.above(ledger.tree.nodes if changed is None else changed)
    seen = await sight(uow, uow.now)
    figures = await _stored_figures(uow)
    findings = await _stored_findings(uow)
    rolled = roll(ledger)
    rows: list[dict[str, Any]] = []
    for node in nodes:
        before = figures.get(node)
        judged = before is not None and before.judged and seen.whole
        said = findings.get(node)
        # Out of the dark, the first look is one at the whole ledger.
        clear = seen.clear and not (seen.settling and (before is None or before.figures.stale))
        if clear:
            said = await _say(uow, ledger, node, rolled, said, quiet or (None if judged else FIRST_JUDGEMENT))
            judged = True
        after = _figures(ledger, node, rolled, said.finding if said and said.open else None, stale=not clear)
        rows.append(
            {
                "node": node,
                "as_of": uow.now,
                "stale": after.stale,
                "judged": judged,
                "strategy_version": ledger.strategy.version,
                "content": _ENCODER.encode(after),
            }
        )
        if before is None or _differ(before.figures, after):
            uow.emit(after)
    await uow.upsert(tables.node_figures, rows, replace=("as_of", "stale", "judged", "strategy_version", "content"))
    if changed is None:
        await _forget_nodes(uow, set(ledger.tree.nodes), figures, findings)


@dataclass(frozen=True)
class _Stored:
    figures: ProgressChanged
    judged: bool


@dataclass(frozen=True)
class _Said:
    finding: Finding
    open: bool
    seq: int


async def _stored_figures(uow: UnitOfWork) -> dict[str, _Stored]:
    rows = await uow.connection.execute(select(tables.node_figures))
    return {row.node: _Stored(_FIGURES.decode(row.content), row.judged) for row in rows}


async def _stored_findings(uow: UnitOfWork) -> dict[str, _Said]:
    rows = await uow.connection.execute(select(tables.findings).where(tables.findings.c.dimension == "schedule"))
    return {row.node: _Said(_FINDING.decode(row.content), row.open, row.seq) for row in rows}


async def _say(
    uow: UnitOfWork, ledger: Ledger, node: str, rolled: Any, said: _Said | None, quiet: str | None
) -> _Said | None:
    """Compare the node's course with what was said of it, and say what is new."""
    named = ledger.tree.nodes[node]
    figures = progress(ledger, node, rolled)
    total = ledger.total(node)
    course = fold(evaluations(ledger, named, total))
    forecast = outlook(ledger, named, total, figures).forecast
    after = schedule_finding(named, course, figures, forecast, ledger.calendar)
    before = said.finding if said is not None and said.open else None
    happened = step(before, after, quiet=quiet, now=uow.now)
    if happened is not None:
        uow.emit(happened)
        return await _store_finding(uow, happened, (said.seq if said else 0) + 1)
    if before is not None and after is not None and said is not None:
        after = msgspec.structs.replace(after, quiet=before.quiet)
        if after != before:
            await _write_finding(uow, after, open_=True, seq=said.seq, closed_at=None)
        return _Said(after, True, said.seq)
    return said


async def _store_finding(uow: UnitOfWork, happened: Step, seq: int) -> _Said:
    closed_at = happened.closed_at if isinstance(happened, FindingClosed) else None
    await _write_finding(uow, happened.finding, open_=closed_at is None, seq=seq, closed_at=closed_at)
    return _Said(happened.finding, closed_at is None, seq)


async def _write_finding(
    uow: UnitOfWork, finding: Finding, *, open_: bool, seq: int, closed_at: datetime | None
) -> None:
    row = {
        "id": finding.id,
        "node": finding.node,
        "dimension": finding.dimension,
        "severity": finding.severity,
        "open": open_,
        "opened_at": finding.opened_at,
        "changed_at": finding.changed_at,
        "closed_at": closed_at,
        "seq": seq,
        "content": _ENCODER.encode(finding),
    }
    await uow.upsert(tables.findings, [row], replace=[name for name in row if name != "id"])


def _figures(ledger: Ledger, node: str, rolled: Any, finding: Finding | None, *, stale: bool) -> ProgressChanged:
    found = progress(ledger, node, rolled)
    named = ledger.tree.nodes[node]
    forecast = outlook(ledger, named, ledger.total(node), found).forecast
    return ProgressChanged(
        node=node,
        as_of=ledger.as_of,
        stale=stale,
        progress=found,
        forecast=forecast,
        health=health(found.ratio, stale, [finding] if finding else []),
        why=_why(found.ratio, forecast.chance_on_time, found.reason, stale),
    )


def _why(ratio: float | None, chance: float | None, reason: str | None, stale: bool) -> str:
    if ratio is None:
        return f"No number: {reason}."
    text = f"{percent(ratio)} done"
    if chance is not None:
        text += f", {percent(chance)} chance to be on time"
    return text + ("; a source cannot be seen, so judgement waits." if stale else ".")


def _differ(before: ProgressChanged, after: ProgressChanged) -> bool:
    return msgspec.structs.replace(before, as_of=after.as_of) != after


async def _forget_nodes(
    uow: UnitOfWork, nodes: set[str], figures: dict[str, _Stored], findings: dict[str, _Said]
) -> None:
    """Nodes that are no longer in the strategy: their figures go, their open findings are withdrawn."""
    gone = sorted(figures.keys() - nodes)
    if gone:
        await uow.connection.execute(delete(tables.node_figures).where(tables.node_figures.c.node.in_(gone)))
    for node in sorted(findings.keys() - nodes):
        said = findings[node]
        if said.open:
            closed = msgspec.structs.replace(said.finding, changed_at=uow.now, quiet=RULES_CHANGED)
            happened = FindingClosed(finding=closed, closed_at=uow.now, outcome="withdrawn")
            uow.emit(happened)
            await _store_finding(uow, happened, said.seq + 1)
