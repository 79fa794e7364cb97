"""What was acknowledged or snoozed is told no more than was asked for, and not forgotten either."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from schemas import wire
from schemas.events import (
    DecisionRecorded,
    EventData,
    Finding,
    FindingClosed,
    FindingOpened,
    FindingWorsened,
    Severity,
)
from services.alert.attention import acknowledge, snooze
from services.alert.channels import Channel, Message, Undelivered
from services.alert.handlers import Alerter, Sender
from services.alert.policy import Acknowledged, Attention, Snoozed, held_back
from services.storage import tables
from services.storage.database import Database
from tests.alert.test_alerts import AT, a_finding

KNOWN = Attention(acknowledged=Acknowledged("amber", "ada"))
MUTE = Attention(snoozed=Snoozed(date(2026, 12, 1), "a freeze"))


@pytest.mark.parametrize(
    ("happened", "attention", "reason"),
    [
        (FindingOpened(finding=a_finding(severity="amber")), Attention(), None),
        (FindingOpened(finding=a_finding(severity="amber")), KNOWN, "acknowledged by ada when it was amber"),
        (FindingWorsened(finding=a_finding(severity="red")), KNOWN, None),
        (FindingClosed(finding=a_finding(severity="amber"), closed_at=AT), KNOWN, None),
        (FindingWorsened(finding=a_finding(severity="red")), MUTE, "snoozed to the end of 2026-12-01: a freeze"),
        (FindingClosed(finding=a_finding(), closed_at=AT), MUTE, "snoozed to the end of 2026-12-01: a freeze"),
    ],
)
def test_what_is_held_back(happened: Any, attention: Attention, reason: str | None) -> None:
    """A snooze: everything. An acknowledgement: what is no worse than what was acknowledged, and never the end."""
    assert held_back(happened, attention) == reason


@dataclass
class Chat:
    """A channel that remembers what it was told."""

    name: str = "chat"
    told: list[Any] = field(default_factory=list)
    away: bool = False

    async def send(self, message: Message) -> str:
        if self.away:
            raise Undelivered("away", status=503)
        self.told.append(message.happened)
        return "ok"


class Desk:
    """The alert stage over a database whose clock the test moves, and a finding as the judge stores it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = AT
        database.now = lambda: self.now
        self.chat = Chat()
        self.channels: dict[str, Channel] = {"chat": self.chat}
        self.finding = a_finding()

    async def happens(self, what: type[Any], severity: Severity) -> wire.Event:
        """An hour later something happens to the finding, and is heard."""
        self.now += timedelta(hours=1)
        self.finding = a_finding(severity=severity, changed_at=self.now)
        closed = {"closed_at": self.now} if what is FindingClosed else {}
        async with self.database.write() as uow:
            row: dict[str, Any] = {
                "id": self.finding.id,
                "node": self.finding.node,
                "dimension": "schedule",
                "severity": severity,
            }
            row |= {"opened_at": AT, "changed_at": self.now, "closed_at": None, "seq": 1, "open": not closed}
            content = {"content": msgspec.json.encode(self.finding)}
            await uow.upsert(tables.findings, [row | content], replace=[*row, "content"])
        event = wire.an_event(what(finding=self.finding, **closed), at=self.now)
        await self.hears(event)
        return event

    async def hears(self, *events: wire.Event) -> None:
        async with self.database.write() as uow:
            await Alerter(self.channels).handle(uow, events)
        await self.sends()

    async def sends(self) -> None:
        while await Sender(self.database, self.channels).drain():
            pass

    def takes(self) -> list[tuple[str, str]]:
        """What the chat was told since it was last asked."""
        told = [(type(one).__name__, one.finding.severity) for one in self.chat.told]
        self.chat.told.clear()
        return told

    async def acknowledged(self, by: str = "ada") -> None:
        async with self.database.write() as uow:
            await acknowledge(uow, self.finding, by=by)

    async def snoozed(self, until: date, why: str = "a freeze") -> datetime:
        async with self.database.write() as uow:
            return await snooze(uow, self.finding, until, why=why)

    async def rows(self) -> list[Any]:
        async with self.database.read() as connection:
            return list(await connection.execute(select(tables.deliveries).order_by(tables.deliveries.c.id)))


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


async def test_an_acknowledged_finding_is_told_when_it_is_worse_and_when_it_closes(desk: Desk) -> None:
    """Amber is known, red is news; once it closed, the same drift is news again."""
    await desk.happens(FindingOpened, "amber")
    await desk.acknowledged()
    assert desk.takes() == [("FindingOpened", "amber")]
    await desk.happens(FindingWorsened, "red")
    assert desk.takes() == [("FindingWorsened", "red")]
    await desk.acknowledged()
    await desk.happens(FindingWorsened, "red")
    assert desk.takes() == []
    await desk.happens(FindingClosed, "red")
    assert desk.takes() == [("FindingClosed", "red")]
    await desk.happens(FindingOpened, "amber")
    assert desk.takes() == [("FindingOpened", "amber")]


async def test_a_snoozed_finding_is_told_when_the_snooze_has_ended(desk: Desk) -> None:
    """Nothing until its last day is over, however bad; then once, with why it was snoozed."""
    await desk.happens(FindingOpened, "amber")
    ends_at = await desk.snoozed(date(2026, 11, 30))
    assert ends_at.isoformat() == "2026-12-01T00:00:00+00:00"
    await desk.happens(FindingWorsened, "red")
    assert desk.takes() == [("FindingOpened", "amber")]
    desk.now = ends_at - timedelta(microseconds=1)
    await desk.sends()
    assert desk.takes() == []
    desk.now = ends_at
    await desk.sends()
    (told,) = desk.chat.told
    assert told.finding.why == "17 of 40 items are done. It was snoozed to the end of 2026-11-30: a freeze"
    assert desk.takes() == [("FindingOpened", "red")]
    desk.now += timedelta(days=30)
    await desk.sends()
    assert desk.takes() == []


async def test_what_closed_in_its_sleep_wakes_nobody(desk: Desk) -> None:
    """Nor does what was acknowledged meanwhile; what opens after the snooze is told as ever."""
    await desk.happens(FindingOpened, "amber")
    desk.takes()
    await desk.snoozed(date(2026, 11, 30))
    await desk.happens(FindingClosed, "amber")
    desk.now += timedelta(days=30)
    await desk.sends()
    assert desk.takes() == []
    await desk.happens(FindingOpened, "amber")
    assert desk.takes() == [("FindingOpened", "amber")]
    await desk.snoozed((desk.now + timedelta(days=3)).date())
    await desk.acknowledged()
    desk.now += timedelta(days=30)
    await desk.sends()
    assert desk.takes() == []


async def test_the_latest_snooze_counts(desk: Desk) -> None:
    """A longer one goes on, a shorter one ends sooner, and what they took the place of tells nothing."""
    await desk.happens(FindingOpened, "red")
    desk.takes()
    for until in (date(2026, 11, 25), date(2026, 12, 20), date(2026, 12, 10)):
        desk.now += timedelta(minutes=1)
        await desk.snoozed(until)
    told = []
    for day in range(40):
        desk.now = AT + timedelta(days=day, hours=12)
        await desk.sends()
        told += [day] * len(desk.takes())
    assert told == [19]


async def test_what_was_held_back_stays_so_when_it_is_heard_again(desk: Desk) -> None:
    """A redelivery after the snooze's end, in any order, sends nothing and changes no row."""
    await desk.happens(FindingOpened, "amber")
    await desk.snoozed(date(2026, 11, 30))
    worsened = await desk.happens(FindingWorsened, "red")
    desk.now += timedelta(days=30)
    await desk.sends()
    desk.takes()
    before = await desk.rows()
    await desk.hears(worsened, worsened)
    assert desk.takes() == []
    assert await desk.rows() == before
    assert [(row.kind, row.state, row.error) for row in before if row.state != "sent"] == [
        ("finding.worsened", "suppressed", "snoozed to the end of 2026-11-30: a freeze")
    ]


async def test_a_snooze_holds_for_what_is_heard_late(desk: Desk) -> None:
    """What happened while it was snoozed is heard after its end, and is told once: by the end of the snooze."""
    await desk.happens(FindingOpened, "amber")
    desk.takes()
    await desk.snoozed(date(2026, 11, 30))
    late = wire.an_event(FindingWorsened(finding=a_finding()), at=desk.now + timedelta(hours=1))
    desk.now += timedelta(days=30)
    await desk.sends()
    await desk.hears(late)
    assert desk.takes() == [("FindingOpened", "amber")]


async def test_what_happens_after_a_snooze_is_told_once(desk: Desk) -> None:
    """Worse on the morning after its last day, heard before anybody looked whether it is over: one message."""
    await desk.happens(FindingOpened, "amber")
    desk.takes()
    desk.now = await desk.snoozed(date(2026, 11, 30))
    await desk.happens(FindingWorsened, "red")
    assert desk.takes() == [("FindingWorsened", "red")]


async def test_what_waits_for_a_receiver_is_held_back_too(desk: Desk) -> None:
    """The chat is away, somebody snoozes meanwhile: the message does not come after all."""
    desk.chat.away = True
    await desk.happens(FindingOpened, "amber")
    assert [row.state for row in await desk.rows()] == ["pending"]
    await desk.acknowledged()
    assert [row.state for row in await desk.rows()] == ["suppressed"]
    await desk.happens(FindingWorsened, "red")
    await desk.snoozed(date(2026, 11, 30))
    desk.chat.away = False
    desk.now += timedelta(days=2)
    await desk.sends()
    assert desk.takes() == []


def decided(finding: Finding, at: datetime, **fields: Any) -> EventData:
    defaults: dict[str, Any] = {"id": "d-1", "finding": finding.id, "node": finding.node, "decision": "keep"}
    defaults |= {"severity": finding.severity, "by": "ada", "why": "it holds", "at": at}
    return DecisionRecorded(**(defaults | fields))


async def test_a_decision_acknowledges(desk: Desk) -> None:
    """Who decided knows; heard again after the finding closed, the decision holds back nothing new."""
    await desk.happens(FindingOpened, "red")
    decision = wire.an_event(decided(desk.finding, desk.now), at=desk.now)
    await desk.hears(decision, decision)
    desk.takes()
    await desk.happens(FindingWorsened, "red")
    assert desk.takes() == []
    await desk.happens(FindingClosed, "red")
    assert desk.takes() == [("FindingClosed", "red")]
    await desk.hears(decision)
    await desk.happens(FindingOpened, "amber")
    assert desk.takes() == [("FindingOpened", "amber")]


async def test_a_decision_that_is_heard_late_ends_no_later_acknowledgement(desk: Desk) -> None:
    """Decided at amber, acknowledged at red, and only then is the decision heard: red is known."""
    await desk.happens(FindingOpened, "amber")
    decision = wire.an_event(decided(desk.finding, desk.now), at=desk.now)
    await desk.happens(FindingWorsened, "red")
    await desk.acknowledged(by="ben")
    desk.takes()
    await desk.hears(decision)
    await desk.happens(FindingWorsened, "red")
    assert desk.takes() == []
