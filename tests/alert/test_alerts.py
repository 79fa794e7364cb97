"""Each change of a finding is told once, to the right team, signed and harmless."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from sqlalchemy import select
from standardwebhooks import Webhook

from schemas import wire
from schemas.events import Finding, FindingClosed, FindingEased, FindingOpened, FindingWorsened
from schemas.strategy import parse_strategy
from services.alert.channels import Channel, Message, Undelivered
from services.alert.channels.slack import SlackChannel
from services.alert.channels.webhook import WebhookChannel
from services.alert.handlers import Alerter, Sender
from services.alert.policy import channels_for, is_told
from services.alert.render import slack_body
from services.storage import tables
from services.storage.database import Database

AT = datetime(2026, 11, 22, tzinfo=UTC)
SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"


def a_finding(**fields: Any) -> Finding:
    defaults: dict[str, Any] = {
        "id": "f-1",
        "node": "INI-1",
        "dimension": "schedule",
        "cause": "pace",
        "severity": "red",
        "opened_at": AT,
        "changed_at": AT,
        "sentence": "Sign-up has a chance of 12 % to be done by 2026-12-15.",
        "why": "17 of 40 items are done.",
        "owner": "ada",
        "team": "growth",
    }
    return Finding(**(defaults | fields))


FILE = parse_strategy(
    "teams: [{id: growth, channels: [growth-chat]}, {id: quiet}]", file="strategy.yaml", channels=["growth-chat"]
)


def test_the_team_of_the_node_is_told() -> None:
    """Its own channels where it has some; all of them where nobody else would hear."""
    configured = ["growth-chat", "operators"]
    assert channels_for(a_finding(), FILE, configured) == ("growth-chat",)
    assert channels_for(a_finding(team="quiet"), FILE, configured) == ("growth-chat", "operators")
    assert channels_for(a_finding(team=None), None, configured) == ("growth-chat", "operators")


def test_an_easing_or_quiet_finding_is_not_pushed() -> None:
    """A first look, a changed rule and good news on the way wake nobody."""
    assert is_told(FindingOpened(finding=a_finding()))
    assert is_told(FindingWorsened(finding=a_finding()))
    assert is_told(FindingClosed(finding=a_finding(), closed_at=AT))
    assert not is_told(FindingEased(finding=a_finding()))
    assert not is_told(FindingOpened(finding=a_finding(quiet="this is the first judgement of the node")))


def test_hostile_text_can_neither_ping_nor_link() -> None:
    """A title from a tracker is shown as it is."""
    hostile = a_finding(sentence="<!channel> <https://evil.example|click> *bold* & more")
    text = slack_body(FindingOpened(finding=hostile), "https://courseline.example")["blocks"][1]["text"]["text"]
    assert "<!channel>" not in text
    assert "<https://evil" not in text
    assert "&lt;!channel&gt;" in text
    assert "<https://courseline.example/nodes/INI-1|Open INI-1>" in text


class Receiver(HTTPServer):
    """A webhook receiver that remembers what came and answers as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.came: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class _Answering(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: the test looks at what came."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


async def heard(database: Database, channels: dict[str, Channel], *events: wire.Event) -> None:
    async with database.write() as uow:
        await Alerter(channels).handle(uow, events)


async def test_a_webhook_is_signed_by_the_standard(database: Database, receiver: Receiver) -> None:
    """The receiver verifies id, time and signature with the standard's own library."""
    channels: dict[str, Channel] = {"hook": WebhookChannel("hook", receiver.url, SECRET)}
    event = wire.an_event(FindingOpened(finding=a_finding()), at=AT)
    await heard(database, channels, event)
    assert await Sender(database, channels).drain() == 1
    ((headers, body),) = receiver.came
    assert Webhook(SECRET).verify(body, headers)["type"] == "finding.opened"
    assert wire.decode(body) == event


async def test_a_redelivered_event_tells_nobody_twice(database: Database, receiver: Receiver) -> None:
    """The same event heard three times is one message a channel."""
    channels: dict[str, Channel] = {"a": SlackChannel("a", receiver.url), "b": SlackChannel("b", receiver.url)}
    event = wire.an_event(FindingOpened(finding=a_finding(team=None)), at=AT)
    for _ in range(3):
        await heard(database, channels, event)
        while await Sender(database, channels).drain():
            pass
    assert len(receiver.came) == 2


async def test_a_failing_receiver_is_tried_again_with_the_same_id(sqlite_url: str, receiver: Receiver) -> None:
    """503 twice, then good: three tries, one id, and nothing before its time."""
    now = AT
    database = Database(sqlite_url, now=lambda: now)
    channels: dict[str, Channel] = {"hook": WebhookChannel("hook", receiver.url, SECRET)}
    receiver.answers = [503, 503]
    await heard(database, channels, wire.an_event(FindingOpened(finding=a_finding()), at=AT))
    sender = Sender(database, channels)
    tries = []
    for wait in (0, 1, 4, 299, 1):
        now += timedelta(seconds=wait)
        tries.append(await sender.drain())
    await database.close()
    assert tries == [1, 0, 1, 0, 1]
    assert len({headers["webhook-id"] for headers, _ in receiver.came}) == 1


async def test_a_receiver_that_is_gone_is_left_alone(database: Database, receiver: Receiver) -> None:
    """410 means that nobody wants to hear: the delivery has failed, and is not tried again."""
    channels: dict[str, Channel] = {"hook": WebhookChannel("hook", receiver.url, SECRET)}
    receiver.answers = [410]
    await heard(database, channels, wire.an_event(FindingOpened(finding=a_finding()), at=AT))
    await Sender(database, channels).drain()
    async with database.read() as connection:
        (row,) = await connection.execute(select(tables.deliveries))
    assert (row.state, row.error) == ("failed", "the receiver answered 410")


async def test_a_secret_url_is_never_told(database: Database) -> None:
    """An address that is a credential stands in no error and no representation."""
    channel = SlackChannel("chat", "http://127.0.0.1:9/services/T0/B0/very-secret")
    assert "very-secret" not in repr(channel)
    message = Message("m", FindingOpened(finding=a_finding()), b"{}")
    with pytest.raises(Undelivered) as refused:
        await channel.send(message)
    assert "very-secret" not in str(refused.value)
