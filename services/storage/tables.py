"""Every table, by the stage that writes it.

Amounts in the ledger are exact integers, so that sums commute and no order of events can change a byte: shares
are in 720,720ths (`schemas.amounts.SHARE`), estimates in thousandths of a point or seconds.
"""

import sqlite3
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Moment(TypeDecorator[datetime]):
    """An aware UTC time. SQLite keeps no zone, so UTC is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _in_utc(value)

    def bind_processor(self, dialect: Dialect) -> Any:
        return _sqlite_text if dialect.name == "sqlite" else super().bind_processor(dialect)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time must be aware; naive times are refused")
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def _sqlite_text(moment: datetime | None) -> str | None:
    # What SQLAlchemy itself writes, without its format by dictionary.
    return None if moment is None else _in_utc(moment).isoformat(" ", "microseconds")[:-6]


# The driver writes what many rows are made of by itself, as SQLAlchemy would.
sqlite3.register_adapter(datetime, _sqlite_text)
sqlite3.register_adapter(date, date.isoformat)
#: Types whose values SQLite's driver takes as they are.
ADAPTED = (Moment, Date, Boolean, LargeBinary)

#: SQLite gives an autoincrementing key to INTEGER only.
Position = BigInteger().with_variant(Integer, "sqlite")

# --- the log and its readers -------------------------------------------------------------------------------------

log = Table(
    "log",
    metadata,
    Column("position", Position, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("topic", String(64), nullable=False),
    Column("key", Text, nullable=False),
    Column("type", String(64), nullable=False),
    Column("time", Moment, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Index("ix_log_topic_position", "topic", "position"),
    sqlite_autoincrement=True,
)

positions = Table(
    "positions",
    metadata,
    Column("consumer", String(64), primary_key=True),
    Column("topic", String(128), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("position", BigInteger, nullable=False),  # last log position handled: the fence
    Column("offset", BigInteger, nullable=False),  # next Kafka offset to read; 0 on the embedded stream
    Column("updated_at", Moment, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Position, primary_key=True, autoincrement=True),
    Column("consumer", String(64), nullable=False),
    Column("topic", String(128), nullable=False),
    Column("partition", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("event_id", String(64)),
    Column("key", Text),
    Column("type", String(64)),
    Column("value", LargeBinary, nullable=False),
    Column("error", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("redriven_at", Moment),
    UniqueConstraint("consumer", "topic", "partition", "position"),
    sqlite_autoincrement=True,
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("until", Moment, nullable=False),
)

# --- ingest: what the trackers hold ------------------------------------------------------------------------------

sources = Table(
    "sources",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("flavour", String(32), nullable=False, default=""),
    Column("state", String(16), nullable=False),  # new, syncing, ok, failing, auth_failed
    Column("first_complete_at", Moment),
    Column("last_complete_at", Moment),
    Column("last_attempt_at", Moment),
    Column("waits_until", Moment),
    Column("error", Text),
    Column("requests", BigInteger, nullable=False, default=0),
    Column("poll_every_s", Integer, nullable=False, default=60),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("container", String(255), primary_key=True),  # the immutable id
    Column("key", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("complete_at", Moment),  # when the last proven complete pass over it ended
    Column("items_total", Integer),
    Column("census_at", Moment),  # when the last proven complete census of it began
    Column("updated_at", Moment, nullable=False),
)

dimensions = Table(
    "dimensions",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("container", String(255), primary_key=True),  # the immutable id
    Column("content", LargeBinary, nullable=False),  # names by kind and id, in JSON
    Column("read_at", Moment, nullable=False),
)

older_answers = Table(
    "older_answers",
    metadata,
    Column("uid", String(255), primary_key=True),
    Column("source", String(64), nullable=False),
    Column("hash", LargeBinary, nullable=False),  # of the item as it was answered
    Column("reads", Integer, nullable=False),
    Column("first_at", Moment, nullable=False),
)

gaps = Table(
    "gaps",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("container", String(255), primary_key=True),
    Column("reason", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Column("fix", Text, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("closed_at", Moment),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("container", String(255), primary_key=True),
    Column("ref", String(255), primary_key=True),
    Column("problem", Text, nullable=False),
    Column("raw", Text, nullable=False),
    Column("seen_at", Moment, nullable=False),
)

hook_deliveries = Table(
    "hook_deliveries",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("delivery", String(128), primary_key=True),  # the tracker's own id of the delivery, the same when repeated
    Column("event", String(128), nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("hints", LargeBinary, nullable=False),  # what may have changed, in JSON; never the tracker's state
    Column("handled_at", Moment),  # null: still to be asked for
    Index("ix_hook_deliveries_handled_at_received_at", "handled_at", "received_at"),
)

items = Table(
    "items",
    metadata,
    Column("uid", String(255), primary_key=True),
    Column("source", String(64), nullable=False),
    Column("container", String(255), nullable=False),
    Column("key", String(255), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("parent", String(255)),
    Column("availability", String(16), nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("observed_at", Moment, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),  # schemas.work.WorkItem in JSON
    Index("ix_items_key", "key"),
    Index("ix_items_parent", "parent"),
    Index("ix_items_source_container", "source", "container"),
)

boards = Table(
    "boards",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("board", String(255), primary_key=True),  # owner/number, as configured
    Column("place", Integer, nullable=False),  # in the configured order
    Column("content", LargeBinary, nullable=False),  # what the connector remembers of it
    Column("read_at", Moment),  # when it was last read whole
)

board_items = Table(
    "board_items",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("board", String(255), primary_key=True),
    Column("entry", String(255), primary_key=True),  # the board's own id of it
    Column("item", String(255)),  # uid; null while only the key is known, and no item of that key is stored
    Column("key", String(255), nullable=False),
    Column("content", LargeBinary, nullable=False),  # schemas.boards.BoardItem in JSON
    Index("ix_board_items_item", "item"),
    Index("ix_board_items_source_key", "source", "key"),
)

former_keys = Table(
    "former_keys",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("item", String(255), primary_key=True),
)

item_milestones = Table(
    "item_milestones",
    metadata,
    Column("milestone", String(255), primary_key=True),
    Column("item", String(255), primary_key=True),
)

milestones = Table(
    "milestones",
    metadata,
    Column("uid", String(255), primary_key=True),
    Column("source", String(64), nullable=False),
    Column("container", String(255)),
    Column("title", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("observed_at", Moment, nullable=False),
    Column("content", LargeBinary, nullable=False),  # schemas.work.Milestone in JSON
    Index("ix_milestones_source", "source"),
)

# --- strategy: what was applied ----------------------------------------------------------------------------------

strategies = Table(
    "strategies",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("applied_at", Moment, nullable=False),
    Column("restate", Boolean, nullable=False),
    Column("approved", Boolean, nullable=False),  # froze a baseline
    Column("by", Text),
    Column("why", Text),
    Column("unit", String(8), nullable=False),  # count, points, time: fixed by apply
    Column("unit_wanted", String(8), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("content", Text, nullable=False),  # the strategy file as it was given
)

baselines = Table(
    "baselines",
    metadata,
    Column("version", Integer, primary_key=True),  # of the strategy that froze it
    Column("node", String(128), primary_key=True),
    Column("frozen_at", Moment, nullable=False),
    Column("day", Date, nullable=False),
    Column("unit", String(8), nullable=False),
    Column("scope", BigInteger, nullable=False),  # share x weight, exact
)

baseline_items = Table(
    "baseline_items",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("item", String(255), primary_key=True),
    Column("node", String(128), primary_key=True),
    Column("weight", BigInteger, nullable=False),  # share x frozen weight, exact
)

baseline_done = Table(
    "baseline_done",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("node", String(128), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("done", BigInteger, nullable=False),
)

# --- align and ledger --------------------------------------------------------------------------------------------

item_states = Table(
    "item_states",
    metadata,
    Column("uid", String(255), primary_key=True),
    Column("content", LargeBinary, nullable=False),  # services.align.state.ItemState in JSON
)

parenthoods = Table(
    "parenthoods",
    metadata,
    Column("parent", String(255), primary_key=True),
    Column("child", String(255), primary_key=True),  # is, or once was, its child
)

alignments = Table(
    "alignments",
    metadata,
    Column("item", String(255), primary_key=True),
    Column("seq", SmallInteger, primary_key=True),
    Column("node", String(128), nullable=False),  # a node, `run` or `none` (unaligned)
    Column("share", Integer, nullable=False),  # of 720,720
    Column("level", String(16)),
    Column("rule", Text),
    Column("inherited_from", String(255)),
    Column("valid_from", Moment, nullable=False),
    Column("valid_to", Moment),  # null: in force
    Column("ambiguous", Boolean, nullable=False),
    Column("rule_error", Boolean, nullable=False),
    Column("unbroken", Boolean, nullable=False),
    Index("ix_alignments_node", "node", "valid_to", "item"),
)

postings = Table(
    "postings",
    metadata,
    Column("item", String(255), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("node", String(128), primary_key=True),
    Column("type", String(128), primary_key=True),
    Column("kind", String(12), primary_key=True),  # added, removed, reestimated, moved_in, moved_out, done
    Column("scope", BigInteger, nullable=False),  # shares
    Column("done", BigInteger, nullable=False),
    Column("scope_points", BigInteger, nullable=False),  # share x thousandths of a point, where estimated
    Column("done_points", BigInteger, nullable=False),
    Column("scope_pointed", BigInteger, nullable=False),  # shares that have points
    Column("done_pointed", BigInteger, nullable=False),
    Column("scope_seconds", BigInteger, nullable=False),  # share x seconds, where estimated
    Column("done_seconds", BigInteger, nullable=False),
    Column("scope_timed", BigInteger, nullable=False),  # shares that have a time estimate
    Column("done_timed", BigInteger, nullable=False),
    Column("effort", BigInteger, nullable=False),  # share x seconds spent
    Column("recorded_at", Moment, nullable=False),
)

balances = Table(
    "balances",
    metadata,
    Column("node", String(128), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("type", String(128), primary_key=True),
    Column("kind", String(12), primary_key=True),
    Column("scope", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("scope_points", BigInteger, nullable=False),
    Column("done_points", BigInteger, nullable=False),
    Column("scope_pointed", BigInteger, nullable=False),
    Column("done_pointed", BigInteger, nullable=False),
    Column("scope_seconds", BigInteger, nullable=False),
    Column("done_seconds", BigInteger, nullable=False),
    Column("scope_timed", BigInteger, nullable=False),
    Column("done_timed", BigInteger, nullable=False),
    Column("effort", BigInteger, nullable=False),
)

headcounts = Table(
    "headcounts",
    metadata,
    Column("nodes", String(512), primary_key=True),  # the sorted nodes an item counts for, joined by a space
    Column("day", Date, primary_key=True),
    Column("counted", BigInteger, nullable=False),
)

estimates = Table(
    "estimates",
    metadata,
    Column("unit", String(8), primary_key=True),  # points, time
    Column("type", String(128), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("estimate", BigInteger, primary_key=True),  # thousandths of a point, or seconds
    Column("counted", BigInteger, nullable=False),
)

activity = Table(
    "activity",
    metadata,
    Column("parent", String(255), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("children", BigInteger, nullable=False),  # how many children begin (or, negative, end) to count
)

# --- steer and alert ---------------------------------------------------------------------------------------------

node_figures = Table(
    "node_figures",
    metadata,
    Column("node", String(128), primary_key=True),
    Column("as_of", Moment, nullable=False),
    Column("stale", Boolean, nullable=False),
    Column("judged", Boolean, nullable=False),  # a whole first judgement was made, so later ones may alert
    Column("strategy_version", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),  # schemas.events.ProgressChanged in JSON
)

findings = Table(
    "findings",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("node", String(128), nullable=False),
    Column("dimension", String(16), nullable=False),
    Column("severity", String(8), nullable=False),
    Column("open", Boolean, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("closed_at", Moment),
    Column("seq", Integer, nullable=False),  # how many changes it has had
    Column("content", LargeBinary, nullable=False),  # schemas.events.Finding in JSON
    Index("ix_findings_node", "node"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("event_id", String(64), nullable=False),
    Column("finding", String(64), nullable=False),
    Column("channel", String(64), nullable=False),
    Column("kind", String(32), nullable=False),  # finding.opened, …
    Column("state", String(16), nullable=False),  # pending, sent, failed, suppressed
    Column("attempts", Integer, nullable=False),
    Column("next_at", Moment),
    Column("sent_at", Moment),
    Column("error", Text),
    Column("content", LargeBinary, nullable=False),
    UniqueConstraint("event_id", "channel"),
    Index("ix_deliveries_state_next_at", "state", "next_at"),
)

# --- what people answered ----------------------------------------------------------------------------------------

decisions = Table(
    "decisions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("finding", String(64), nullable=False),
    Column("node", String(128), nullable=False),
    Column("decision", String(8), nullable=False),  # keep, adjust, stop
    Column("severity", String(8), nullable=False),  # of the finding when it was decided
    Column("by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("effect", Text),  # what is expected of it
    Column("at", Moment, nullable=False),
    Index("ix_decisions_finding_at", "finding", "at"),
    Index("ix_decisions_at_id", "at", "id"),
)

appraisals = Table(
    "appraisals",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("node", String(128), nullable=False),  # a node, or `strategy` or `plan` as a whole
    Column("decision", String(8), nullable=False),  # keep, adjust, stop
    Column("by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("attendees", Text, nullable=False),  # a list of names in JSON
    Column("at", Moment, nullable=False),
    Index("ix_appraisals_node_at", "node", "at"),
)

acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("finding", String(64), nullable=False),
    Column("severity", String(8), nullable=False),  # of the finding that was acknowledged; a worse one is told again
    Column("by", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("ended_at", Moment),  # null: in force; the finding closed, or another one took its place
    Index("ix_acknowledgements_finding_ended_at", "finding", "ended_at"),
)

snoozes = Table(
    "snoozes",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("finding", String(64), nullable=False),
    Column("until", Date, nullable=False),  # its last day, in the calendar's zone
    Column("ends_at", Moment, nullable=False),
    Column("by", Text),
    Column("why", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("ended_at", Moment),  # null: in force, or its end has yet to be seen to
    Index("ix_snoozes_finding_ended_at", "finding", "ended_at"),
    Index("ix_snoozes_ended_at_ends_at", "ended_at", "ends_at"),
)
