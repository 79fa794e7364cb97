"""A site's webhook: registered, and looked after. Source: Jira Cloud platform, "Webhooks", registering by REST."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from connectors.base import AuthenticationFailed, Check
from connectors.hooks import numeric
from connectors.jira.client import Refused

if TYPE_CHECKING:
    from connectors.jira.sync import JiraConnector

_PATH = "webhooks/1.0/webhook"
_EVENTS = (
    "issuelink_created", "issuelink_deleted", "jira:issue_created", "jira:issue_deleted", "jira:issue_updated",
    "jira:version_created", "jira:version_deleted", "jira:version_released", "jira:version_unreleased",
    "jira:version_updated", "project_archived", "project_deleted", "project_updated", "sprint_closed",
    "sprint_created", "sprint_deleted", "sprint_started", "sprint_updated", "worklog_created", "worklog_deleted",
    "worklog_updated",
)  # fmt: skip
_FIX = "let a Jira administrator run `courseline hooks install`, or add the hook under System > WebHooks by hand"


async def registered(reader: "JiraConnector", url: str, secret: str, *, install: bool) -> list[Check]:
    """See `connectors.base.Connector.hooks`."""
    name = f"{reader.source}: hook"
    found = await reader.discover()
    keys = sorted(container.key for container in found.containers)
    try:
        hook = await _find(reader, url)
        if install:
            wanted = _wanted(reader.source, url, secret, keys)
            if hook is None:
                await reader.client.post(_PATH, wanted)
            else:
                await reader.client.put(f"{_PATH}/{_id(hook)}", wanted)
            hook = await _find(reader, url)
    except (Refused, AuthenticationFailed) as error:
        if isinstance(error, AuthenticationFailed):
            await reader.discover()  # raises where the credential itself is refused
        detail = f"the site's hooks cannot be {'written' if install else 'read'} with this account"
        return [Check(name=name, ok=False, detail=detail, fix=_FIX, exit_code=1)]
    problem = _problem(hook, keys)
    fix = f"run `courseline hooks install --source {reader.source}`" if problem else ""
    detail = problem or "sends what it should"
    return [Check(name=name, ok=not problem, detail=detail, fix=fix, exit_code=1 if problem else 0)]


def _wanted(source: str, url: str, secret: str, keys: Sequence[str]) -> dict[str, Any]:
    return {
        "name": f"Courseline {source}",
        "url": url,
        "events": list(_EVENTS),
        "filters": {"issue-related-events-section": _filter(keys)},
        "excludeBody": False,
        "secret": secret,
    }


def _filter(keys: Sequence[str]) -> str:
    return f"project in ({', '.join(keys)})"


async def _find(reader: "JiraConnector", url: str) -> Mapping[str, Any] | None:
    for row in await reader.client.get(_PATH, shape=list):
        if isinstance(row, Mapping) and row.get("url") == url and _id(row):
            return dict(row)
    return None


def _id(hook: Mapping[str, Any]) -> str:
    """The number at the end of the hook's own address; of that nothing else is used."""
    return numeric(str(hook.get("self", "")).rpartition("/")[2])


def _problem(hook: Mapping[str, Any] | None, keys: Sequence[str]) -> str:
    """What is wrong with a hook; empty for a good one. Jira does not tell whether a secret is set."""
    if hook is None:
        return "there is none for this service"
    if hook.get("enabled") is False:
        return "it is switched off"
    heard, filters = hook.get("events"), hook.get("filters")
    missing = sorted(set(_EVENTS) - set(map(str, heard if isinstance(heard, list) else ())))
    if missing:
        return f"it does not send {', '.join(missing)}"
    chosen = filters.get("issue-related-events-section") if isinstance(filters, Mapping) else None
    if chosen and chosen != _filter(keys):
        return "it sends other projects than are read"
    if hook.get("excludeBody") is True:
        return "it sends no body, so nothing tells which issue changed"
    return ""
