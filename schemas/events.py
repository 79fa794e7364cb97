"""What happened, in the past tense: the data of every event on the stream."""

from datetime import date, datetime
from typing import Literal

import msgspec

from schemas.work import Gap, Milestone, RemovalReason, WorkItem

Health = Literal["green", "amber", "red", "unknown"]
Severity = Literal["amber", "red"]
Dimension = Literal["schedule"]
Verdict = Literal["keep", "adjust", "stop"]
"""What can be decided: the plan stays, the plan changes (a rebaseline), the work ends."""


class WorkItemChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The stored state of an item really changed: ``revision`` is one more than before."""

    after: WorkItem
    revision: int
    before: WorkItem | None = None
    changed: tuple[str, ...] = ()  #: names of the fields that differ; empty for a new item


class WorkItemRemoved(msgspec.Struct, frozen=True, kw_only=True):
    """An item left: deleted, moved away, archived, or no longer ours to see."""

    after: WorkItem
    revision: int
    reason: RemovalReason


class MilestoneChanged(msgspec.Struct, frozen=True, kw_only=True):
    after: Milestone
    revision: int
    before: Milestone | None = None


class SourceGap(msgspec.Struct, frozen=True, kw_only=True):
    """A gap opened (``open``) or was filled (not ``open``)."""

    gap: Gap
    open: bool


class ItemTouched(msgspec.Struct, frozen=True, kw_only=True):
    """Internal: something an item's alignment or weight hangs on changed; look at it again."""

    uid: str
    cause: str


class LedgerPosted(msgspec.Struct, frozen=True, kw_only=True):
    """Internal: the ledger of a node changed from ``day`` on."""

    node: str
    day: date


class SourceSynced(msgspec.Struct, frozen=True, kw_only=True):
    """Internal: a complete pass over a source ended, so judgement may resume."""

    source: str
    at: datetime
    first: bool = False


class StrategyApplied(msgspec.Struct, frozen=True, kw_only=True):
    """Internal: a strategy file became current as ``version``."""

    version: int
    approved: bool


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a node is. Amounts are in ``unit``; ``ratio`` is None with a ``reason`` where there is no number."""

    unit: str
    unit_wanted: str
    scope: float
    done: float
    ratio: float | None
    own_scope: float
    own_done: float
    imputed: int  #: counted items without an estimate, in a unit that wants one
    n: int  #: distinct counted items behind the total
    baseline_scope: float | None = None
    baseline_ratio: float | None = None
    reason: str | None = None


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """When a node will be done, and the chance that it is by its due date."""

    method: str  #: ``pairs``, ``gamma_poisson`` or ``done``
    n: int  #: weeks of data
    p50: date | None = None
    p85: date | None = None
    chance_on_time: float | None = None
    chance_for_drift: float | None = None
    due: date | None = None
    reason: str | None = None


class ProgressChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The current figures of a node differ from the last ones published."""

    node: str
    as_of: datetime
    stale: bool
    progress: Progress
    forecast: Forecast
    health: Health
    why: str  #: one sentence


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One sustained difference between what was approved and what the trackers show."""

    id: str
    node: str
    dimension: Dimension
    cause: str
    severity: Severity
    opened_at: datetime
    changed_at: datetime
    sentence: str  #: what changed, with numbers
    why: str
    owner: str | None = None
    team: str | None = None
    evidence: dict[str, float | str | None] = {}
    quiet: str | None = None  #: why nobody is told: a first sync, a changed rule


class FindingOpened(msgspec.Struct, frozen=True, kw_only=True):
    finding: Finding


class FindingWorsened(msgspec.Struct, frozen=True, kw_only=True):
    finding: Finding


class FindingEased(msgspec.Struct, frozen=True, kw_only=True):
    finding: Finding


class FindingClosed(msgspec.Struct, frozen=True, kw_only=True):
    finding: Finding
    closed_at: datetime
    outcome: Literal["recovered", "accepted", "withdrawn"] = "recovered"


class DecisionRecorded(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody decided about a finding; the finding itself stays open for as long as the drift lasts."""

    id: str
    finding: str
    node: str
    decision: Verdict
    severity: Severity  #: of the finding when it was decided
    by: str
    why: str
    at: datetime
    effect: str | None = None  #: what is expected of it


EventData = (
    WorkItemChanged
    | WorkItemRemoved
    | MilestoneChanged
    | SourceGap
    | ItemTouched
    | LedgerPosted
    | SourceSynced
    | StrategyApplied
    | ProgressChanged
    | FindingOpened
    | FindingWorsened
    | FindingEased
    | FindingClosed
    | DecisionRecorded
)
