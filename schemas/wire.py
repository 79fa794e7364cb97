"""Events on the wire: CloudEvents 1.0 in JSON, which topic and key each has, and their JSON Schemas.

The envelope follows CloudEvents 1.0.2 (sections 3.1 required and 3.2 optional attributes) and its JSON event
format, structured mode.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from schemas import events
from schemas.events import EventData

DEAD_LETTER_SUFFIX = ".dlq"


@dataclass(frozen=True)
class Topic:
    """A topic by its short name; the prefix is a setting (``courseline.`` by default)."""

    name: str
    partitions: int
    compacted: bool = False
    public: bool = True


WORK = Topic("work", partitions=12)
PROGRESS = Topic("progress", partitions=6, compacted=True)
DRIFT = Topic("drift", partitions=6)
ALIGN = Topic("align", partitions=12, public=False)
LEDGER = Topic("ledger", partitions=6, public=False)
TOPICS: tuple[Topic, ...] = (WORK, PROGRESS, DRIFT, ALIGN, LEDGER)

#: event type -> (topic, shape of its data)
TYPES: dict[str, tuple[Topic, type[Any]]] = {
    "work_item.changed": (WORK, events.WorkItemChanged),
    "work_item.removed": (WORK, events.WorkItemRemoved),
    "milestone.changed": (WORK, events.MilestoneChanged),
    "source.gap": (WORK, events.SourceGap),
    "item.touched": (ALIGN, events.ItemTouched),
    "strategy.applied": (LEDGER, events.StrategyApplied),
    "source.synced": (LEDGER, events.SourceSynced),
    "ledger.posted": (LEDGER, events.LedgerPosted),
    "progress.changed": (PROGRESS, events.ProgressChanged),
    "finding.opened": (DRIFT, events.FindingOpened),
    "finding.worsened": (DRIFT, events.FindingWorsened),
    "finding.eased": (DRIFT, events.FindingEased),
    "finding.closed": (DRIFT, events.FindingClosed),
    "decision.recorded": (DRIFT, events.DecisionRecorded),
}
_TYPE_OF: dict[type[Any], str] = {shape: name for name, (_, shape) in TYPES.items()}
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    name: msgspec.json.Decoder(shape) for name, (_, shape) in TYPES.items()
}
_ENCODER = msgspec.json.Encoder(order="deterministic")


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A CloudEvent in structured JSON; ``data`` stays raw until its type is known."""

    id: str
    source: str
    type: str
    time: datetime
    subject: str
    data: msgspec.Raw
    specversion: str = "1.0"
    datacontenttype: str = "application/json"


_ENVELOPE: msgspec.json.Decoder[Envelope] = msgspec.json.Decoder(Envelope)


class Undecodable(ValueError):
    """Bytes on a topic that are no event of ours; the message says which rule they break."""


class Event(msgspec.Struct, frozen=True):
    """One event: its identity, its key, when it was recorded, and what happened.

    ``ours`` says that it comes from our own log: what it tells of an item was stored with it.
    """

    id: str
    type: str
    key: str
    time: datetime
    data: EventData
    ours: bool = True

    @property
    def topic(self) -> Topic:
        return TYPES[self.type][0]


def key_of(data: EventData) -> str:
    """The partition key: what must stay in order shares it."""
    match data:
        case events.WorkItemChanged() | events.WorkItemRemoved() | events.MilestoneChanged():
            return data.after.uid
        case events.SourceGap():
            return f"{data.gap.source}:{data.gap.container}"
        case events.ItemTouched():
            return data.uid
        case events.LedgerPosted() | events.ProgressChanged():
            return data.node
        case events.SourceSynced():
            return data.source
        case events.StrategyApplied():
            return "strategy"
        case events.DecisionRecorded():
            return data.finding
        case _:
            return data.finding.id


def an_event(data: EventData, *, at: datetime, event_id: str | None = None) -> Event:
    """What happened, as an event with an identity of its own."""
    return Event(event_id or uuid.uuid4().hex, _TYPE_OF[type(data)], key_of(data), at.astimezone(UTC), data)


def encode(event: Event) -> bytes:
    """The event as CloudEvents JSON."""
    return _ENCODER.encode(
        Envelope(
            id=event.id,
            source="/courseline",
            type=event.type,
            time=event.time,
            subject=event.key,
            data=msgspec.Raw(_ENCODER.encode(event.data)),
        )
    )


def decode(value: bytes, *, ours: bool = True) -> Event:
    """The event in these bytes. Raises Undecodable with the reason."""
    try:
        envelope = _ENVELOPE.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Undecodable(f"not a CloudEvent in JSON: {error}") from error
    decoder = _DECODERS.get(envelope.type)
    if decoder is None:
        raise Undecodable(f"event {envelope.id} has the unknown type {envelope.type!r}")
    try:
        data = decoder.decode(envelope.data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Undecodable(f"event {envelope.id} ({envelope.type}) has data of another shape: {error}") from error
    return Event(envelope.id, envelope.type, envelope.subject, envelope.time, data, ours)


def json_schemas(types: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """The JSON Schema (2020-12) of each public event type's data, by type."""
    wanted = types if types is not None else [name for name, (topic, _) in TYPES.items() if topic.public]
    return {
        name: {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name}
        | msgspec.json.schema(TYPES[name][1])
        for name in wanted
    }
