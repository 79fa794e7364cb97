"""``courseline check`` of a site: each thing that is missing has a line of its own, with what mends it."""

import pytest

from connectors.base import Check
from connectors.jira.sync import JiraConnector
from services.simulator.faults import Fault
from tests.connectors.jira.conftest import Site

SCOPES = b'{"code": 401, "message": "Unauthorized; scope does not match"}'


async def failing(connector: JiraConnector) -> dict[str, Check]:
    return {one.name: one for one in await connector.check() if not one.ok}


async def test_a_good_token_fails_nothing(site: Site, connector: JiraConnector) -> None:
    site.fill(2)
    site.world.advance(site.clock.now())
    assert await failing(connector) == {}


@pytest.mark.parametrize(
    ("path", "what", "fix"),
    [
        ("approximate-count", "issues", "read:jira-work"),
        ("/version", "versions", "Browse Projects permission in WEB"),
        ("/resolution", "components and statuses", "read:jira-work"),
        ("/agile/", "sprints", "read:board-scope:jira-software"),
    ],
)
@pytest.mark.parametrize(("status", "body"), [(403, b'{"errorMessages": ["Forbidden"]}'), (401, SCOPES)])
async def test_each_part_that_may_not_be_read_is_named(
    site: Site, connector: JiraConnector, path: str, what: str, fix: str, status: int, body: bytes
) -> None:
    site.world.advance(site.clock.now())
    site.faults.add(Fault(when=path, kind="answer", status=status, body=body, times=None))
    (line,) = (await failing(connector)).values()
    assert (line.name, line.exit_code) == (f"j: {what} of WEB", 1)
    assert fix in line.fix


async def test_a_missing_project_is_named(site: Site) -> None:
    site.world.advance(site.clock.now())
    connector = site.connector(projects=("WEB", "NONE"))
    (line,) = (await failing(connector)).values()
    await connector.close()
    assert (line.name, "Browse Projects permission in NONE" in line.fix) == ("j: project NONE", True)
