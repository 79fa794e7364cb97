"""What ``courseline check`` says of a Jira site: a line for each thing that is missing, with what mends it.

API facts: Jira Cloud platform, "Permissions resource" and "Scopes for OAuth 2.0 (3LO) and scoped API tokens".
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from connectors.ahead import together
from connectors.base import (
    AuthenticationFailed,
    Check,
    ConnectorError,
    Container,
    Discovery,
    RateLimited,
    Retriable,
    Skippable,
)
from connectors.jira import jql
from connectors.jira.client import JiraClient, Refused
from connectors.pacing import Priority

if TYPE_CHECKING:
    from connectors.jira.sync import JiraConnector

#: Of so many projects every part is tried, of the others their issues alone.
_WHOLE = 50
_SKEW_S = 120
_BROWSE = "give the account the Browse Projects permission in {key}; a scoped token: read:jira-work"
_SPRINTS = (
    "a scoped token needs read:board-scope:jira-software and read:sprint:jira-software; without, no sprints are read"
)


async def checked(reader: "JiraConnector") -> list[Check]:
    """See `connectors.base.Connector.check`."""
    name = reader.source
    try:
        found = await reader.discover()
    except AuthenticationFailed as error:
        fix = "make a new API token (Data Center: personal access token) and put it in the token file"
        if "scope" in str(error).lower():
            fix = (
                "give the scoped token read:jira-work and read:jira-user, and use https://api.atlassian.com/ex/jira/ID"
            )
        return [Check(name=f"{name}: credential", ok=False, detail=str(error), fix=fix, exit_code=4)]
    except (Retriable, RateLimited) as error:
        fix = "check `url` and the network; `curl URL/rest/api/2/serverInfo` should answer"
        return [Check(name=f"{name}: reachable", ok=False, detail=str(error), fix=fix, exit_code=5)]
    except ConnectorError as error:
        return [Check(name=f"{name}: configuration", ok=False, detail=str(error), fix="", exit_code=1)]
    return [
        Check(name=f"{name}: credential", ok=True, detail=f"{found.flavour} {found.version}"),
        Check(name=f"{name}: projects", ok=True, detail=", ".join(one.key for one in found.containers)),
        *(
            Check(name=f"{name}: project {gap.container}", ok=False, detail=gap.detail, fix=gap.fix, exit_code=1)
            for gap in found.gaps
        ),
        *await _unreadable(reader, found),
        *_clock_and_limit(name, found, reader.client),
    ]


async def _unreadable(reader: "JiraConnector", found: Discovery) -> list[Check]:
    """A line for each part of a project that may not be read."""
    lines: list[Coroutine[Any, Any, Check | None]] = []
    live = [one for one in found.containers if one.state == "live"]
    for place, container in enumerate(live):
        issues = partial(reader.flavour.count, jql.window(container.id, None, None), Priority.POLL)
        browse = _BROWSE.format(key=container.key)
        lines.append(_probed(reader, container, "issues", issues, browse))
        if place < _WHOLE:
            boards = partial(reader.client.get, "agile/1.0/board", {"projectKeyOrId": container.id, "maxResults": 1})
            lines.append(_probed(reader, container, "versions", partial(reader.flavour.versions, container), browse))
            lines.append(
                _probed(reader, container, "components and statuses", partial(reader.names, container), browse)
            )
            lines += [_probed(reader, container, "sprints", boards, _SPRINTS)] if reader.has_sprints else []
    told: list[Check | None] = await together(lines)
    return [line for line in told if line is not None]


async def _probed(
    reader: "JiraConnector", container: Container, what: str, asked: Callable[[], Awaitable[Any]], fix: str
) -> Check | None:
    name = f"{reader.source}: {what} of {container.key}"
    try:
        await asked()
    except (Refused, AuthenticationFailed, Skippable) as error:
        return Check(name=name, ok=False, detail=str(error), fix=fix, exit_code=1)
    except ConnectorError as error:
        fix = "look at the site's status page, and try again"
        return Check(name=name, ok=False, detail=str(error), fix=fix, exit_code=5)
    return None


def _clock_and_limit(name: str, found: Discovery, client: JiraClient) -> Iterable[Check]:
    if found.server_time is not None:
        skew = abs((found.server_time - client.pacer.clock.now()).total_seconds())
        near = skew < _SKEW_S
        fix = "" if near else "set this machine's clock by NTP"
        yield Check(name=f"{name}: clock", ok=near, detail=f"{skew:.0f} s apart", fix=fix, exit_code=0 if near else 1)
    left = client.limits.get("x-ratelimit-remaining")
    if left is not None:
        yield Check(name=f"{name}: rate limit", ok=True, detail=f"{left} requests left")
