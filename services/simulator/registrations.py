"""The trackers' lists of webhooks, as their administrators see them."""

from collections.abc import Mapping
from itertools import count
from typing import Any

Row = dict[str, Any]
#: What GitHub shows in place of a secret.
HIDDEN = "********"


class Registrations:
    """Hooks by where they are registered: a repository's id, or 0 for a whole Jira site.

    ``allowed`` is whether the token's owner may see and change them. ``secrets`` are what nobody is shown again.
    """

    def __init__(self) -> None:
        self.allowed = True
        self.hooks: dict[int, dict[int, Row]] = {}
        self.secrets: dict[int, str] = {}
        self._ids = count(1)

    def of(self, where: int) -> list[Row]:
        return list(self.hooks.get(where, {}).values())

    def add(self, where: int, hook: Row, secret: str | None) -> Row:
        """A new hook, with an id of its own."""
        id_ = next(self._ids)
        self.hooks.setdefault(where, {})[id_] = {"id": id_, **hook}
        if secret:
            self.secrets[id_] = secret
        return self.hooks[where][id_]

    def change(self, where: int, id_: int, changes: Row, secret: str | None) -> Row | None:
        """A hook with other values; None where there is no such."""
        hook = self.hooks.get(where, {}).get(id_)
        if hook is not None:
            hook |= changes
            if secret:
                self.secrets[id_] = secret
        return hook


def github_hook(asked: Mapping[str, Any]) -> tuple[Row, str | None]:
    """A repository's hook as it is stored, and its secret. Source: GitHub REST API, "Create a repository webhook"."""
    config = dict(asked.get("config") or {})
    secret = config.pop("secret", None)
    if secret:
        config["secret"] = HIDDEN
    return {
        "type": "Repository",
        "name": "web",
        "active": asked.get("active", True),
        "events": list(asked.get("events") or ["push"]),
        "config": {"content_type": "form", "insecure_ssl": "0", **config},
        "last_response": {"code": None, "status": "unused", "message": None},
    }, secret


def jira_hook(asked: Mapping[str, Any]) -> tuple[Row, str | None]:
    """A site's hook as it is stored, and its secret. Source: Jira Cloud platform, "Webhooks"."""
    return {
        "name": asked.get("name", ""),
        "url": asked.get("url", ""),
        "events": list(asked.get("events") or ()),
        "filters": dict(asked.get("filters") or {}),
        "excludeBody": bool(asked.get("excludeBody", False)),
        "enabled": True,
    }, asked.get("secret")
