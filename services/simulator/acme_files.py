"""Acme's own strategy file, and the configuration that ties it to the simulated trackers."""

from datetime import date, timedelta
from pathlib import Path

from services.simulator import github_host, jira_site
from services.simulator.acme import EFFORTS, YEAR, Acme
from services.simulator.world import World

JIRA, GITHUB = "acme-jira", "acme-github"
"""The names of the two sources; uids begin with them."""


def strategy_text(world: World, *, days: int = YEAR) -> str:
    """A strategy file that fits `acme(now=world.now, days=days)`; its dates lie around the world's now.

    INI-2 is slower than its due date needs, INI-3 grows, INI-4 has ended early; the others are healthy.
    """
    plan = Acme(world.now, days)
    today = world.now.date()
    pinned = _first(world, "odd-web")
    return f"""\
# Acme is a simulated company: nobody in it exists, and its work moves while you watch.
strategy:
  {{id: acme, title: Acme technology strategy, vision: Anyone can shop and pay in a minute, sponsor: cto,
   review_every: 90d, effort: count}}
calendar: {{time_zone: Europe/Berlin, working_days: [mon, tue, wed, thu, fri]}}
drivers:
  - {{id: D1, kind: customer, statement: Every third basket is left at the checkout}}
  - {{id: D2, kind: market, statement: Banks must offer transfers in ten seconds}}
  - {{id: D3, kind: technology, statement: The old cluster is out of support next year}}
signals:
  - {{id: S1, observed: {today - timedelta(days=20)}, statement: A rival pays out refunds at once,
     decide_by: {today + timedelta(days=25)}, affects: [OBJ-2]}}
risks:
  - {{id: R1, statement: Incidents eat the time for the plan, likelihood: 3, impact: 4, affects: [OBJ-2],
     trigger: {{match: {{type: Incident}}, more_than: 6, within: 14d}}, response: INI-5, owner: iris}}
stakeholders:
  - {{id: sales, wants: [checkout-time], channel: shop-log, every: 30d}}
objectives:
  - {{id: OBJ-1, title: Customers shop without friction, owner: ada, sponsor: cto, side: business, pair: OBJ-3, rank: 1,
     weight: 3, share: 0.30, horizon: {_horizon(today)}, drivers: [D1],
     measures: [{{id: checkout-time, kind: customer, unit: minutes, baseline: 4, target: 1, due: {_next_year(today)}}}],
     match: {{label: "objective:OBJ-1"}}}}
  - {{id: OBJ-2, title: Every bank and every refund in seconds, parent: OBJ-1, owner: ben, sponsor: cto, side: business,
     pair: OBJ-4, rank: 2, weight: 2, share: 0.25, horizon: {_horizon(today)}, drivers: [D2],
     measures: [{{id: refund-days, kind: customer, unit: days, baseline: 9, target: 1, due: {_next_year(today)}}}],
     match: {{label: "objective:OBJ-2"}}}}
  - {{id: OBJ-3, title: A platform that teams can rely on, owner: iris, sponsor: cto, side: it, pair: OBJ-1, rank: 3,
     share: 0.15, horizon: {_horizon(today)}, drivers: [D3],
     measures: [{{id: outages, kind: platform, unit: hours, baseline: 30, target: 5, due: {_next_year(today)}}}],
     match: {{label: "objective:OBJ-3"}}}}
  - {{id: OBJ-4, title: Data and systems are safe, parent: OBJ-3, owner: iris, sponsor: cto, side: it, pair: OBJ-2,
     rank: 4, share: 0.10, horizon: {_horizon(today)}, drivers: [D3], match: {{label: "objective:OBJ-4"}}}}
run:      {{share: 0.20, match: {{any: [{{type: Incident}}, {{label: run}}]}}}}
reserves: [{{id: security, share_min: 0.03, match: {{label: security}}}}]
plan:     {{title: "{today.year} and beyond", review_every: 30d}}
initiatives:
  - {{id: INI-1, title: Checkout on one page, serves: {{OBJ-1: 0.7, OBJ-2: 0.3}}, owner: ada, team: web,
     {_dates(plan, "INI-1")},
     responsibilities: {{responsible: [carl], accountable: ada, informed: [sales]}},
     milestones: [{{id: checkout-v2, due: {_due(plan, "INI-1")}, decisive: true, match: {{milestone: Checkout v2}}}}],
     match: {{any: [{{ancestor: [{_epics(world, "checkout")}]}}, {{project: acme/web, milestone: Checkout v2}}]}}}}
  - {{id: INI-2, title: Transfers in ten seconds, serves: {{OBJ-2: 1.0}}, owner: ben, team: payments,
     {_dates(plan, "INI-2")}, budget: {{amount: 180000, currency: EUR, rate_per_hour: 95}},
     responsibilities: {{responsible: [dora], accountable: ben, consulted: [legal]}},
     match: {{any: [{{ancestor: [{_epics(world, "transfers")}]}}, {{component: Bank transfers}}]}}}}
  - {{id: INI-3, title: Search that understands, serves: {{OBJ-1: 1.0}}, owner: ada, team: web,
     {_dates(plan, "INI-3")},
     responsibilities: {{responsible: [emil], accountable: ada}},
     match: {{project: WEB, component: Search}}}}
  - {{id: INI-4, title: Move to the second cluster, serves: {{OBJ-3: 1.0}}, owner: iris, team: platform,
     {_dates(plan, "INI-4")},
     responsibilities: {{responsible: [finn], accountable: iris}},
     match: {{project: OPS, milestone: Cluster 2}}}}
  - {{id: INI-5, title: One sign-on everywhere, serves: {{OBJ-4: 0.8, OBJ-3: 0.2}}, owner: iris, team: platform,
     {_dates(plan, "INI-5")}, depends_on: [INI-4],
     responsibilities: {{responsible: [finn], accountable: iris}},
     match: {{label: sso}}}}
  - {{id: INI-6, title: Refunds in a day, serves: {{OBJ-2: 1.0}}, owner: ben, team: payments,
     {_dates(plan, "INI-6")}, budget: {{amount: 90000, currency: EUR, rate_per_hour: 95}},
     responsibilities: {{responsible: [dora], accountable: ben}},
     match: {{any: [{{project: acme/pay, milestone: Refunds in a day}}, {{project: PAY, component: Refunds}}]}}}}
teams:
  - {{id: web, title: Web shop, time_zone: Europe/Berlin, channels: [shop-log]}}
  - {{id: payments, title: Payments, time_zone: Europe/Berlin, channels: [payments-log]}}
  - {{id: platform, title: Platform, time_zone: Europe/Berlin, channels: [platform-log]}}
pins:
  - {{item: "{JIRA}:{pinned}", to: INI-3, by: ada, why: It belongs to the search, until: {_next_year(today)}}}
"""


def config_text(
    jira_url: str,
    github_url: str,
    *,
    poll_every: str = "60s",
    database: str = "sqlite:///courseline.db",
    http: int = 8600,
) -> str:
    """A configuration that reads both simulated trackers; the tokens lie in files beside it."""
    return f"""\
strategy: strategy.yaml
database: {database}
http: {{host: 127.0.0.1, port: {http}}}
sources:
  - {{name: {JIRA}, kind: jira, url: "{jira_url}", email: {jira_site.EMAIL}, token_file: secrets/jira,
     projects: [PAY, WEB, OPS], poll_every: {poll_every}, fields: {{Goal: customfield_10050}},
     team_field: customfield_10001}}
  - {{name: {GITHUB}, kind: github, url: "{github_url}", token_file: secrets/github,
     repositories: [acme/web, acme/pay], poll_every: {poll_every}}}
alerts:
  channels:
    - {{name: shop-log, kind: log}}
    - {{name: payments-log, kind: log}}
    - {{name: platform-log, kind: log}}
"""


def write_files(directory: Path, strategy: str, config: str) -> Path:
    """Write courseline.yaml, strategy.yaml and the two tokens into a folder; gives the configuration's path."""
    secrets = directory / "secrets"
    secrets.mkdir(parents=True, exist_ok=True)
    for name, token in (("jira", jira_site.TOKEN), ("github", github_host.TOKEN)):
        path = secrets / name
        path.touch(mode=0o600)
        path.write_text(token + "\n", encoding="utf-8")
    (directory / "strategy.yaml").write_text(strategy, encoding="utf-8")
    path = directory / "courseline.yaml"
    path.write_text(config, encoding="utf-8")
    return path


def _first(world: World, effort: str) -> str:
    """The key of the first item of an effort; in a world without efforts, of the first item of its project."""
    where = world.container(next(one.container for one in EFFORTS if one.id == effort))
    return world.key(next((item for item in where.items if item.effort == effort), where.items[0]))


def _epics(world: World, effort: str) -> str:
    where = world.container(next(one.container for one in EFFORTS if one.id == effort))
    own = [item for item in where.items if item.type == "Epic" and item.effort == effort]
    every = own or [item for item in where.items if item.type == "Epic"]
    return ", ".join(world.key(item) for item in every) or f"{where.key}-1"


def _dates(plan: Acme, initiative: str) -> str:
    start = min(plan.day(one.start) for one in EFFORTS if one.initiative == initiative).date()
    return f"start: {start}, due: {_due(plan, initiative)}"


def _due(plan: Acme, initiative: str) -> date:
    due = max(plan.day(one.due) for one in EFFORTS if one.initiative == initiative and one.due is not None)
    return max(due, plan.now + timedelta(days=7)).date()


def _horizon(today: date) -> str:
    return f"{{start: {date(today.year - 1, 1, 1)}, end: {date(today.year + 2, 12, 31)}}}"


def _next_year(today: date) -> date:
    return date(today.year + 1, 12, 31)
