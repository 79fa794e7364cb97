"""What ``courseline check`` says of a GitHub host: a line for each thing that is missing, with what mends it.

API facts: GitHub REST API, "Scopes for OAuth apps" (``X-OAuth-Scopes``) and "Permissions required for fine-grained
personal access tokens" (``X-Accepted-GitHub-Permissions``).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from connectors.ahead import together
from connectors.base import AuthenticationFailed, Check, ConnectorError, Container, Discovery, RateLimited, Retriable
from connectors.github.census import refusal
from connectors.github.credentials import TokenRefused
from connectors.github.listing import Refused

if TYPE_CHECKING:
    from connectors.github.sync import GitHubConnector

#: What is read of a repository, where it stands, and the permission of a fine-grained token or an app that it needs.
_PARTS = (
    ("issues", "issues?state=all&per_page=1", "Issues (read)"),
    ("pull requests", "pulls?state=all&per_page=1", "Pull requests (read)"),
    ("events", "issues/events?per_page=1", "Issues (read)"),
    ("milestones", "milestones?state=all&per_page=1", "Issues (read)"),
    ("labels", "labels?per_page=1", "Issues (read)"),
)
#: Of so many repositories every part is tried, of the others their issues alone.
_WHOLE = 50
#: A difference of the clocks that is worth a line.
_SKEW_S = 120


async def checked(reader: "GitHubConnector") -> list[Check]:
    """See `connectors.base.Connector.check`."""
    name = reader.source
    try:
        refused = await _refused(reader)
        found = await reader.discover()
    except AuthenticationFailed as error:
        fix = error.fix or reader.client.credentials[0].fix
        return [Check(name=f"{name}: credential", ok=False, detail=str(error), fix=fix, exit_code=4)]
    except (Retriable, RateLimited) as error:
        fix = "check `url` and the network; `curl URL/meta` should answer"
        return [Check(name=f"{name}: reachable", ok=False, detail=str(error), fix=fix, exit_code=5)]
    except ConnectorError as error:
        return [Check(name=f"{name}: configuration", ok=False, detail=str(error), exit_code=1)]
    lines = [
        Check(name=f"{name}: credential", ok=True, detail=f"{found.flavour} {found.version}".strip()),
        Check(name=f"{name}: repositories", ok=True, detail=", ".join(one.key for one in found.containers)),
        *_scopes(reader, found),
        *(
            Check(name=f"{name}: {gap.container}", ok=False, detail=gap.detail, fix=gap.fix, exit_code=1)
            for gap in found.gaps
        ),
        *await _unreadable(reader, found.containers),
        *_clock(reader, found),
        *await reader.project_boards.check(),
    ]
    left = [(one.name, one.limits.get("x-ratelimit-remaining")) for one in reader.client.credentials]
    told = [f"{count} requests left" + (f" of {who}" if len(left) > 1 else "") for who, count in left if count]
    if told:
        lines.append(Check(name=f"{name}: rate limit", ok=True, detail=", ".join(told)))
    return lines + refused


async def _refused(reader: "GitHubConnector") -> list[Check]:
    """Each of several credentials is tried: a line for one that is refused. Raises where none is left."""
    several = reader.client.credentials if len(reader.client.credentials) > 1 else []
    lines = []
    for credential in several:
        try:
            await reader.client.get("meta", only=credential)
        except TokenRefused as error:
            detail = f"{credential.name} is refused"
            line = Check(
                name=f"{reader.source}: {credential.name}", ok=False, detail=detail, fix=error.fix, exit_code=4
            )
            lines.append(line)
        except (Refused, RateLimited):
            continue  # let in, which is what was to be seen
    return lines


def _scopes(reader: "GitHubConnector", found: Discovery) -> list[Check]:
    """A line for each classic token, whose answers name its scopes: what it has, and what it lacks."""
    lines = []
    for credential in reader.client.credentials:
        if credential.scopes is None:
            continue
        has = credential.scopes
        missing = []
        if not has & {"repo", "public_repo"} and not found.containers:
            missing.append("`repo` (private repositories; for public ones no scope is needed)")
        elif "repo" not in has and any(gap.reason == "not_found" for gap in found.gaps):
            missing.append("`repo`, if a repository that is not found is a private one")
        if reader.config.organizations and not has & {"read:org", "write:org", "admin:org", "repo"}:
            missing.append("`read:org` (repositories of an organization)")
        if reader.config.project_boards and not has & {"read:project", "project"}:
            missing.append("`read:project` (project_boards)")
        named = ", ".join(sorted(has)) or "none"
        lines.append(
            Check(
                name=f"{reader.source}: scopes"
                + (f" of {credential.name}" if len(reader.client.credentials) > 1 else ""),
                ok=not missing,
                detail=f"the token has: {named}" + (f"; it lacks {', '.join(missing)}" if missing else ""),
                fix="add the scopes to the token, or use a fine-grained one" if missing else "",
                exit_code=1 if missing else 0,
            )
        )
    return lines


async def _unreadable(reader: "GitHubConnector", containers: Sequence[Container]) -> list[Check]:
    """A line for each part of a repository that may not be read."""
    asked = [
        (container, *part)
        for place, container in enumerate(containers)
        for part in (_PARTS if place < _WHOLE else _PARTS[:1])
    ]
    found = await together(_probed(reader, *one) for one in asked)
    return [line for line in found if line is not None]


async def _probed(reader: "GitHubConnector", container: Container, what: str, path: str, needed: str) -> Check | None:
    name = f"{reader.source}: {what} of {container.key}"
    try:
        await reader.client.page(f"repositories/{container.id}/{path}")
    except Refused as error:
        gap = refusal(reader.source, container.key, error)
        fix = gap.fix if error.sso or error.needs else f"give the token the permission {needed}; a classic one: `repo`"
        return Check(name=name, ok=False, detail=gap.detail, fix=fix, exit_code=1)
    except ConnectorError as error:
        fix = "look at the host's status page, and try again"
        return Check(name=name, ok=False, detail=str(error), fix=fix, exit_code=5)
    return None


def _clock(reader: "GitHubConnector", found: Discovery) -> list[Check]:
    if found.server_time is None:
        return []
    skew = abs((found.server_time - reader.client.pacer.clock.now()).total_seconds())
    near = skew < _SKEW_S
    fix = "" if near else "set this machine's clock by NTP"
    name = f"{reader.source}: clock"
    return [Check(name=name, ok=near, detail=f"{skew:.0f} s apart", fix=fix, exit_code=0 if near else 1)]
