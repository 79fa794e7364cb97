"""The fictional company Acme: its teams, its trackers, and the work it has taken on."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from services.simulator.flow import Flow
from services.simulator.world import World

YEAR = 365

TEAMS = {"web": "Web shop", "payments": "Payments", "platform": "Platform"}
PEOPLE = {"web": (11, 12, 13, 14), "payments": (21, 22, 23), "platform": (31, 32, 33)}

PROJECTS: tuple[tuple[str, str, tuple[str, ...], bool], ...] = (
    ("PAY", "Payments", ("Bank transfers", "Cards", "Refunds"), False),
    ("WEB", "Web shop", ("Checkout", "Search", "Catalogue"), False),
    ("OPS", "Platform", ("Cluster", "Identity", "Monitoring"), True),
)
REPOSITORIES = (("acme/web", "The web shop"), ("acme/pay", "The payment service"))


@dataclass(frozen=True, kw_only=True)
class Effort:
    """A body of work in one container; days count from today, and shrink with a shorter history.

    ``size`` items are there soon after the start; from ``grows_from`` on, ``growth`` more come each week. A team
    finishes ``pace`` of them a week; without a pace each is begun some days after it came.
    """

    id: str
    team: str
    container: str
    start: int = -YEAR
    due: int | None = None
    size: int = 0
    pace: float | None = None
    grows_from: int | None = None
    growth: float = 0.0
    subjects: tuple[str, ...] = ()
    epics: tuple[str, ...] = ()
    milestone: str | None = None
    components: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    types: tuple[str, ...] = ("Story", "Story", "Task", "Bug")
    goal: str | None = None
    initiative: str | None = None


_TRANSFERS = ("bank transfer", "account check", "bank list", "payment mandate", "settlement file", "return code")
_CHECKOUT = ("address form", "basket", "guest checkout", "delivery choice", "voucher", "order summary")
_SEARCH = ("search box", "synonyms", "result ranking", "filters", "typing errors", "empty results")
_CLUSTER = ("web service", "batch jobs", "message queue", "load balancer", "log shipping", "database replica")
_IDENTITY = ("sign-on of the shop", "sign-on of the back office", "role model", "session length", "key rotation")
_REFUNDS = ("refund form", "partial refund", "refund status", "refund letter", "ledger entry")
_UPKEEP = ("certificate", "library update", "disk space", "build time", "flaky test", "backup", "runner image")
_ODD = ("colour of a button", "export for a partner", "old report", "internal tool", "prototype", "text on a page")

EFFORTS = (
    Effort(
        id="checkout", initiative="INI-1", team="web", container="WEB", start=-210, due=60, size=46, pace=1.3,
        epics=("Checkout on one page", "Checkout as a guest"), components=("Checkout",), subjects=_CHECKOUT,
    ),
    Effort(
        id="checkout-shop", initiative="INI-1", team="web", container="acme/web", start=-200, due=60, size=30, pace=0.9,
        epics=("Checkout front end",), milestone="Checkout v2", subjects=_CHECKOUT, types=("Feature", "Task", "Bug"),
    ),
    Effort(
        id="transfers", initiative="INI-2", team="payments", container="PAY", start=-240, due=30, size=74, pace=1.3,
        epics=("Transfers in ten seconds", "Directory of banks", "Reconciliation"), components=("Bank transfers",),
        subjects=_TRANSFERS,
    ),
    Effort(
        id="search", initiative="INI-3", team="web", container="WEB", start=-180, due=90, size=40, pace=1.5,
        grows_from=-60, growth=2.6, epics=("Search that understands",), components=("Search",), subjects=_SEARCH,
    ),
    Effort(
        id="cluster", initiative="INI-4", team="platform", container="OPS", start=-300, due=20, size=56, pace=2.0,
        epics=("Move to the second cluster",), milestone="Cluster 2", components=("Cluster",), subjects=_CLUSTER,
    ),
    Effort(
        id="identity", initiative="INI-5", team="platform", container="OPS", start=-120, due=130, size=40, pace=1.6,
        epics=("One sign-on",), components=("Identity",), labels=("sso",), subjects=_IDENTITY,
    ),
    Effort(
        id="refunds-service", initiative="INI-6", team="payments", container="acme/pay", start=-150, due=75, size=38,
        pace=1.3, milestone="Refunds in a day", subjects=_REFUNDS, types=("Feature", "Task", "Bug"),
    ),
    Effort(
        id="refunds-desk", initiative="INI-6", team="payments", container="PAY", start=-140, due=75, size=14, pace=0.65,
        components=("Refunds",), subjects=_REFUNDS, goal="Refunds",
    ),
    # towards an objective, but part of no initiative
    Effort(id="shop-polish", team="web", container="WEB", growth=0.3, labels=("objective:OBJ-1",), subjects=_CHECKOUT),
    Effort(id="delivery", team="platform", container="OPS", growth=0.3, labels=("objective:OBJ-3",), subjects=_UPKEEP),
    Effort(
        id="hardening", team="platform", container="OPS", growth=0.6, labels=("objective:OBJ-4", "security"),
        subjects=_IDENTITY,
    ),
    Effort(
        id="two-masters", team="web", container="WEB", growth=0.09, labels=("objective:OBJ-1", "objective:OBJ-3"),
        subjects=_CHECKOUT,
    ),
    # run
    Effort(
        id="upkeep", team="platform", container="OPS", growth=0.9, labels=("run",), types=("Task",), subjects=_UPKEEP
    ),
    Effort(
        id="upkeep-service", team="payments", container="acme/pay", growth=0.4, labels=("run",), types=("Task",),
        subjects=_UPKEEP,
    ),
    Effort(id="incidents-pay", team="payments", container="PAY", growth=0.4, types=("Incident",), subjects=_TRANSFERS),
    Effort(id="incidents-ops", team="platform", container="OPS", growth=0.3, types=("Incident",), subjects=_CLUSTER),
    # serving nothing
    Effort(id="odd-web", team="web", container="WEB", growth=0.55, subjects=_ODD),
    Effort(id="odd-pay", team="payments", container="PAY", growth=0.4, subjects=_ODD),
    Effort(id="odd-shop", team="web", container="acme/web", growth=0.35, types=("Bug", "Task"), subjects=_ODD),
)  # fmt: skip


@dataclass(frozen=True)
class Acme:
    """What is needed to say when an effort begins and ends, and how large it is."""

    now: datetime
    days: int

    @property
    def stretch(self) -> float:
        """A history of less than a year holds smaller efforts, at the same pace."""
        return min(1.0, self.days / YEAR)

    def day(self, offset: int) -> datetime:
        return self.now + timedelta(days=offset * self.stretch)

    def size(self, effort: Effort) -> int:
        return ceil(effort.size * self.stretch)


def acme(*, now: datetime, seed: int = 7, days: int = YEAR) -> World:
    """Acme's trackers as they are at ``now``, ``days`` after its first item; `World.advance` moves the work on.

    Raises ValueError for fewer than 7 days or a naive time.
    """
    if days < 7:
        raise ValueError(f"the simulated history must be at least 7 days long, not {days}")
    world = World(seed=seed, start=now - timedelta(days=days), watched=now)
    for key, title, components, team_managed in PROJECTS:
        world.add_container("jira", key, title, components=components, team_managed=team_managed)
    for key, title in REPOSITORIES:
        world.add_container("github", key, title)
    plan = Acme(now, days)
    for effort in EFFORTS:
        start = max(plan.day(effort.start), world.now) if effort.size else world.now
        Flow(
            team=PEOPLE[effort.team],
            container=effort.container,
            tag=effort.id,
            size=plan.size(effort),
            pace=effort.pace,
            stretch=plan.stretch,
            growth=effort.growth,
            grows_from=plan.day(effort.grows_from) if effort.grows_from is not None else start,
            subjects=effort.subjects,
            epics=effort.epics,
            milestone=effort.milestone,
            due=plan.day(effort.due).date() if effort.due is not None else None,
            components=effort.components,
            labels=effort.labels,
            types=effort.types,
            goal=effort.goal,
            team_name=TEAMS[effort.team],
        ).begin(world, start)
    world.advance(now)
    return world
