"""An idle poll is answered 304 and spends nothing; no 304 hides an update for ever."""

from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.base import Page, Unreachable
from connectors.github.sync import GitHubConnector
from services.simulator.faults import Fault
from services.simulator.model import Item
from tests.connectors.github.conftest import ISSUES, Host, read, seen


def later(host: Host, **by: float) -> None:
    """Both clocks move on."""
    by_ = timedelta(**by)
    host.world.advance(host.world.now + by_)
    host.clock.at += by_.total_seconds()


async def poll(host: Host, connector: GitHubConnector, checkpoint: bytes | None) -> tuple[list[Page], bytes]:
    await connector.discover()
    pages = await read(connector, host.there, checkpoint)
    return pages, bytes(pages[-1].checkpoint)


async def warmed(host: Host, connector: GitHubConnector) -> bytes:
    """A host with a limit and some recent changes, read until nothing is new; a few minutes into an hour."""
    host.fill(8, apart=timedelta(minutes=2))
    later(host, minutes=60 - host.world.now.minute + 8)
    host.site.hourly = 5000
    _, checkpoint = await poll(host, connector, None)
    for _ in range(2):
        later(host, minutes=1)
        _, checkpoint = await poll(host, connector, checkpoint)
    return checkpoint


def edited(host: Host, title: str) -> Item:
    item = host.repository.items[0]
    host.world.edit(item, title=title)
    return item


async def test_an_idle_poll_asks_three_times_and_spends_nothing(host: Host, connector: GitHubConnector) -> None:
    """The repository, its milestones and its issues, and ``/meta`` once for the host: each answered 304."""
    checkpoint = await warmed(host, connector)
    for _ in range(5):
        later(host, minutes=1)
        before, used = len(host.faults.asked), connector.client.credentials[0].limits["x-ratelimit-used"]
        pages, checkpoint = await poll(host, connector, checkpoint)
        asked = [one for one in host.faults.asked[before:] if not one.path.endswith("/meta")]
        assert len(asked) <= 3, [one.line for one in asked]
        assert {one.status for one in host.faults.asked[before:]} == {304}
        assert connector.client.credentials[0].limits["x-ratelimit-used"] == used
        assert seen(pages) == {}
        assert pages[-1].complete


async def test_a_change_in_the_bucket_is_seen_and_nothing_else(host: Host, connector: GitHubConnector) -> None:
    """Of all that the bucket lists, only what changed is read with its events."""
    checkpoint = await warmed(host, connector)
    later(host, minutes=1)
    item = edited(host, "Changed in the bucket")
    later(host, seconds=10)
    pages, _ = await poll(host, connector, checkpoint)
    assert [one.title for page in pages for one in page.items] == [item.title]


async def test_a_304_that_lies_loses_no_update(host: Host, connector: GitHubConnector) -> None:
    """Whatever asks by an ETag is told that nothing changed, for ever: the update is read within the hour."""
    checkpoint = await warmed(host, connector)
    later(host, minutes=1)
    item = edited(host, "Hidden by a lie")
    lie = Fault(when=ISSUES, kind="answer", status=304, times=None)
    host.faults.unruly(lambda asked: lie if asked.known and "/issues?" in asked.line else None)
    found: dict[str, object] = {}
    for minute in range(70):
        later(host, minutes=1)
        pages, checkpoint = await poll(host, connector, checkpoint)
        found |= seen(pages)
        assert minute or str(item.id) not in found, "the lie was not told"
    assert str(item.id) in found


async def test_another_token_reads_everything_whole(host: Host, connector: GitHubConnector) -> None:
    """An ETag is never sent with a token that it was not given to."""
    checkpoint = await warmed(host, connector)
    host.site.token = "another-token"
    connector.client.credentials[0]._secret = "another-token"
    before = len(host.faults.asked)
    await poll(host, connector, checkpoint)
    assert [one.line for one in host.faults.asked[before:] if one.known] == []


async def test_a_304_that_was_not_asked_for_is_an_error(host: Host, connector: GitHubConnector) -> None:
    """It is no empty list, and the pass does not end well."""
    host.fill(3)
    host.faults.add(Fault(when=ISSUES, kind="answer", status=304, times=None))
    with pytest.raises(Unreachable, match="304"):
        await read(connector, host.there)


async def test_an_answer_that_was_none_is_not_remembered(host: Host, connector: GitHubConnector) -> None:
    """A broken body with an ETag is asked for anew, not believed unchanged."""
    checkpoint = await warmed(host, connector)
    later(host, minutes=51)
    broken = Fault(when=ISSUES, kind="answer", headers={"etag": 'W/"b"'}, body=b"[{", times=1)
    host.faults.add(replace(broken, when="/milestones"), broken)
    later(host, seconds=1)
    item = edited(host, "Behind a broken answer")
    before = len(host.faults.asked)
    pages, _ = await poll(host, connector, checkpoint)
    assert [one.title for page in pages for one in page.items if one.external_id == str(item.id)] == [item.title]
    sent = [one.known for one in host.faults.asked[before:]]
    assert 'W/"b"' not in sent
