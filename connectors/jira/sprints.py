"""Sprints: milestones of a site's boards. Read from the boards themselves, since an issue that is finished tells
nothing of its sprint's end. Source: Jira Software REST API, "Board: get all sprints"; the same on Data Center.
"""

from collections.abc import Mapping
from typing import Any

from connectors.base import AuthenticationFailed, Container
from connectors.jira.client import JiraClient, Refused
from connectors.jira.flavour import listed
from connectors.jira.rows import Row, id_of
from connectors.jira.values import day
from connectors.text import clean
from schemas.work import Milestone, milestone_uid

_STATES = {"future": "planned", "active": "active", "closed": "done"}
#: Sprints begin and end rarely.
_EVERY_S = 3600.0


def sprint(row: Mapping[str, Any], source: str) -> Milestone | None:
    """A sprint; None for a row without an id or a name. It may belong to several projects, so it names none."""
    id_ = str(row.get("id", ""))
    if not id_.isdigit() or not isinstance(row.get("name"), str):
        return None
    return Milestone(
        uid=milestone_uid(source, "sprint", id_),
        source=source,
        external_id=id_,
        kind="sprint",
        title=clean(row["name"]),
        state=_STATES.get(str(row.get("state", "")).lower(), "active"),  # type: ignore[arg-type]
        start_date=day(_date(row.get("startDate"))),
        due_date=day(_date(row.get("endDate"))),
    )


def _date(value: Any) -> str | None:
    return value[:10] if isinstance(value, str) else None


class Sprints:
    """The sprints of the boards that show a project, each hour."""

    def __init__(self, client: JiraClient) -> None:
        self._client = client
        self._read_at: dict[str, float] = {}

    def forget(self) -> None:
        """Every project's sprints are due."""
        self._read_at.clear()

    async def of(self, container: Container) -> list[Milestone]:
        """All sprints of a project's boards where they are due; none where the credential may not see boards.

        A token without their scope is answered 401 there, and only there; one that ended is met everywhere.
        """
        now = self._client.pacer.clock.monotonic()
        if now - self._read_at.get(container.id, now - _EVERY_S) < _EVERY_S:
            return []
        found: dict[str, Milestone] = {}
        try:
            boards = await self._list("agile/1.0/board", projectKeyOrId=container.id)
        except (Refused, AuthenticationFailed):
            boards = []
        for board in boards:
            if str(board.get("type", "")) == "kanban":
                continue
            try:
                rows = await self._list(f"agile/1.0/board/{id_of(board)}/sprint")
            except Refused:  # a board without sprints says 400; one that we may not see says 403
                continue
            for row in rows:
                if (one := sprint(row, self._client.config.name)) is not None:
                    found[one.uid] = one
        self._read_at[container.id] = now
        return list(found.values())

    async def _list(self, path: str, **asked: Any) -> list[Row]:
        return await listed(self._client, path, asked, size=50, scope="agile")
