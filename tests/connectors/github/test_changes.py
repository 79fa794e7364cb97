"""What an issue's type and parent were, by its events: each step as it was told, or nothing at all."""

from datetime import timedelta
from typing import Any

from connectors.github.sync import GitHubConnector
from schemas.work import Transition, WorkItem
from services.simulator.faults import Fault
from services.simulator.model import Item
from tests.connectors.github.conftest import EVENTS, Host, items, read
from tests.connectors.github.test_translate import a_row, an_event, item

UIDS = {"acme/web/1": "g:issue:1001", "acme/web/2": "g:issue:1002"}


def steps(found: WorkItem, field: str) -> list[tuple[Any, Any]]:
    return [(one.before, one.after) for one in found.history if one.field == field]


def typed(number: int, kind: str, day: int, after: Any = None, before: Any = None) -> dict[str, Any]:
    named = {"issue_type": after, "prev_issue_type": before}
    told = {name: {"name": type_} for name, type_ in named.items() if type_ is not None}
    return an_event(number, f"issue_type_{kind}", day, **told)


async def lived(host: Host) -> tuple[Item, Item, Item]:
    """Two parents and a child that had the one, then the other, and three types."""
    host.fill(2)
    first, second = host.repository.items
    child = host.world.create(host.repository, "Child", type="Task", parent=first.id)
    for values in ({"type": "Bug", "parent": second.id}, {"type": None}, {"type": "Feature"}):
        host.world.advance(host.world.now + timedelta(hours=1))
        host.world.edit(child, **values)
    return first, second, child


async def test_types_and_parents_are_known_for_every_day(host: Host, connector: GitHubConnector) -> None:
    """Both as the issue's own events tell them, dated by these."""
    first, second, child = await lived(host)
    found = items(await read(connector, host.there))[str(child.id)]
    one, other = f"g:issue:{first.id}", f"g:issue:{second.id}"
    assert steps(found, "type") == [(None, "Task"), ("Task", "Bug"), ("Bug", None), (None, "Feature")]
    assert steps(found, "parent") == [(None, one), (one, None), (None, other)]
    assert (found.type, found.parent) == ("Feature", other)
    told = [change for change in found.history if change.field in ("type", "parent")]
    assert {change.origin for change in told} == {"event"}
    assert told[0].at == child.created


async def test_a_poll_tells_the_same_past_as_a_backfill(host: Host) -> None:
    """Whoever has read no list yet asks for the parents that events name: the history does not depend on it."""
    _, _, child = await lived(host)
    for number in range(40):  # more than are asked for one by one
        host.world.create(host.repository, f"Later {number}")
    host.world.advance(host.world.now + timedelta(hours=3))
    backfill = host.connector()
    pages = await read(backfill, host.there)
    host.world.advance(host.world.now + timedelta(hours=3))
    host.world.touch(child)
    poll = host.connector()
    again = items(await read(poll, host.there, bytes(pages[-1].checkpoint)))
    assert set(again) == {str(child.id)}
    assert again[str(child.id)].history == items(pages)[str(child.id)].history
    assert len(steps(again[str(child.id)], "parent")) == 3
    await backfill.close()
    await poll.close()


async def test_an_event_that_does_not_say_which_type_tells_no_past(host: Host, connector: GitHubConnector) -> None:
    """As hosts answered at first: the type is the present one, and nothing is made up."""
    _, _, child = await lived(host)

    def silent(rows: Any) -> Any:
        return [{name: value for name, value in row.items() if "issue_type" not in name} for row in rows]

    host.faults.add(Fault(when=EVENTS + r"|/\d+/events", kind="rewrite", times=None, change=silent))
    found = items(await read(connector, host.there))[str(child.id)]
    assert (found.type, steps(found, "type")) == ("Feature", [])
    assert len(steps(found, "parent")) == 3


async def test_a_parent_that_is_gone_tells_no_past(host: Host, connector: GitHubConnector) -> None:
    """Its reference is null: half a past would be a wrong one."""
    first, second, child = await lived(host)
    host.world.delete(first)
    found = items(await read(connector, host.there))[str(child.id)]
    assert (found.parent, steps(found, "parent")) == (f"g:issue:{second.id}", [])


def test_half_a_past_is_none() -> None:
    """Of two changes the one says no type; of two parents the one is none of ours."""
    added, nameless = typed(1, "added", 1, "Bug"), typed(2, "changed", 2, "Task")
    assert steps(item(a_row(), added, nameless), "type") == []
    assert steps(item(a_row(), added, typed(2, "changed", 2, "Task", "Bug")), "type") == [
        (None, "Bug"), ("Bug", "Task")
    ]  # fmt: skip
    assert steps(item(a_row(), typed(3, "removed", 3, before="Bug")), "type") == [("Bug", None)]


def test_a_parent_is_named_by_the_reference_in_the_event() -> None:
    names = [an_event(place, "parent_issue_added", place, parent_issue=name) for place, name in enumerate(UIDS, 1)]
    found = item(a_row(), *names, parents=UIDS)
    assert steps(found, "parent") == [(None, "g:issue:1001"), (None, "g:issue:1002")]
    assert all(isinstance(change, Transition) for change in found.history)
    odd = [an_event(3, "parent_issue_added", 3, parent_issue=odd) for odd in (None, 5, "acme/web/3", {"number": 1})]
    for event in odd:
        assert steps(item(a_row(), *names, event, parents=UIDS), "parent") == []
