"""Prometheus metrics: what the process counted, and what the tables say of sources and nodes."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from sqlalchemy import func, select

from services.feed import reading
from services.ledger.strategies import current_strategy
from services.storage import tables
from services.storage.database import Database

_HEALTH = {"unknown": -1, "green": 0, "amber": 1, "red": 2}


class _Once:
    """Metrics computed for one scrape."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


async def metrics_text(database: Database) -> tuple[bytes, str]:
    """The text exposition of everything, and its content type."""
    async with database.read() as connection:
        strategy = await current_strategy(connection)
        nodes = await reading.nodes(connection, strategy) if strategy else {}
        sources = await reading.sources(connection)
        totals = await reading.totals(connection)
        dead = tables.dead_letters.c
        waiting = await connection.execute(select(func.count()).where(dead.redriven_at.is_(None)))
        letters = waiting.scalar() or 0
    registry = CollectorRegistry()
    registry.register(_Once([*_sources(sources), *_nodes(nodes), *_totals(totals, letters)]))
    return generate_latest(REGISTRY) + generate_latest(registry), CONTENT_TYPE_LATEST


def _family(name: str, text: str, label: str, values: Iterable[tuple[str, float | None]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"courseline_{name}", text, labels=[label])
    for key, value in values:
        if value is not None:
            family.add_metric([key], value)
    return family


def _seconds(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()


def _sources(sources: list[dict[str, Any]]) -> Iterable[Metric]:
    def each(value: Any) -> Iterable[tuple[str, float | None]]:
        return ((one["name"], value(one)) for one in sources)

    yield _family("sync_last_success_timestamp_seconds", "End of the last complete pass.", "source",
                  each(lambda one: _seconds(one["last_complete_at"])))  # fmt: skip
    yield _family("source_up", "Whether the last pass was complete.", "source",
                  each(lambda one: float(one["state"] in ("ok", "syncing"))))  # fmt: skip
    yield _family("source_items", "Items stored.", "source", each(lambda one: float(one["items"])))
    yield _family("source_gaps", "Containers that cannot be read.", "source", each(lambda one: float(len(one["gaps"]))))
    yield _family("source_quarantined", "Items set aside.", "source", each(lambda one: float(one["quarantined"])))
    yield _family("source_requests", "Requests sent so far.", "source", each(lambda one: float(one["requests"])))


def _nodes(nodes: dict[str, dict[str, Any]]) -> Iterable[Metric]:
    def each(value: Any) -> Iterable[tuple[str, float | None]]:
        return ((name, value(one)) for name, one in sorted(nodes.items()))

    yield _family("node_progress_ratio", "Done of scope.", "node", each(lambda one: one["progress"]["ratio"]))
    yield _family("node_scope", "Scope, in the unit.", "node", each(lambda one: one["progress"]["scope"]))
    yield _family("node_done", "Done, in the unit.", "node", each(lambda one: one["progress"]["done"]))
    yield _family("node_chance_on_time", "Chance to be done by the due date.", "node",
                  each(lambda one: one["forecast"]["chance_on_time"]))  # fmt: skip
    yield _family("node_health", "-1 unknown, 0 green, 1 amber, 2 red.", "node",
                  each(lambda one: float(_HEALTH[one["health"]])))  # fmt: skip


def _totals(totals: dict[str, float], letters: int) -> Iterable[Metric]:
    yield GaugeMetricFamily("courseline_unaligned_items", "Items that serve nothing.", value=totals["unaligned"])
    yield GaugeMetricFamily("courseline_run_items", "Items that are run.", value=totals["run"])
    yield GaugeMetricFamily("courseline_dead_letters", "Events set aside and not sent again.", value=letters)
