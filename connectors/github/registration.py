"""Webhooks of repositories, and of the organizations that own project boards: registered, and looked after.

Source: GitHub REST API, "Repository webhooks" and "Organization webhooks"; only the latter tell of project boards.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from connectors.base import Check
from connectors.github.listing import Refused

if TYPE_CHECKING:
    from connectors.github.sync import GitHubConnector

_EVENTS = ("issues", "label", "milestone", "pull_request", "repository")
#: Events that an Enterprise Server up to 3.19 does not know.
_NEWER = ("issue_dependencies", "sub_issues")
_OF_BOARDS: tuple[str, ...] = ("projects_v2_item",)
_FIX = (
    "give the token admin:repo_hook, or admin:org_hook (fine-grained: Webhooks, read and write), or let an owner add "
    "the hook by hand"
)


async def registered(reader: "GitHubConnector", url: str, secret: str, *, install: bool) -> list[Check]:
    """See `connectors.base.Connector.hooks`."""
    found = await reader.discover()
    events = _EVENTS if found.flavour == "ghes" else (*_EVENTS, *_NEWER)
    checks = [
        Check(name=f"{reader.source}: {gap.container}", ok=False, detail=gap.detail, fix=gap.fix, exit_code=1)
        for gap in found.gaps
    ]
    owners = sorted({board.partition("/")[0] for board in reader.config.project_boards})
    wanted: list[tuple[str, str, tuple[str, ...]]]
    wanted = [(container.key, f"repositories/{container.id}/hooks", events) for container in found.containers]
    wanted += [(f"{owner}'s boards", f"orgs/{owner}/hooks", _OF_BOARDS) for owner in owners]
    for what, path, heard in wanted:
        name = f"{reader.source}: hook of {what}"
        try:
            checks.append(await _one(reader, name, path, url, secret, heard, install=install))
        except Refused as error:
            detail = f"its hooks cannot be {'written' if install else 'read'}: the host answered {error.status}"
            fix = f"give the token the permission {error.needs}" if error.needs else _FIX
            if heard is _OF_BOARDS:
                fix += "; without it, and for the boards of a user, boards are read with each poll"
            checks.append(Check(name=name, ok=False, detail=detail, fix=fix, exit_code=1))
    return checks


async def _one(
    reader: "GitHubConnector", name: str, path: str, url: str, secret: str, events: tuple[str, ...], *, install: bool
) -> Check:
    hook = await _find(reader, path, url)
    if install:
        config = {"url": url, "content_type": "json", "secret": secret, "insecure_ssl": "0"}
        wanted = {"active": True, "events": list(events), "config": config}
        if hook is None:
            await reader.client.write("POST", path, {"name": "web", **wanted})
        else:
            await reader.client.write("PATCH", f"{path}/{hook['id']}", wanted)
        hook = await _find(reader, path, url)
    problem = _problem(hook, events)
    return Check(
        name=name,
        ok=not problem,
        detail=problem or "sends what it should",
        fix=f"run `courseline hooks install --source {reader.source}`" if problem else "",
        exit_code=1 if problem else 0,
    )


async def _find(reader: "GitHubConnector", path: str, url: str) -> Mapping[str, Any] | None:
    async for page in reader.client.pages(path, {"per_page": 100}):
        for row in page.rows:
            config = row.get("config") if isinstance(row, Mapping) else None
            if isinstance(config, Mapping) and config.get("url") == url and isinstance(row.get("id"), int):
                return dict(row)
    return None


def _problem(hook: Mapping[str, Any] | None, events: tuple[str, ...]) -> str:
    """What is wrong with a hook; empty for a good one."""
    if hook is None:
        return "there is none for this service"
    config, heard = hook.get("config"), hook.get("events")
    config = config if isinstance(config, Mapping) else {}
    missing = [] if isinstance(heard, list) and "*" in heard else sorted(set(events) - set(map(str, heard or ())))
    if hook.get("active") is not True:
        return "it is switched off"
    if missing:
        return f"it does not send {', '.join(missing)}"
    if not config.get("secret"):
        return "it signs nothing: it has no secret"
    if config.get("insecure_ssl") not in ("0", 0, None):
        return "it does not verify the certificate of the address it sends to"
    last = hook.get("last_response")
    code = last.get("code") if isinstance(last, Mapping) else None
    if code == 401:
        return "its last delivery was refused (401): its secret is not the configured one"
    if isinstance(code, int) and code >= 300:
        return f"its last delivery was answered {code}"
    return ""
