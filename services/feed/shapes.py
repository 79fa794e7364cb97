"""What the feed and the exports say of items, nodes and findings: the promised JSON, from rows as they are stored."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from schemas.amounts import SHARE
from schemas.events import Finding, ProgressChanged
from schemas.work import Milestone, WorkItem
from services.ledger.postings import UNALIGNED

ITEM: msgspec.json.Decoder[WorkItem] = msgspec.json.Decoder(WorkItem)
MILESTONE: msgspec.json.Decoder[Milestone] = msgspec.json.Decoder(Milestone)
FIGURES: msgspec.json.Decoder[ProgressChanged] = msgspec.json.Decoder(ProgressChanged)
FINDING: msgspec.json.Decoder[Finding] = msgspec.json.Decoder(Finding)

_ITEM_FIELDS = (
    "uid", "source", "external_id", "key", "previous_keys", "container", "kind", "type", "title", "status",
    "status_category", "resolution", "resolution_name", "labels", "components", "milestones", "parent",
    "estimate_points", "time_spent_s", "created_at", "updated_at", "started_at", "done_at", "due_date",
    "original_estimate_s", "fields", "team", "availability",
)  # fmt: skip
ITEM_COLUMNS = (*_ITEM_FIELDS, "revision", "url", "alignment", "ambiguous", "rule_error", "unbroken")


def moment(value: datetime | None) -> str | None:
    """UTC, RFC 3339, with Z."""
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    return msgspec.to_builtins(value)


def links_json(row: Any) -> list[dict[str, Any]]:
    """The links of an item, from its row of `items`."""
    return [
        {"id": one.id, "kind": one.kind, "item": one.to, "inward": one.inward, "name": one.name}
        for one in ITEM.decode(row.content).links or ()
    ]


def alignment_json(row: Any) -> dict[str, Any]:
    """One dated share of an item, from its row of `alignments`."""
    return {
        "node": row.node,
        "share": row.share / SHARE,
        "level": row.level,
        "rule": row.rule,
        "inherited_from": row.inherited_from,
        "valid_from": moment(row.valid_from),
    }


def item_json(row: Any, alignments: Sequence[Any], item: WorkItem | None = None) -> dict[str, Any]:
    """An item, from its row of `items` and its rows of `alignments` in force; as ``item`` was, where that is given."""
    item = item or ITEM.decode(row.content)
    found = {name: plain(getattr(item, name)) for name in _ITEM_FIELDS}
    return found | {
        "revision": row.revision,
        "url": item.url,
        "alignment": [alignment_json(one) for one in alignments if one.node != UNALIGNED],
        "ambiguous": any(one.ambiguous for one in alignments),
        "rule_error": any(one.rule_error for one in alignments),
        "unbroken": any(one.unbroken for one in alignments),
    }


def node_json(figures: ProgressChanged, kind: str, findings: Sequence[str]) -> dict[str, Any]:
    """A node's figures, with the ids of its open findings."""
    progress, forecast = figures.progress, figures.forecast
    return {
        "id": figures.node,
        "kind": kind,
        "as_of": moment(figures.as_of),
        "stale": figures.stale,
        "progress": {
            "unit": progress.unit,
            "unit_wanted": progress.unit_wanted,
            "scope": progress.scope,
            "done": progress.done,
            "ratio": progress.ratio,
            "own": {"scope": progress.own_scope, "done": progress.own_done},
            "imputed": progress.imputed,
            "baseline_scope": progress.baseline_scope,
            "baseline_ratio": progress.baseline_ratio,
            "n": progress.n,
            "reason": progress.reason,
        },
        "forecast": {
            "p50": plain(forecast.p50),
            "p85": plain(forecast.p85),
            "chance_on_time": forecast.chance_on_time,
            "chance_for_drift": forecast.chance_for_drift,
            "due": plain(forecast.due),
            "method": forecast.method,
            "n": forecast.n,
            "reason": forecast.reason,
        },
        "health": figures.health,
        "why": figures.why,
        "findings": list(findings),
    }


def finding_json(row: Any, answered: Mapping[str, Any]) -> dict[str, Any]:
    """A finding, from its row of `findings`, with what people answered to it."""
    finding = FINDING.decode(row.content)
    decision = answered["decision"]
    # What was decided before it last opened was about another drift.
    about_this = decision is not None and datetime.fromisoformat(decision["at"]) >= row.opened_at
    return {
        "id": row.id,
        "node": row.node,
        "dimension": row.dimension,
        "cause": finding.cause,
        "severity": row.severity,
        "state": "open" if row.open else "closed",
        "opened_at": moment(row.opened_at),
        "changed_at": moment(row.changed_at),
        "closed_at": moment(row.closed_at),
        "sentence": finding.sentence,
        "why": finding.why,
        "owner": finding.owner,
        "team": finding.team,
        "evidence": finding.evidence,
        "quiet": finding.quiet,
        "acknowledged": answered["acknowledged"],
        "snoozed": answered["snoozed"],
        "decision": decision if about_this else None,
    }


def milestone_json(row: Any) -> dict[str, Any]:
    """A milestone, from its row of `milestones`."""
    one = MILESTONE.decode(row.content)
    return {
        "uid": one.uid,
        "source": one.source,
        "container": one.container,
        "title": one.title,
        "due_date": plain(one.due_date),
        "state": one.state,
        "url": one.url,
    }
