"""A Jira Cloud site over a simulated world: the part of its REST API that a reader needs."""

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from services.simulator.answers import Dated, json_answer, number, origin, page_size
from services.simulator.jira_fields import (
    CATEGORY_ROWS,
    CLOUD,
    CLOUD_ID,
    FIELD_ROWS,
    LINK_TYPES,
    PRIORITIES,
    RESOLUTIONS,
    STATUSES,
    TYPES,
    as_called,
)
from services.simulator.jira_search import Search
from services.simulator.jira_shapes import (
    Row,
    chosen,
    components,
    history,
    issue,
    person,
    project,
    sprint,
    timestamp,
    version,
    worklogs,
)
from services.simulator.jql import InvalidJql
from services.simulator.model import Container, Item
from services.simulator.registrations import Registrations, jira_hook
from services.simulator.world import World

EMAIL = "bot@acme.example"
TOKEN = "simulated-jira-token"  # noqa: S105 - opens nothing but the simulation
NOT_FOUND = "Issue does not exist or you do not have permission to see it."
_GONE = (
    "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. A full migration "
    "guideline is available at https://developer.atlassian.com/changelog/#CHANGE-2046"
)
_ONLY_IDS, _WITH_FIELDS = 5000, 100
_STATES = {"live": "live", "archived": "archived", "deleted": "trashed"}
Endpoint = Callable[[Request], Awaitable[Response]]


class Refused(Exception):
    """A request that Jira answers with an error of its usual shape."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class JiraSite:
    """The endpoints. ``time_zone`` is the account's, in which date literals are read; ``lag`` the search index's."""

    def __init__(
        self,
        world: World,
        *,
        email: str = EMAIL,
        token: str = TOKEN,
        time_zone: str = "Europe/Berlin",
        lag: timedelta = timedelta(),
    ) -> None:
        self.world = world
        self.token = token  #: may change while the site runs, as a token may expire
        self.email = email
        self.registrations = Registrations()
        self.time_zone = time_zone
        self.search = Search(world, ZoneInfo(time_zone), lag)

    def app(self) -> ASGIApp:
        routes = [
            Route("/serverInfo", self._open(self.server_info)),
            Route("/myself", self._shut(self.myself)),
            Route("/mypermissions", self._shut(self.permissions)),
            Route("/field", self._rows(FIELD_ROWS)),
            Route("/status", self._named("status", STATUSES)),
            Route("/statuscategory", self._rows(CATEGORY_ROWS)),
            Route("/issuetype", self._named("type", TYPES)),
            Route("/priority", self._rows(PRIORITIES)),
            Route("/resolution", self._rows(resolutions())),
            Route("/issueLinkType", self._rows({"issueLinkTypes": list(LINK_TYPES.values())})),
            Route("/project/search", self._shut(self.projects)),
            Route("/project/{project}", self._shut(self.project)),
            Route("/project/{project}/components", self._shut(self.components)),
            Route("/project/{project}/version", self._shut(self.version_page)),
            Route("/project/{project}/versions", self._shut(self.versions)),
            Route("/search/jql", self._shut(self.find), methods=["GET", "POST"]),
            Route("/search/approximate-count", self._shut(self.count), methods=["POST"]),
            Route("/search", self._shut(self.gone), methods=["GET", "POST"]),
            Route("/issue/bulkfetch", self._shut(self.bulk_issues), methods=["POST"]),
            Route("/changelog/bulkfetch", self._shut(self.bulk_changelogs), methods=["POST"]),
            Route("/issue/{issue}", self._shut(self.issue)),
            Route("/issue/{issue}/changelog", self._shut(self.changelog)),
            Route("/issue/{issue}/worklog", self._shut(self.worklogs)),
        ]
        mounts = [Mount(f"/rest/api/{number_}", routes=routes) for number_ in ("2", "3", "latest")]
        tenant = Route("/_edge/tenant_info", self._open(self.tenant))
        return Dated(Starlette(routes=[*mounts, tenant, *self.agile(), *self._registering()]), self.world)

    def agile(self) -> list[Route]:
        """Jira Software's boards: one for each project."""
        return [
            Route("/rest/agile/1.0/board", self._shut(self.boards)),
            Route("/rest/agile/1.0/board/{project}/sprint", self._shut(self.sprints)),
        ]

    def _registering(self) -> list[Route]:
        path = "/rest/webhooks/1.0/webhook"
        return [
            Route(path, self._shut(self.hooks), methods=["GET", "POST"]),
            Route(f"{path}/{{hook:int}}", self._shut(self.hook), methods=["PUT"]),
        ]

    # -- the door ----------------------------------------------------------------------------------------------

    def _open(self, endpoint: Callable[[Request, Row], Any]) -> Endpoint:
        async def answered(request: Request) -> Response:
            body = await request.body() if request.method in ("POST", "PUT") else b""
            try:
                asked = msgspec.json.decode(body, type=dict[str, Any]) if body else {}
                with self.world.lock:
                    return json_answer(endpoint(request, asked))
            except (msgspec.DecodeError, msgspec.ValidationError):
                return _error(400, "Invalid request payload. Refer to the REST API documentation and try again.")
            except InvalidJql as error:
                return _error(400, str(error))
            except Refused as error:
                return _error(error.status, error.message)

        return answered

    def _shut(self, endpoint: Callable[[Request, Row], Any]) -> Endpoint:
        answered = self._open(endpoint)

        async def authenticated(request: Request) -> Response:
            if not self._knows(request.headers.get("authorization", "")):
                return PlainTextResponse(
                    "Client must be authenticated to access this resource.",
                    401,
                    {"WWW-Authenticate": 'Basic realm="Jira"'},
                )
            return await answered(request)

        return authenticated

    def _rows(self, rows: Any) -> Endpoint:
        return self._shut(lambda request, asked: rows)

    def _named(self, kind: str, rows: list[Row]) -> Endpoint:
        return self._shut(lambda request, asked: [as_called(self.world.called, kind, row) for row in rows])

    def _knows(self, authorization: str) -> bool:
        scheme, _, rest = authorization.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            given = base64.b64decode(rest, validate=True)
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(given, f"{self.email}:{self.token}".encode())

    # -- the site ----------------------------------------------------------------------------------------------

    def hooks(self, request: Request, asked: Row) -> Any:
        """The site's webhooks, or one more; for administrators."""
        if not self.registrations.allowed:
            raise Refused(403, "You do not have permission to manage webhooks")
        if request.method != "POST":
            return self.registrations.of(0)
        found = self.registrations.add(0, *jira_hook(asked))
        found["self"] = f"{origin(request)}/rest/webhooks/1.0/webhook/{found.pop('id')}"
        return found

    def hook(self, request: Request, asked: Row) -> Row:
        """A webhook with other values."""
        changed = self.registrations.change(0, request.path_params["hook"], *jira_hook(asked))
        if not self.registrations.allowed or changed is None:
            raise Refused(404, "Not Found")
        return changed

    def server_info(self, request: Request, asked: Row) -> Row:
        here = origin(request)
        return {
            "baseUrl": here,
            "displayUrl": here,
            "version": "1001.0.0-SNAPSHOT",
            "versionNumbers": [1001, 0, 0],
            "deploymentType": "Cloud",
            "buildNumber": 100_287,
            "buildDate": "2026-11-02T09:00:00.000+0000",
            "serverTime": timestamp(self.world.now),
            "scmInfo": "simulated",
            "serverTitle": "Acme",
            "serverTimeZone": "Etc/UTC",
        }

    def tenant(self, request: Request, asked: Row) -> Row:
        return {"cloudId": CLOUD_ID}

    def myself(self, request: Request, asked: Row) -> Row:
        return (person(1) or {}) | {"timeZone": self.time_zone, "locale": "en_US"}

    def permissions(self, request: Request, asked: Row) -> Row:
        names = request.query_params.get("permissions", "BROWSE_PROJECTS").split(",")
        have = {
            name: {
                "id": "10",
                "key": name,
                "name": name,
                "type": "PROJECT",
                "havePermission": name == "BROWSE_PROJECTS",
            }
            for name in names
        }
        return {"permissions": have}

    def projects(self, request: Request, asked: Row) -> Row:
        states = {_STATES.get(name, name) for name in _several(request, "status") or ["live"]}
        keys, ids = {*_several(request, "keys")}, {*_several(request, "id")}
        found = [
            one
            for one in self.world.containers.values()
            if one.tracker == "jira"
            and one.state in states
            and (not keys or one.key in keys)
            and (not ids or str(one.id) in ids)
        ]
        found.sort(key=lambda one: one.key)
        return self._page(request, [project(self.world, one) for one in found])

    def project(self, request: Request, asked: Row) -> Row:
        return project(self.world, self._container(request))

    def version_page(self, request: Request, asked: Row) -> Row:
        return self._page(request, self.versions(request, asked))

    def components(self, request: Request, asked: Row) -> list[Row]:
        return components(self._container(request))

    def versions(self, request: Request, asked: Row) -> list[Row]:
        return [version(one, self.world.now.date()) for one in self._container(request).milestones]

    def boards(self, request: Request, asked: Row) -> Row:
        named = request.query_params.get("projectKeyOrId")
        found = [one for one in self.world.containers.values() if one.tracker == "jira" and one.state == "live"]
        rows: list[Row | None] = [
            {"id": one.id, "name": f"{one.key} board", "type": "scrum", "location": {"projectId": one.id}}
            for one in found
            if named in (None, one.key, str(one.id))
        ]
        return self._page(request, rows)

    def sprints(self, request: Request, asked: Row) -> Row:
        where = self._container(request)
        return self._page(request, [sprint(one) for one in self.world.sprints.values() if one.container == where.id])

    # -- searching -----------------------------------------------------------------------------------------------

    def find(self, request: Request, asked: Row) -> Row:
        if request.method == "GET":
            asked = {**request.query_params, "fields": request.query_params.getlist("fields")}
        jql, token = asked.get("jql") or "", asked.get("nextPageToken")
        if not isinstance(jql, str) or not isinstance(token, str | None):
            raise Refused(400, "Invalid request payload. Refer to the REST API documentation and try again.")
        self._reconcilable(asked.get("reconcileIssues"))
        fields = chosen(_texts(asked.get("fields")), "id")
        wanted = number(str(asked.get("maxResults", "")), 50)
        most = _ONLY_IDS if not fields else _WITH_FIELDS
        items, following = self.search.page(jql, page_size(request, wanted, most), token or None)
        rows = [issue(self.world, item, fields) for item in items]
        if "changelog" in (asked.get("expand") or "").split(","):
            for row, item in zip(rows, items, strict=True):
                row["changelog"] = self._newest(item, 20)
        answer: Row = {"issues": rows, "isLast": following is None}
        return answer | ({"nextPageToken": following} if following else {})

    def _reconcilable(self, ids: object) -> None:
        if not ids:
            return
        if not isinstance(ids, list) or len(ids) > 50 or any(int(one) not in self.world.items for one in ids):
            raise Refused(400, "One or more issues to reconcile do not exist, or there are more than 50 of them.")

    def count(self, request: Request, asked: Row) -> Row:
        return {"count": self.search.count(str(asked.get("jql") or ""))}

    def gone(self, request: Request, asked: Row) -> Row:
        raise Refused(410, _GONE)

    # -- issues --------------------------------------------------------------------------------------------------

    def bulk_issues(self, request: Request, asked: Row) -> Row:
        names = _texts(asked.get("issueIdsOrKeys"))
        if not 0 < len(names) <= 100:
            raise Refused(400, "The number of issues requested must be between 1 and 100.")
        fields = chosen(_texts(asked.get("fields")), "*navigable") or ()
        found = {item.id: item for name in names if (item := self._find(name)) is not None}
        return {"issues": [issue(self.world, found[id_], fields) for id_ in sorted(found)], "issueErrors": []}

    def bulk_changelogs(self, request: Request, asked: Row) -> Row:
        names, wanted = _texts(asked.get("issueIdsOrKeys")), _texts(asked.get("fieldIds"))
        if not 0 < len(names) <= 1000 or len(wanted) > 10:
            raise Refused(400, "At most 1000 issues and 10 fields can be asked for at once.")
        found = {item.id: item for name in names if (item := self._find(name)) is not None}
        field_ids = frozenset(wanted) or None
        rows = sorted(
            ((change.at, item.id, change) for item in found.values() for change in item.history),
            key=lambda row: (row[0], row[1], row[2].id),
        )
        size = page_size(request, number(str(asked.get("maxResults", "")), 1000), 10_000)
        begin = _offset(asked.get("nextPageToken"))
        logs: dict[int, list[Row]] = {}
        for _, id_, change in rows[begin : begin + size]:
            if (row := history(self.world, found[id_], change, field_ids)) is not None:
                logs.setdefault(id_, []).append(row)
        answer: Row = {"issueChangeLogs": [{"issueId": str(id_), "changeHistories": log} for id_, log in logs.items()]}
        return answer | ({"nextPageToken": f"from:{begin + size}"} if begin + size < len(rows) else {})

    def issue(self, request: Request, asked: Row) -> Row:
        item = self._item(request)
        row = issue(self.world, item, chosen(_several(request, "fields"), "*all") or ())
        if "changelog" in request.query_params.get("expand", "").split(","):
            row["changelog"] = self._newest(item, 100)
        return row

    def worklogs(self, request: Request, asked: Row) -> Row:
        told = request.query_params
        return worklogs(self._item(request), int(told.get("startAt", 0)), int(told.get("maxResults", 5000)))

    def changelog(self, request: Request, asked: Row) -> Row:
        item = self._item(request)
        return self._page(request, [history(self.world, item, change) for change in item.history])

    def _newest(self, item: Item, most: int) -> Row:
        newest = [history(self.world, item, change) for change in reversed(item.history)]
        return {"startAt": 0, "maxResults": most, "total": len(newest), "histories": newest[:most]}

    # -- within --------------------------------------------------------------------------------------------------

    def _item(self, request: Request) -> Item:
        item = self._find(request.path_params["issue"])
        if item is None:
            raise Refused(404, NOT_FOUND)
        return item

    def _find(self, name: str) -> Item | None:
        """The issue of an id, a key or a former key, where we may see it; an archived project's can be seen."""
        if name.isdigit():
            item = self.world.items.get(int(name))
        else:
            key, _, digits = name.rpartition("-")
            places = [
                one.id
                for one in self.world.containers.values()
                if one.tracker == "jira" and key.upper() in (one.key, *one.former_keys)
            ]
            item = self.world.find(places[0], int(digits)) if places and digits.isdigit() else None
        if item is None or item.tracker != "jira":
            return None
        return item if self.world.containers[item.container].state in ("live", "archived") else None

    def _container(self, request: Request) -> Container:
        name = request.path_params["project"]
        for one in self.world.containers.values():
            known = name in (str(one.id), one.key, *one.former_keys)
            if known and one.tracker == "jira" and one.state in ("live", "archived"):
                return one
        raise Refused(404, f"No project could be found with key '{name}'.")

    def _page(self, request: Request, rows: Sequence[Row | None]) -> Row:
        start = max(0, number(request.query_params.get("startAt"), 0))
        size = page_size(request, number(request.query_params.get("maxResults"), 50), 100)
        path = f"{CLOUD}{request.url.path}?maxResults={size}&startAt="
        last = start + size >= len(rows)
        page: Row = {
            "self": f"{path}{start}",
            "maxResults": size,
            "startAt": start,
            "total": len(rows),
            "isLast": last,
            "values": rows[start : start + size],
        }
        return page if last else page | {"nextPage": f"{path}{start + size}"}


def jira_site(world: World, **settings: Any) -> ASGIApp:
    """The application of a site; ``settings`` are those of `JiraSite`."""
    return JiraSite(world, **settings).app()


def _error(status: int, message: str) -> Response:
    return json_answer({"errorMessages": [message], "errors": {}}, status)


def _several(request: Request, name: str) -> list[str]:
    return [part for one in request.query_params.getlist(name) for part in one.split(",") if part]


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list):
        return [str(value)]
    return [str(one) for one in value]


def _offset(token: object) -> int:
    if token is None:
        return 0
    digits = str(token).removeprefix("from:")
    if not digits.isdigit():
        raise Refused(400, "The provided next page token is invalid or expired.")
    return int(digits)


def resolutions() -> list[Row]:
    return [
        {"self": f"{CLOUD}/rest/api/3/resolution/{id_}", "id": id_, "name": name, "description": ""}
        for name, id_ in RESOLUTIONS.items()
    ]
