"""A Jira Data Center over a simulated world: offsets in place of tokens, and nothing in bulk."""

import hmac
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from services.simulator.answers import Dated, number
from services.simulator.jira_fields import FIELD_ROWS, STATUSES
from services.simulator.jira_shapes import Row, chosen, history, issue, person, project
from services.simulator.jira_site import JiraSite, Refused

#: Beyond so many issues a search fails (jira.search.platform.max.result.window).
WINDOW = 10_000
_MOST = 1000
_EVERYTHING = 1_000_000


class JiraDataCenter(JiraSite):
    """The endpoints of a Data Center 10, to which a personal access token opens the door.

    ``most`` is the administrator's largest page of a search, which the answer tells as ``maxResults``.
    """

    most = _MOST

    def app(self) -> ASGIApp:
        routes = [
            Route("/serverInfo", self._open(self.server_info)),
            Route("/myself", self._shut(self.myself)),
            Route("/field", self._rows(FIELD_ROWS)),
            Route("/status", self._rows(STATUSES)),
            Route("/project", self._shut(self.all_projects)),
            Route("/project/{project}", self._shut(self.project)),
            Route("/project/{project}/versions", self._shut(self.versions)),
            Route("/search", self._shut(self.find_by_offset), methods=["POST"]),
            Route("/issue/{issue}", self._shut(self.whole_issue)),
        ]
        return Dated(Starlette(routes=[Mount("/rest/api/2", routes=routes)]), self.world)

    def _knows(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), self.token.encode())

    def server_info(self, request: Request, asked: Row) -> Row:
        return super().server_info(request, asked) | {"version": "10.3.1", "deploymentType": "Server"}

    def myself(self, request: Request, asked: Row) -> Row:
        return {"key": "JIRAUSER10100", "name": "bot", "displayName": (person(1) or {}).get("displayName")}

    def all_projects(self, request: Request, asked: Row) -> list[Row]:
        archived = request.query_params.get("includeArchived") == "true"
        states = ("live", "archived") if archived else ("live",)
        found = [one for one in self.world.containers.values() if one.tracker == "jira" and one.state in states]
        return [project(self.world, one) | {"archived": one.state == "archived"} for one in found]

    def find_by_offset(self, request: Request, asked: Row) -> Row:
        start, size = number(str(asked.get("startAt", "")), 0), number(str(asked.get("maxResults", "")), 50)
        size = min(size, self.most)
        if start + size > WINDOW:
            raise Refused(500, "Search limit exceeded")
        found, _ = self.search.page(str(asked.get("jql") or ""), _EVERYTHING, None)
        fields = chosen([str(one) for one in asked.get("fields") or ()], "*navigable") or ()
        rows: list[Any] = [issue(self.world, item, fields) for item in found[start : start + size]]
        return {"startAt": start, "maxResults": size, "total": len(found), "issues": rows}

    def whole_issue(self, request: Request, asked: Row) -> Row:
        row = self.issue(request, asked)
        if "changelog" in row:
            item = self._item(request)
            rows = [history(self.world, item, change) for change in item.history]
            row["changelog"] = {"startAt": 0, "maxResults": len(rows), "total": len(rows), "histories": rows}
        return row
