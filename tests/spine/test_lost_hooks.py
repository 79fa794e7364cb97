"""A hook that found nobody at home is found in the host's list, and seen to as if it had come."""

from datetime import timedelta

from services.bootstrap import App
from services.simulator.acme_files import GITHUB
from tests.spine.test_hooks import see_to, some, stored
from tests.spine.test_registration import Trackers, trackers

__all__ = ["trackers"]


async def news(running: App) -> int:
    found = await running.inbox.take_undelivered(
        running.connectors[GITHUB], running.database.now() - timedelta(days=365)
    )
    await see_to(running)
    return found


async def test_a_deletion_whose_hook_was_lost_needs_no_census(trackers: Trackers) -> None:
    """Deleted while we answered 503: removed with the next look at the list, once, however often we look."""
    world = trackers.organisation.world
    async with trackers.app() as running:
        await running.hooks(GITHUB, install=True)
        await running.sync(GITHUB)
        (doomed, kept) = some(trackers.organisation, "github", 2)
        home = world.containers[doomed.container]
        (hook,) = trackers.github.registrations.of(home.id)
        payload = {
            "action": "deleted",
            "issue": {"id": doomed.id, "number": doomed.number},
            "repository": {"id": home.id, "full_name": home.key},
        }
        world.delete(doomed)
        trackers.github.deliveries.sent(hook["id"], "lost-1", "issues", payload, world.now, status=503)
        assert await news(running) == 1
        found = await stored(running.database)
        assert found[f"{GITHUB}:issue:{doomed.id}"][1] == "deleted"
        assert found[f"{GITHUB}:issue:{kept.id}"][1] == "present"
        assert await news(running) == 0
