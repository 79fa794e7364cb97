"""The shapes in a strategy file: a strategy, its plan, and the rules that tie work to both."""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Literal
from unicodedata import normalize
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    WithJsonSchema,
    model_validator,
)

from schemas.match import Match

RUN = "run"
NONE = "none"
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Unit = Literal["count", "points", "time"]

_ID = re.compile(r"\w[\w.:+@-]*")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DAYS = re.compile(r"([1-9][0-9]{0,4})([dw])", re.ASCII)


def _id(text: str) -> str:
    text = normalize("NFC", text)
    if not _ID.fullmatch(text):
        raise ValueError("must be letters, digits and . _ - : + @, beginning with a letter or digit")
    return text


def _day(value: object) -> date:
    if isinstance(value, date) and type(value) is date:
        return value
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError("is no day of the calendar") from None
    raise ValueError("must be a plain day such as 2026-12-31, without a time")


def _days(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    found = _DAYS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be a number of days or weeks, such as 90d or 2w")
    return timedelta(days=int(found[1]) * (7 if found[2] == "w" else 1))


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):  # unknown, ill-formed or a folder of the database
        raise ValueError("is no time zone of the IANA database, such as Europe/Berlin") from None
    return text


def _none_is_empty(value: object) -> object:
    return () if value is None else value


def _none_is_section(value: object) -> object:
    return {} if value is None else value


Text = Annotated[str, Field(min_length=1, max_length=10_000)]
Id = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_id)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1)]
Amount = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)]
Scale = Annotated[int, Field(strict=True, ge=1, le=5)]
Day = Annotated[date, PlainValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
Days = Annotated[
    timedelta,
    PlainValidator(_days),
    PlainSerializer(lambda span: f"{span.days}d", return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,4}[dw]$"}),
]
TimeZone = Annotated[str, AfterValidator(_zone)]
Ids = Annotated[tuple[Id, ...], BeforeValidator(_none_is_empty)]
Names = Annotated[tuple[Text, ...], BeforeValidator(_none_is_empty)]


class Section(BaseModel):
    """What every part of the file shares: it is frozen, knows its keys, and never repeats a value in an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Titled(Section):
    """A part with an id, which stands for the title where none is given."""

    id: Id
    title: str = ""

    @model_validator(mode="before")
    @classmethod
    def _title_from_id(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(data.get("id"), str) and data.get("title") is None:
            return {**data, "title": data["id"]}
        return data


class Strategy(Titled):
    id: Id = "strategy"
    vision: str | None = None
    sponsor: Text | None = None
    review_every: Days | None = None
    effort: Unit = "count"  #: the unit wanted; what is used may fall back to count


class Calendar(Section):
    time_zone: TimeZone = "UTC"
    working_days: Annotated[tuple[Weekday, ...], Field(min_length=1)] = ("mon", "tue", "wed", "thu", "fri")
    holidays: Annotated[tuple[Day, ...], BeforeValidator(_none_is_empty)] = ()


class Driver(Section):
    """Why an objective exists."""

    id: Id
    kind: Literal["customer", "competitor", "market", "model", "technology"]
    statement: Text


class Signal(Section):
    """A change outside that asks for a decision by a day."""

    id: Id
    statement: Text
    observed: Day | None = None
    decide_by: Day | None = None
    affects: Ids = ()  #: nodes
    watch: Match | None = None


class Trigger(Section):
    """A risk comes true when more than so many matching items appear within so many days."""

    match: Match
    more_than: Annotated[int, Field(strict=True, ge=0)]
    within: Days


class Risk(Section):
    id: Id
    statement: Text
    likelihood: Scale | None = None
    impact: Scale | None = None
    affects: Ids = ()  #: nodes
    trigger: Trigger | None = None
    response: Id | None = None  #: a node
    owner: Text | None = None


class Stakeholder(Section):
    id: Id
    wants: Ids = ()  #: measures
    channel: Text | None = None
    every: Days | None = None


class Measure(Section):
    """An outcome in numbers of its own, which no tracker shows."""

    id: Id
    kind: Text | None = None
    unit: Text | None = None
    baseline: Number | None = None
    target: Number | None = None
    due: Day | None = None


class Horizon(Section):
    start: Day | None = None
    end: Day | None = None


class Objective(Titled):
    """An aim of years; it is due at its horizon's end."""

    parent: Id | None = None
    owner: Text | None = None
    sponsor: Text | None = None
    side: Literal["business", "it"] | None = None
    pair: Id | None = None  #: the objective of the other side
    rank: Annotated[int, Field(strict=True, ge=1)] | None = None
    weight: Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)] = 1.0
    share: Share | None = None  #: of all effort, as intended
    horizon: Horizon | None = None
    drivers: Ids = ()
    measures: Annotated[tuple[Measure, ...], BeforeValidator(_none_is_empty)] = ()
    match: Match | None = None

    @property
    def due(self) -> date | None:
        return self.horizon.end if self.horizon else None


class Run(Section):
    """Legitimate keep-the-lights-on work."""

    share: Share | None = None
    match: Match | None = None


class Reserve(Section):
    """A kind of work that keeps at least its share of effort, whatever it serves."""

    id: Id
    share_min: Share
    match: Match


class Plan(Section):
    title: str = ""
    review_every: Days | None = None


class Budget(Section):
    amount: Amount
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    rate_per_hour: Amount | None = None


class Responsibilities(Section):
    responsible: Names = ()
    accountable: Text | None = None
    consulted: Names = ()
    informed: Names = ()


class PlanMilestone(Section):
    """A dated step of an initiative; ``match`` ties it to tracker milestones and aligns nothing."""

    id: Id
    title: str = ""
    due: Day | None = None
    decisive: bool = False
    match: Match | None = None


class Initiative(Titled):
    """Work of twelve months at most that serves objectives, each by a share; the shares sum to at most 1."""

    serves: dict[Id, Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=1)]] = Field(min_length=1)
    owner: Text | None = None
    team: Id | None = None
    start: Day | None = None
    due: Day | None = None
    budget: Budget | None = None
    depends_on: Ids = ()
    responsibilities: Responsibilities | None = None
    milestones: Annotated[tuple[PlanMilestone, ...], BeforeValidator(_none_is_empty)] = ()
    match: Match | None = None


class Team(Titled):
    time_zone: TimeZone | None = None
    channels: Names = ()


class Pin(Section):
    """One item, tied by hand; ``until`` is the last day on which it holds."""

    item: Text
    to: Id  #: a node, ``run`` or ``none``
    by: Text | None = None
    why: str | None = None
    until: Day | None = None


class StrategyFile(Section):
    """The whole file. `sections` are the keys given, in the order of the file."""

    strategy: Annotated[Strategy, BeforeValidator(_none_is_section)] = Strategy(title="strategy")
    calendar: Annotated[Calendar, BeforeValidator(_none_is_section)] = Calendar()
    drivers: Annotated[tuple[Driver, ...], BeforeValidator(_none_is_empty)] = ()
    signals: Annotated[tuple[Signal, ...], BeforeValidator(_none_is_empty)] = ()
    risks: Annotated[tuple[Risk, ...], BeforeValidator(_none_is_empty)] = ()
    stakeholders: Annotated[tuple[Stakeholder, ...], BeforeValidator(_none_is_empty)] = ()
    objectives: Annotated[tuple[Objective, ...], BeforeValidator(_none_is_empty)] = ()
    run: Annotated[Run, BeforeValidator(_none_is_section)] = Run()
    reserves: Annotated[tuple[Reserve, ...], BeforeValidator(_none_is_empty)] = ()
    plan: Annotated[Plan, BeforeValidator(_none_is_section)] = Plan()
    initiatives: Annotated[tuple[Initiative, ...], BeforeValidator(_none_is_empty)] = ()
    teams: Annotated[tuple[Team, ...], BeforeValidator(_none_is_empty)] = ()
    pins: Annotated[tuple[Pin, ...], BeforeValidator(_none_is_empty)] = ()

    _sections: tuple[str, ...] = PrivateAttr(default=())

    @property
    def sections(self) -> tuple[str, ...]:
        return self._sections

    @model_validator(mode="wrap")
    @classmethod
    def _keep_order(cls, data: Any, handler: ModelWrapValidatorHandler["StrategyFile"]) -> "StrategyFile":
        file = handler(data)
        if isinstance(data, Mapping):
            file._sections = tuple(str(key) for key in data)
        return file
