"""What leadership answers: a decision about a finding, and an appraisal of a node, each kept for good."""

import json
import uuid
from collections.abc import Sequence

from schemas.events import DecisionRecorded, Finding, Verdict
from services.storage import tables
from services.storage.unit_of_work import UnitOfWork

#: What is appraised as a whole, beside every node.
STRATEGY, PLAN = "strategy", "plan"


async def decide(
    uow: UnitOfWork, finding: Finding, decision: Verdict, *, by: str, why: str, effect: str | None = None
) -> DecisionRecorded:
    """Record what was decided about a finding, and say so on the stream.

    It changes neither the plan nor the finding: an adjusted plan is applied and approved, and drift ends by itself.
    """
    recorded = DecisionRecorded(
        id=f"d-{uuid.uuid4().hex[:12]}",
        finding=finding.id,
        node=finding.node,
        decision=decision,
        severity=finding.severity,
        by=by,
        why=why,
        effect=effect,
        at=uow.now,
    )
    row = {name: getattr(recorded, name) for name in recorded.__struct_fields__}
    await uow.upsert(tables.decisions, [row])
    uow.emit(recorded)
    return recorded


async def appraise(
    uow: UnitOfWork, node: str, decision: Verdict, *, by: str, why: str, attendees: Sequence[str] = ()
) -> str:
    """Record that a node (or the strategy or the plan as a whole) was appraised, and what came of it; its id."""
    key = f"a-{uuid.uuid4().hex[:12]}"
    row = {"id": key, "node": node, "decision": decision, "by": by, "why": why, "at": uow.now}
    await uow.upsert(tables.appraisals, [row | {"attendees": json.dumps(list(attendees), ensure_ascii=False)}])
    return key
