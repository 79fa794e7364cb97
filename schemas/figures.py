"""A node's figures at length: its burn-up by day, its forecast by week."""

from datetime import date

import msgspec

from schemas.events import Forecast


class BurnupDay(msgspec.Struct, frozen=True):
    """Balances at a day's end, and what the plan says they should be (None outside the plan)."""

    day: date
    scope: float
    done: float
    planned: float | None = None


class Burnup(msgspec.Struct, frozen=True):
    """A node's burn-up, by day on which something changed; the counters are gross over all days."""

    unit: str
    days: tuple[BurnupDay, ...]
    counters: dict[str, float]
    start: date | None = None
    due: date | None = None
    baseline_scope: float | None = None


class ForecastWeek(msgspec.Struct, frozen=True):
    """A week's end and the chance to be done by then."""

    day: date
    chance: float


class SampleWeek(msgspec.Struct, frozen=True):
    """A week of data that the forecast rests on."""

    monday: date
    done: float
    added: float


class ForecastDetail(msgspec.Struct, frozen=True):
    """A forecast with all that it rests on."""

    forecast: Forecast
    remaining: float
    weeks: tuple[ForecastWeek, ...]
    samples: tuple[SampleWeek, ...]
