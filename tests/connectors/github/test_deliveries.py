"""The hooks that nobody took: told by the host's own list, each once, whatever else is in it."""

from datetime import timedelta
from typing import Any

import pytest

from connectors.base import Ref, Retriable
from connectors.github.sync import GitHubConnector
from connectors.hooks import Delivery, Hints
from services.simulator.faults import Fault
from services.simulator.vendor_faults import server_error
from tests.connectors.github.conftest import NOW, Host

OURS = {"config": {"url": "https://courseline.acme.example/hooks/g"}}
SINCE = NOW - timedelta(hours=1)


def a_hook(host: Host, **changes: Any) -> int:
    id_: int = host.site.registrations.add(host.repository.id, OURS | changes, None)["id"]
    return id_


def fail(host: Host, hook: int, guid: str, number: int = 7, *, minutes: float = 5, status: int = 503) -> None:
    """A delivery about an issue that was answered so, so long ago."""
    home = {"id": host.repository.id, "full_name": host.repository.key}
    payload = {"action": "deleted", "issue": {"id": 1000 + number, "number": number}, "repository": home}
    host.site.deliveries.sent(hook, guid, "issues", payload, NOW - timedelta(minutes=minutes), status=status)


def about(host: Host, guid: str, number: int = 7) -> Delivery:
    ref = Ref(uid=f"g:issue:{1000 + number}", key=f"acme/web#{number}", container=str(host.repository.id))
    return Delivery(id=guid, event="issues", hints=Hints(items=(ref,)))


async def test_what_failed_is_told_with_what_it_was_about(host: Host, connector: GitHubConnector) -> None:
    """A refusal, a server's error, no answer at all; what was taken and what is older is not told."""
    hook = a_hook(host)
    fail(host, hook, "old", minutes=90)
    for number, (guid, status) in enumerate([("lost-1", 503), ("lost-2", 0), ("taken", 200), ("lost-3", 401)]):
        fail(host, hook, guid, number, minutes=30 - number, status=status)
    told = await connector.undelivered(SINCE)
    assert told == [about(host, "lost-1", 0), about(host, "lost-2", 1), about(host, "lost-3", 3)]


async def test_what_was_sent_again_with_success_has_arrived(host: Host, connector: GitHubConnector) -> None:
    """And what failed twice is one."""
    hook = a_hook(host)
    for guid, status in (("a", 503), ("b", 503), ("a", 200), ("b", 503)):
        fail(host, hook, guid, status=status)
    assert await connector.undelivered(SINCE) == [about(host, "b")]


async def test_hooks_of_others_are_not_looked_at(host: Host, connector: GitHubConnector) -> None:
    """The address tells whose a hook is."""
    fail(host, a_hook(host, config={"url": "https://elsewhere.example/hooks/other"}), "theirs")
    assert await connector.undelivered(SINCE) == []


async def test_a_long_list_is_read_to_where_it_is_known(host: Host, connector: GitHubConnector) -> None:
    """Page by page as far back as is asked, and no farther; of very many, the last only hint at a poll."""
    hook = a_hook(host)
    for number in range(1000):
        fail(host, hook, f"old-{number}", minutes=120)
    for number in range(250):
        fail(host, hook, f"lost-{number}", number)
    told = await connector.undelivered(SINCE)
    assert [one.id for one in told] == [f"lost-{number}" for number in range(250)]
    assert [one.hints.poll for one in told] == [False] * 200 + [True] * 50
    assert len([one for one in host.faults.asked if one.path.endswith("/deliveries")]) == 3


async def test_an_idle_look_is_two_requests_that_cost_nothing(host: Host, connector: GitHubConnector) -> None:
    """The list of hooks and that of the deliveries, both unchanged."""
    fail(host, a_hook(host), "lost")
    await connector.undelivered(SINCE)
    used, before = host.site.accounts.own.used, len(host.faults.asked)
    await connector.undelivered(SINCE)
    lists = [one.path for one in host.faults.asked[before:] if "hooks" in one.path]
    assert [path.rpartition("/")[2] for path in lists[:2]] == ["hooks", "deliveries"]
    assert host.site.accounts.own.used - used <= 1  # the one delivery itself


async def test_hooks_that_may_not_be_read_tell_nothing(host: Host, connector: GitHubConnector) -> None:
    """That is for `hooks check` to say."""
    fail(host, a_hook(host), "lost")
    host.site.registrations.allowed = False
    assert await connector.undelivered(SINCE) == []


@pytest.mark.parametrize(
    "body", [b'{"request": null}', b'{"request": {"payload": []}}', b'{"request": {"payload": 5}}']
)
async def test_a_delivery_that_does_not_tell_hints_at_a_poll(
    host: Host, connector: GitHubConnector, body: bytes
) -> None:
    fail(host, a_hook(host), "lost")
    host.faults.add(Fault(when=r"/deliveries/\d+", kind="answer", body=body))
    assert await connector.undelivered(SINCE) == [Delivery(id="lost", event="issues", hints=Hints(poll=True))]


async def test_rubbish_in_the_list_hides_nothing(host: Host, connector: GitHubConnector) -> None:
    """Rows without a time, a guid or a form at all are passed over; a list that is none is an error."""
    fail(host, a_hook(host), "lost")
    rows = (
        b'[5, null, {"id": 1}, {"id": "x", "guid": "odd", "delivered_at": "2026-11-23T09:50:00Z", "status_code": "?"}]'
    )
    host.faults.add(Fault(when=r"/deliveries\?", kind="answer", body=rows))
    assert await connector.undelivered(SINCE) == [Delivery(id="odd", event="", hints=Hints(poll=True))]
    host.faults.clear()
    host.faults.add(server_error(r"/deliveries\?", times=None))
    with pytest.raises(Retriable):
        await connector.undelivered(SINCE)
