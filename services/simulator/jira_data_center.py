"""A Jira Data Center over a simulated world: offsets in place of tokens, and nothing in bulk."""

import hmac
from collections.abc import Iterable
from itertools import count

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.simulator.answers import Dated, number, page_size
from services.simulator.jira_fields import FIELD_ROWS, PARENT_FIELD, SPRINT, STATUSES, TYPES
from services.simulator.jira_shapes import Row, chosen, history, issue, person, project
from services.simulator.jira_site import JiraSite, Refused, resolutions
from services.simulator.model import Item, Sprint

#: Beyond so many issues a search fails (jira.search.platform.max.result.window).
WINDOW = 10_000
_MOST = 1000
_EVERYTHING = 1_000_000
EPIC_LINK, PARENT_LINK = "customfield_10101", "customfield_10102"
_LINKS = [
    {"id": id_, "name": name, "custom": True, "schema": {"type": "any", "custom": custom}}
    for id_, name, custom in (
        (EPIC_LINK, "Epic Link", "com.pyxis.greenhopper.jira:gh-epic-link"),
        (PARENT_LINK, "Parent Link", "com.atlassian.jpo:jpo-custom-field-parent"),
    )
]


class JiraDataCenter(JiraSite):
    """The endpoints of a Data Center 10, to which a personal access token opens the door.

    ``most`` is the administrator's largest page of a search, which the answer tells as ``maxResults``; ``window`` how
    far a search reaches. Of ``nodes`` each answers in turn whoever brings no cookie of one of them; the index of every
    node but the first lacks the issues ``behind``.
    """

    most = _MOST
    window = WINDOW
    nodes = 1
    sticky = True  #: whether a node gives a cookie that leads back to it
    behind: frozenset[int] = frozenset()

    def app(self) -> ASGIApp:
        routes = [
            Route("/serverInfo", self._open(self.server_info)),
            Route("/myself", self._shut(self.myself)),
            Route("/field", self._rows([*FIELD_ROWS, *_LINKS])),
            Route("/status", self._named("status", STATUSES)),
            Route("/issuetype", self._named("type", TYPES)),
            Route("/resolution", self._rows(resolutions())),
            Route("/project/{project}/components", self._shut(self.components)),
            Route("/project", self._shut(self.all_projects)),
            Route("/project/{project}", self._shut(self.project)),
            Route("/project/{project}/versions", self._shut(self.versions)),
            Route("/search", self._shut(self.find_by_offset), methods=["POST"]),
            Route("/issue/{issue}", self._shut(self.whole_issue)),
            Route("/issue/{issue}/worklog", self._shut(self.worklogs)),
        ]
        return Dated(self._balanced(Starlette(routes=[Mount("/rest/api/2", routes=routes), *self.agile()])), self.world)

    def _balanced(self, app: ASGIApp) -> ASGIApp:
        """The nodes behind one address."""
        turns = count()

        async def answered(scope: Scope, receive: Receive, send: Send) -> None:
            async def told(message: Message) -> None:
                if message["type"] == "http.response.start" and self.sticky and self.nodes > 1:
                    MutableHeaders(scope=message).append("set-cookie", f"ROUTE=node{node}; Path=/; HttpOnly")
                await send(message)

            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            known = Request(scope).cookies.get("ROUTE", "")
            node = int(known.removeprefix("node")) if known else next(turns) % self.nodes
            scope["state"] = {**scope.get("state", {}), "node": node}
            await app(scope, receive, told)

        return answered

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
        if start + size > self.window:
            raise Refused(500, "Search limit exceeded")
        found, _ = self.search.page(str(asked.get("jql") or ""), _EVERYTHING, None)
        if request.scope["state"]["node"]:
            found = [item for item in found if item.id not in self.behind]
        wanted = [str(one) for one in asked.get("fields") or ()]
        fields = chosen(wanted, "*navigable") or ()
        some = found[start : start + page_size(request, size, size)] if size else []
        rows = [self._issue(item, issue(self.world, item, fields), wanted) for item in some]
        return {"startAt": start, "maxResults": size, "total": len(found), "issues": rows}

    def _issue(self, item: Item, row: Row, wanted: Iterable[str]) -> Row:
        """An issue whose parent is a field of its own for sub-tasks only; else there is the key of an epic or above."""
        if SPRINT in row.get("fields", {}):
            row["fields"][SPRINT] = [_in_text(self.world.sprints[one]) for one in item.sprints] or None
        parent = self.world.items.get(item.parent) if item.parent is not None else None
        if parent is not None and item.type != "Sub-task":
            row.get("fields", {}).pop("parent", None)
            link = EPIC_LINK if parent.type == "Epic" and item.type != "Epic" else PARENT_LINK
            if link in wanted:
                row["fields"][link] = self.world.key(parent)
        return row

    def whole_issue(self, request: Request, asked: Row) -> Row:
        item = self._item(request)
        row = self._issue(item, self.issue(request, asked), request.query_params.get("fields", "").split(","))
        if "changelog" in row:
            rows = [history(self.world, item, change) for change in item.history]
            for detail in (one for log in rows if log for one in log["items"]):
                if detail["field"] == PARENT_FIELD:
                    detail["field"] = "Parent" if item.type == "Sub-task" else "Epic Link"
            row["changelog"] = {"startAt": 0, "maxResults": len(rows), "total": len(rows), "histories": rows}
        return row


def _in_text(found: Sprint) -> str:
    """A sprint as the toString of its class, which is what a Data Center gives."""
    start = f"{found.start:%Y-%m-%dT%H:%M:%S}.000Z" if found.start else "<null>"
    return (
        f"com.atlassian.greenhopper.service.sprint.Sprint@{found.id:x}[id={found.id},rapidViewId={found.container},"
        f"state={found.state.upper()},name={found.title},startDate={start},goal=,sequence={found.id}]"
    )
