"""What REST answers: the shape of every answer under /api/v1, as its OpenAPI document tells it.

They describe and are not run: an answer is written from rows as it stands, and tests hold it to these shapes.
"""

from datetime import date, datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, Field

from schemas.events import Dimension, Health, Severity, Verdict
from schemas.strategy_file import Unit
from schemas.work import Availability, FieldValue, Kind, LinkKind, Resolution, StatusCategory

Chance = Annotated[float, Field(ge=0, le=1)]
T = TypeVar("T")


class ItemAlignment(BaseModel):
    """One share of an item in force: the node (or `run`) it serves, and the rule that decided it."""

    node: str
    share: Annotated[float, Field(gt=0, le=1)]
    level: str | None = Field(description="The strongest key of the match, or `pin`.")
    rule: str | None = Field(description="Its place in the strategy file, such as `INI-1.match.any[0]`.")
    inherited_from: str | None = Field(description="The uid of the item above that won.")
    valid_from: datetime


class Item(BaseModel):
    """A Jira issue, a GitHub issue or a pull request, with the alignment in force; none where it serves nothing."""

    uid: str
    source: str
    external_id: str
    key: str
    previous_keys: list[str]
    container: str
    kind: Kind
    type: str | None
    title: str
    status: str
    status_category: StatusCategory
    resolution: Resolution | None
    resolution_name: str | None
    labels: list[str]
    components: list[str]
    milestones: list[str] = Field(description="Uids.")
    parent: str | None = Field(description="A uid.")
    estimate_points: float | None
    time_spent_s: int | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    done_at: datetime | None
    due_date: date | None
    original_estimate_s: int | None
    fields: dict[str, FieldValue]
    team: str | None
    availability: Availability
    revision: int
    url: str
    alignment: list[ItemAlignment]
    ambiguous: bool
    rule_error: bool
    unbroken: bool = Field(description="An epic without children, which counts as one item.")


class ItemLink(BaseModel):
    """A tie to another item, as the tracker tells it at this one."""

    id: str = Field(description="The tracker's own id of the tie; the other end has the same one.")
    kind: LinkKind
    item: str = Field(description="The other item's uid, also where that one is not ours to read.")
    inward: bool = Field(description="The other item does it to this one: it blocks this one, closes it, …")
    name: str = Field(description="The tracker's words for it, read from this end.")


class LinkedItem(Item):
    """One item with its links to others."""

    links: list[ItemLink]


class OwnProgress(BaseModel):
    """A node's direct work, and that of the initiatives that serve it."""

    scope: float
    done: float


class NodeProgress(BaseModel):
    """How far a node is, in `unit`; `reason` says why `ratio` is null."""

    unit: Unit
    unit_wanted: Unit
    scope: float
    done: float
    ratio: float | None
    own: OwnProgress
    imputed: int = Field(description="Counted items without an estimate, in a unit that wants one.")
    baseline_scope: float | None
    baseline_ratio: float | None
    n: int = Field(description="Distinct counted items behind the total.")
    reason: str | None


class NodeForecast(BaseModel):
    """When a node will be done; `reason` says why there is no date."""

    p50: date | None
    p85: date | None
    chance_on_time: Chance | None
    chance_for_drift: Chance | None = Field(description="With eight weeks at the planned pace as prior.")
    due: date | None
    method: Literal["pairs", "gamma_poisson", "done", "none"]
    n: int = Field(description="Complete weeks of data.")
    reason: str | None


class NodeFigures(BaseModel):
    """A node's figures, with the ids of its open findings."""

    id: str
    as_of: datetime
    stale: bool
    progress: NodeProgress
    forecast: NodeForecast
    health: Health
    why: str
    findings: list[str]
    title: str
    owner: str | None


class Node(NodeFigures):
    """An objective or an initiative."""

    kind: Literal["objective", "initiative"]


class InitiativeBranch(NodeFigures):
    """An initiative below an objective that it serves by `share`."""

    kind: Literal["initiative"]
    share: Annotated[float, Field(gt=0, le=1)]
    children: Annotated[list[Node], Field(max_length=0)]


class ObjectiveBranch(NodeFigures):
    """An objective with all below it: further objectives, and the initiatives that serve it."""

    kind: Literal["objective"]
    children: list["ObjectiveBranch | InitiativeBranch"]


class Decision(BaseModel):
    """What was decided about a finding: the plan stays, the plan changes, or the node ends."""

    id: str
    finding: str
    node: str
    decision: Verdict
    severity: Severity = Field(description="Of the finding when it was decided.")
    by: str
    why: str
    effect: str | None = Field(description="What is expected of it.")
    at: datetime


class Appraisal(BaseModel):
    """A look at a node by people, and what came of it."""

    id: str
    node: str
    decision: Verdict
    by: str
    why: str
    attendees: list[str]
    at: datetime


class Acknowledgement(BaseModel):
    """Who knows of a finding; one that becomes worse than `severity` is told again."""

    by: str
    severity: Severity
    at: datetime


class Snooze(BaseModel):
    """Until when nobody is told of a finding; `until` is the last day."""

    until: date
    by: str | None
    why: str
    at: datetime


class Finding(BaseModel):
    """One sustained difference between what was approved and what the trackers show."""

    id: str
    node: str
    dimension: Dimension
    cause: str
    severity: Severity
    state: Literal["open", "closed"]
    opened_at: datetime
    changed_at: datetime
    closed_at: datetime | None
    sentence: str
    why: str
    owner: str | None
    team: str | None
    evidence: dict[str, float | str | None]
    quiet: str | None = Field(description="Why nobody was told.")
    acknowledged: Acknowledgement | None
    snoozed: Snooze | None
    decision: Decision | None = Field(description="The latest since it opened.")


class Driver(BaseModel):
    """Why an objective exists."""

    id: str
    kind: Literal["customer", "competitor", "market", "model", "technology"]
    statement: str


class Plan(BaseModel):
    """The plan's title, and how often it is to be appraised, such as `30d`."""

    title: str
    review_every: str | None


class Totals(BaseModel):
    """Items beside the plan."""

    run: float
    unaligned: float


class Strategy(BaseModel):
    """The tree with everything; `as_of` is null where no node has figures."""

    id: str
    title: str
    vision: str | None
    sponsor: str | None
    version: int
    applied_at: datetime
    as_of: datetime | None
    stale: bool
    drivers: list[Driver]
    plan: Plan
    nodes: list[ObjectiveBranch]
    findings: list[Finding] = Field(description="Those that are open.")
    totals: Totals


class BurnupPoint(BaseModel):
    """Balances at a day's end, and what the plan says they should be; null outside the plan."""

    day: date
    scope: float
    done: float
    planned: float | None


class ScopeChanges(BaseModel):
    """The five counters of scope change, gross over all days."""

    added: float
    removed: float
    reestimated: float
    moved_in: float
    moved_out: float


class NodeBurnup(BaseModel):
    """Scope, done and the planned curve by day; no day, with a `reason`, where no work ever served the node."""

    id: str
    as_of: datetime
    stale: bool
    n: int
    reason: str | None
    unit: Unit
    days: list[BurnupPoint]
    counters: ScopeChanges
    start: date | None
    due: date | None
    baseline_scope: float | None


class ForecastPoint(BaseModel):
    """A week's end, and the chance to be done by then."""

    day: date
    chance: Chance


class Sample(BaseModel):
    """A week of data that the forecast rests on, in the unit; net changes may be below nought."""

    monday: date
    done: float
    added: float


class NodeFinish(BaseModel):
    """The finish as a distribution over week ends, with all that it rests on."""

    id: str
    as_of: datetime
    stale: bool
    unit: Unit
    forecast: NodeForecast
    remaining: float
    weeks: list[ForecastPoint]
    samples: list[Sample]


class CountedItem(BaseModel):
    """What an item adds to a node's own ledger, in shares of an item."""

    item: str
    scope: float
    done: float


class NodeExplained(BaseModel):
    """Where a node's figures come from; `lines` say it in words."""

    node: Node
    items: list[CountedItem]
    decisions: list[Decision] = Field(description="About its findings, the latest first.")
    appraisals: list[Appraisal] = Field(description="Of it, the latest first.")
    lines: list[str]


class Milestone(BaseModel):
    """A Jira version, a GitHub milestone, a sprint or an iteration."""

    uid: str
    source: str
    container: str | None
    title: str
    due_date: date | None
    state: Literal["planned", "active", "done", "cancelled"]
    url: str


class Gap(BaseModel):
    """Something a source holds that could not be read, and what mends it."""

    container: str
    reason: str
    detail: str
    fix: str
    opened_at: datetime


class Source(BaseModel):
    """A tracker: how reading it stands, and its open gaps."""

    name: str
    kind: Literal["jira", "github"]
    flavour: str
    state: Literal["new", "syncing", "ok", "failing", "auth_failed"]
    items: int
    last_complete_at: datetime | None
    last_attempt_at: datetime | None
    waits_until: datetime | None
    error: str | None
    requests: int
    poll_every_s: int
    quarantined: int = Field(description="Malformed items that were set aside.")
    gaps: list[Gap]


class Page(BaseModel, Generic[T]):
    """A page of a list; `next` is the `?cursor=` of the one after it, null on the last."""

    items: list[T]
    next: str | None


class Items(Page[Item]):
    """A page of items, by uid."""


class Milestones(Page[Milestone]):
    """A page of milestones, by uid."""


class Findings(Page[Finding]):
    """A page of findings, the open and severe ones first."""


class Decisions(Page[Decision]):
    """A page of decisions, the latest first."""


class Sources(Page[Source]):
    """Every source, by name."""


class ProblemDetail(BaseModel):
    """What is wrong, and what to do; `fix` may be empty."""

    status: int
    message: str
    fix: str


class Problem(BaseModel):
    """Every answer that is none."""

    error: ProblemDetail


class Badge(BaseModel):
    """A badge for shields.io's endpoint badges (https://shields.io/badges/endpoint-badge)."""

    schemaVersion: Literal[1]  # noqa: N815 - shields.io's name
    label: str
    message: str
    color: Literal["green", "yellow", "red", "lightgrey"]
