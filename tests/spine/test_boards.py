"""From a value on a project board to the initiative that a rule gives the issue to."""

from datetime import date, timedelta

from services.bootstrap import open_app
from services.settings import load_settings
from services.simulator.boards import add_board
from tests.spine.conftest import Organisation
from tests.spine.test_spine import exported

STRATEGY = """
strategy: {id: acme, title: Acme}
objectives: [{id: OBJ-1, title: One, owner: ada, horizon: {start: 2026-01-01, end: 2028-12-31}}]
initiatives:
  - {id: INI-1, title: Growth, serves: {OBJ-1: 1.0}, owner: ada, start: 2026-07-01, due: 2026-12-15,
     match: {field: {Goal: Growth}}}
  - {id: INI-2, title: Trust, serves: {OBJ-1: 0.5}, owner: ada, start: 2026-07-01, due: 2026-12-15,
     match: {field: {Goal: Trust}}}
  - {id: INI-3, title: A sprint, serves: {OBJ-1: 0.5}, owner: ada, start: 2026-07-01, due: 2026-12-15,
     match: {milestone: Sprint 1}}
  - {id: INI-4, title: A team, serves: {OBJ-1: 0.5}, owner: ada, start: 2026-07-01, due: 2026-12-15,
     match: {team: web}}
"""


READ = "[acme/web], project_boards: [acme/7], fields: {Goal: Goal}, team_field: Team"


async def test_a_rule_on_a_field_follows_the_board(organisation: Organisation) -> None:
    """The configured board decides what an issue serves, by a field, its iteration and its team; a change on the
    board alone moves the issue."""
    board = add_board(organisation.world, "acme", 7)
    board.add_field("Goal", "SINGLE_SELECT", options=("Growth", "Trust"))
    board.add_field("Team", "TEXT")
    board.add_field("Iteration", "ITERATION")
    board.add_iteration("Sprint 1", date(2026, 11, 16))
    one, other, third, fourth = organisation.world.container("acme/web").items[:4]
    board.put(one, Goal="Growth")
    board.put(other, Goal="Trust")
    board.put(third, Iteration="Sprint 1")
    board.put(fourth, Team="web")
    path = organisation.configured()
    text = path.read_text()
    path.write_text(text.replace("[acme/web, acme/pay]", READ))
    (path.parent / "strategy.yaml").write_text(STRATEGY)
    keys = [organisation.world.key(item) for item in (one, other, third, fourth)]

    async with open_app(load_settings(path, {})[0], time=organisation.time) as app:

        async def serving() -> list[list[str]]:
            rows = {row["key"]: row for row in await exported(app, "items")}
            return [[part["node"] for part in rows[key]["alignment"]] for key in keys]

        await app.sync()
        await app.apply()
        assert await serving() == [["INI-1"], ["INI-2"], ["INI-3"], ["INI-4"]]
        organisation.world.advance(organisation.world.now + timedelta(minutes=5))
        board.put(one, Goal="Trust")
        board.remove(other)
        board.put(third, Iteration=None)
        await app.sync()
        assert await serving() == [["INI-2"], [], [], ["INI-4"]]
