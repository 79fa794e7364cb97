"""The tracker lives on while it is read: nothing is missed."""

from datetime import timedelta

import pytest

from connectors.github.sync import GitHubConnector
from services.simulator.faults import Fault
from tests.connectors.github.conftest import EVENTS, ISSUES, Host, items, read, seen


@pytest.mark.parametrize("what", ["updates", "arrivals", "departures"])
async def test_nothing_is_missed_while_pages_move(host: Host, connector: GitHubConnector, what: str) -> None:
    """Issues that change, come or go with every page served: this pass and the next see all that is left."""
    host.fill(450)
    turn = iter(range(10_000))

    def happen() -> None:
        at = next(turn)
        host.world.advance(host.world.now + timedelta(seconds=2))
        with host.world.lock:
            for place in range(3):
                item = host.repository.items[(at * 37 + place * 11) % 150]
                if what == "updates":
                    host.world.touch(item)
                elif what == "arrivals":
                    host.world.create(host.repository, "Late")
                else:
                    host.world.delete(item)

    host.faults.add(Fault(when=ISSUES, kind="pass", times=8, act=happen))
    first = await read(connector, host.there)
    host.faults.clear()
    second = await read(connector, host.there, first[-1].checkpoint)
    found = seen(first) | seen(second)
    assert {id_: found.get(id_) for id_ in host.truth()} == host.truth()


@pytest.mark.parametrize("what", ["new", "deleted"])
async def test_events_that_move_while_they_are_read_leave_no_gap(
    host: Host, connector: GitHubConnector, what: str
) -> None:
    """New events, or those of a deleted issue that vanish, shift the list: every history is still whole."""
    host.fill(400)

    def happen() -> None:
        host.world.advance(host.world.now + timedelta(seconds=2))
        with host.world.lock:
            for turn in range(7):
                if what == "deleted":
                    host.world.delete(host.repository.items[-1])
                else:
                    host.world.edit(host.repository.items[0], labels=("run", "x")[: 1 + turn % 2])

    # the neighbour is served after it has happened: new events push it down, vanished ones pull it up
    first, second = ("page=2$", "page=3$") if what == "deleted" else ("page=3$", "page=2$")
    host.faults.add(Fault(when=f"{EVENTS}.*{first}", kind="pass", act=happen))
    host.faults.add(Fault(when=f"{EVENTS}.*{second}", kind="pass", seconds=0.3))
    found = items(await read(connector, host.there))
    for item in host.repository.items[1:]:
        told = sorted(change.field for change in found[str(item.id)].history)
        assert told == (["labels", "resolution", "status"] if item.status == "closed" else ["labels"]), item.number
        assert not any(change.origin == "inferred" for change in found[str(item.id)].history)


async def test_a_poll_finds_what_changed_and_little_else(host: Host, connector: GitHubConnector) -> None:
    """The next pass asks from its predecessor's start on, by the host's clock, and reaches back five minutes."""
    host.fill(250)
    first = await read(connector, host.there)
    host.world.advance(host.world.now + timedelta(hours=1))
    host.world.finish(host.repository.items[0])
    late = host.repository.items[2]
    late.updated = host.world.now - timedelta(hours=1, minutes=4)
    host.world.revision += 1
    asked = connector.requests
    second = await read(connector, host.there, first[-1].checkpoint)
    assert {str(host.repository.items[0].id), str(late.id)} <= set(seen(second))
    assert len(seen(second)) <= 4
    assert connector.requests - asked <= 8


@pytest.mark.parametrize("minutes", [-600, 10, 600])
async def test_our_own_clock_does_not_matter(host: Host, minutes: int) -> None:
    """A machine that is hours off the host's clock misses no update."""
    host.world.advance(host.clock.now() + timedelta(minutes=minutes))
    host.fill(30)
    connector = host.connector()
    first = await read(connector, host.there)
    host.world.advance(host.world.now + timedelta(minutes=1))
    host.world.finish(host.repository.items[0])
    second = await read(connector, host.there, first[-1].checkpoint)
    assert str(host.repository.items[0].id) in seen(second)
    await connector.close()


async def test_a_host_without_a_clock_is_read_from_yesterday_on(host: Host, connector: GitHubConnector) -> None:
    """Where no answer has a date, our own clock may be wrong by a day and nothing is missed."""
    host.faults.add(Fault(when="", kind="rewrite", times=None, headers={"date": "yesterday"}))
    host.world.advance(host.clock.now() - timedelta(hours=10))
    host.fill(30)
    first = await read(connector, host.there)
    host.world.advance(host.world.now + timedelta(minutes=1))
    host.world.finish(host.repository.items[0])
    second = await read(connector, host.there, first[-1].checkpoint)
    assert str(host.repository.items[0].id) in seen(second)


async def test_a_renamed_repository_is_the_same_one(host: Host, connector: GitHubConnector) -> None:
    """Configured by a former name, it is found by the redirect, read whole, and its items keep their identity."""
    host.fill(130)
    before = items(await read(connector, host.there))
    host.world.rename_container("acme/web", "acme/site")
    found = await connector.discover()
    assert [(one.id, one.key) for one in found.containers] == [(host.there.id, "acme/site")]
    after = items(await read(connector, found.containers[0]))
    assert {one.uid for one in after.values()} == {one.uid for one in before.values()}
    assert {one.key.partition("#")[0] for one in after.values()} == {"acme/site"}
