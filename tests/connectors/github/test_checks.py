"""``courseline check`` of a host: each thing that is missing has a line of its own, with what mends it."""

import pytest

from connectors.base import Check
from connectors.github.sync import GitHubConnector
from services.simulator.faults import Fault
from tests.connectors.github.conftest import Host


async def failing(connector: GitHubConnector) -> dict[str, Check]:
    return {one.name: one for one in await connector.check() if not one.ok}


async def test_a_good_token_fails_nothing(host: Host, connector: GitHubConnector) -> None:
    host.fill(2)
    host.world.advance(host.clock.now())
    host.site.accounts.own.scopes = "repo, read:org, read:project"
    checks = await connector.check()
    assert [one.name for one in checks if not one.ok] == []
    (scopes,) = [one for one in checks if one.name == "g: scopes"]
    assert scopes.detail == "the token has: read:org, read:project, repo"


@pytest.mark.parametrize(
    ("path", "what"),
    [
        (r"/issues\?", "issues"), ("/pulls", "pull requests"), ("/events", "events"), ("/milestones", "milestones"),
        ("/labels", "labels"),
    ],
)  # fmt: skip
async def test_each_part_that_may_not_be_read_is_named(
    host: Host, connector: GitHubConnector, path: str, what: str
) -> None:
    """With the permission that the host itself names, or that its page names."""
    host.world.advance(host.clock.now())
    needs = {"x-accepted-github-permissions": "issues=read"}
    body = b'{"message": "Resource not accessible by personal access token"}'
    host.faults.add(Fault(when=path, kind="answer", status=403, headers=needs, body=body, times=None))
    (line,) = (await failing(connector)).values()
    assert (line.name, line.fix, line.exit_code) == (
        f"g: {what} of acme/web", "give the token the permission issues=read", 1,
    )  # fmt: skip
    host.faults.clear()
    host.faults.add(Fault(when=path, kind="answer", status=404, body=b'{"message": "Not Found"}', times=None))
    (line,) = (await failing(connector)).values()
    assert "a classic one: `repo`" in line.fix


async def test_every_missing_scope_of_a_classic_token_is_named(host: Host) -> None:
    """For what is configured, and for nothing else."""
    host.world.advance(host.clock.now())
    host.site.accounts.own.scopes = ""
    connector = host.connector(
        repositories=("acme/web", "acme/secret"), organizations=("acme",), project_boards=("acme/7",)
    )
    line = (await failing(connector))["g: scopes"]
    await connector.close()
    assert line.detail == (
        "the token has: none; it lacks `repo`, if a repository that is not found is a private one, "
        "`read:org` (repositories of an organization), `read:project` (project_boards)"
    )
    assert line.exit_code == 1


async def test_a_fine_grained_token_has_no_scopes_to_lack(host: Host, connector: GitHubConnector) -> None:
    host.world.advance(host.clock.now())
    assert "g: scopes" not in {one.name for one in await connector.check()}
