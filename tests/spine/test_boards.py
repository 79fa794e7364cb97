"""From a value on a project board to the initiative that a rule gives the issue to."""

from datetime import timedelta

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
"""


async def test_a_rule_on_a_field_follows_the_board(organisation: Organisation) -> None:
    """The configured board's field decides what an issue serves, and a change on the board alone moves the issue."""
    board = add_board(organisation.world, "acme", 7)
    board.add_field("Goal", "SINGLE_SELECT", options=("Growth", "Trust"))
    one, other = organisation.world.container("acme/web").items[:2]
    board.put(one, Goal="Growth")
    board.put(other, Goal="Trust")
    path = organisation.configured()
    text = path.read_text()
    path.write_text(text.replace("[acme/web, acme/pay]", "[acme/web], project_boards: [acme/7], fields: {Goal: Goal}"))
    (path.parent / "strategy.yaml").write_text(STRATEGY)
    keys = [organisation.world.key(item) for item in (one, other)]

    async with open_app(load_settings(path, {})[0], time=organisation.time) as app:

        async def serving() -> list[list[str]]:
            rows = {row["key"]: row for row in await exported(app, "items")}
            return [[part["node"] for part in rows[key]["alignment"]] for key in keys]

        await app.sync()
        await app.apply()
        assert await serving() == [["INI-1"], ["INI-2"]]
        organisation.world.advance(organisation.world.now + timedelta(minutes=5))
        board.put(one, Goal="Trust")
        board.remove(other)
        await app.sync()
        assert await serving() == [["INI-2"], []]
