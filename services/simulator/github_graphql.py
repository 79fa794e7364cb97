"""GraphQL of the simulated GitHub host: project boards, with the points that their queries cost.

Shapes follow GitHub's public schema; the cost is that of "Rate limits and query limits": connections asked for / 100.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from starlette.responses import Response

from services.simulator.answers import json_answer
from services.simulator.boards import BoardField, Entry, Iteration, ProjectBoard
from services.simulator.github_shapes import timestamp
from services.simulator.graphql import Execution, InvalidQuery, parse
from services.simulator.world import World

Thing = dict[str, Any]
_NO_SCOPE = (
    "Your token has not been granted the required scopes to execute this query. The 'projectV2' field requires one of "
    "the following scopes: ['read:project'], but your token has only been granted the: ['read:org', 'repo'] scopes. "
    "Please modify your token's scopes at: https://github.com/settings/tokens."
)
_KINDS = {"SINGLE_SELECT": "ProjectV2SingleSelectField", "ITERATION": "ProjectV2IterationField"}


class GithubGraphQL:
    """``points`` may be spent in an hour; without ``projects`` the token lacks the scope for boards. An ``old`` schema
    is that of an Enterprise Server without long ids, and without a choice of archived entries: it lists them all."""

    def __init__(self, world: World, *, points: int = 5000, projects: bool = True, old: bool = False) -> None:
        self.world = world
        self.points = points
        self.projects = projects
        self._old = old
        self.hidden: set[int] = set()  #: items whose content our token may not see
        self.used = 0
        self._window = world.now

    def answer(self, asked: bytes) -> Response:
        """What the host answers to the body of a query; call it under the world's lock."""
        if self.world.now - self._window >= timedelta(hours=1):
            self._window, self.used = self.world.now, 0
        try:
            body = msgspec.json.decode(asked, type=dict[str, Any])
            document = parse(str(body.get("query", "")))
            execution = Execution(document, body.get("variables") or {})
        except msgspec.DecodeError:
            return json_answer({"message": "Problems parsing JSON"}, 400)
        except InvalidQuery as error:
            return self._answered({"errors": [{"message": str(error), "extensions": {"code": error.code}}]})
        cost = max(1, round(execution.connections / 100))
        if self.used + cost > self.points:
            return self._answered({"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]})
        self.used += cost
        if not self.projects:
            return self._answered({"errors": [{"type": "INSUFFICIENT_SCOPES", "message": _NO_SCOPE}]})
        problems: list[Thing] = []
        try:
            data = execution.run(self._root(cost, problems))
        except InvalidQuery as error:
            return self._answered({"errors": [{"message": str(error), "extensions": {"code": error.code}}]})
        return self._answered({"data": data} | ({"errors": problems} if problems else {}))

    def _answered(self, data: Thing) -> Response:
        told = self._limits() | {"resource": "graphql"}
        return json_answer(data, headers={f"x-ratelimit-{name}": str(value) for name, value in told.items()})

    def _limits(self) -> Thing:
        reset = int((self._window + timedelta(hours=1)).timestamp())
        return {"limit": self.points, "remaining": self.points - self.used, "used": self.used, "reset": reset}

    # -- what may be asked for ---------------------------------------------------------------------------------

    def _root(self, cost: int, problems: list[Thing]) -> Thing:
        limits = self._limits()
        return {
            "__typename": "Query",
            "rateLimit": {
                "__typename": "RateLimit",
                "cost": cost,
                "limit": limits["limit"],
                "remaining": limits["remaining"],
                "resetAt": timestamp(self._window + timedelta(hours=1)),
            },
            "repositoryOwner": lambda login: self._owner(login, problems),
            "node": lambda id: self._node(id, problems),
            "nodes": lambda ids: [self._item(id_, place, problems) for place, id_ in enumerate(ids)],
        }

    def _owner(self, login: str, problems: list[Thing]) -> Thing | None:
        owners = {owner for owner, _ in self.world.boards}
        owners |= {one.key.split("/")[0].lower() for one in self.world.containers.values() if one.tracker == "github"}
        if login.lower() not in owners:
            return None

        def project(number: int) -> Thing | None:
            found = self.world.boards.get((login.lower(), number))
            if found is None:
                message = f"Could not resolve to a ProjectV2 with the number {number}."
                path = ["repositoryOwner", "projectV2"]
                problems.append({"type": "NOT_FOUND", "path": path, "message": message})
            return self._board(found) if found else None

        return {"__typename": "Organization", "login": login, "projectV2": project}

    def _node(self, id_: str, problems: list[Thing]) -> Thing | None:
        found = next((one for one in self.world.boards.values() if one.id == id_), None)
        if found is None:
            message = f"Could not resolve to a node with the global id of '{id_}'"
            problems.append({"type": "NOT_FOUND", "path": ["node"], "message": message})
        return self._board(found) if found else None

    def _item(self, id_: str, place: int, problems: list[Thing]) -> Thing | None:
        """An issue or a pull request by its node id."""
        kind, _, number = id_.partition("_")
        item = self.world.items.get(int(number)) if kind in ("I", "PR") and number.isdigit() else None
        if item is None or item.id in self.hidden:
            message = f"Could not resolve to a node with the global id of '{id_}'"
            problems.append({"type": "NOT_FOUND", "path": ["nodes", place], "message": message})
            return None
        ties = self.world.ties.of(item.id)
        closing = [one.object for one in ties if one.kind == "closes" and one.subject == item.id]
        blocked_by = [one.subject for one in ties if one.kind == "Blocks" and one.object == item.id]
        blocking = [one.object for one in ties if one.kind == "Blocks" and one.subject == item.id]
        if item.pull_request:
            return {"__typename": "PullRequest", "id": id_, "closingIssuesReferences": self._issues(closing)}
        found: Thing = {"__typename": "Issue", "id": id_}
        return found | (
            {} if self._old else {"blockedBy": self._issues(blocked_by), "blocking": self._issues(blocking)}
        )

    def _issues(self, ids: Sequence[int]) -> Callable[[int], Thing]:
        name = "databaseId" if self._old else "fullDatabaseId"
        rows = [{"__typename": "Issue", name: one if self._old else str(one)} for one in ids if one in self.world.items]
        return lambda first: _connection(rows[:first], len(rows), first)

    def _board(self, board: ProjectBoard) -> Thing:
        def items(first: int, after: str | None = None, archivedStates: Sequence[str] = ("NOT_ARCHIVED",)) -> Thing:  # noqa: N803
            shown = [
                one for one in board.entries
                if ("ARCHIVED" if one.archived else "NOT_ARCHIVED") in archivedStates
                and (one.item is None or one.item in self.world.items)
            ]  # fmt: skip
            begin = int(after) if after else 0
            rows = [self._entry(board, one) for one in shown[begin : begin + first]]
            return _connection(rows, len(shown), begin + first)

        def all_items(first: int, after: str | None = None) -> Thing:
            return items(first, after, ("ARCHIVED", "NOT_ARCHIVED"))

        def fields(first: int) -> Thing:
            title = {"__typename": "ProjectV2Field", "id": f"{board.id}_title", "name": "Title", "dataType": "TITLE"}
            return _connection([title, *(self._field(one) for one in board.fields)], len(board.fields) + 1, first)

        return {
            "__typename": "ProjectV2",
            "id": board.id,
            "number": board.number,
            "title": f"Board {board.number}",
            "url": f"https://github.invalid/orgs/{board.owner}/projects/{board.number}",
            "closed": False,
            "items": all_items if self._old else items,
            "fields": fields,
        }

    def _field(self, one: BoardField) -> Thing:
        today = self.world.now.date()

        def over(iteration: Iteration) -> bool:
            return iteration.start + timedelta(days=iteration.days) <= today

        found: Thing = {
            "__typename": _KINDS.get(one.kind, "ProjectV2Field"),
            "id": one.id,
            "name": one.name,
            "dataType": one.kind,
        }
        if one.kind == "SINGLE_SELECT":
            found["options"] = [
                {"__typename": "ProjectV2SingleSelectFieldOption", "id": id_, "name": name}
                for id_, name in one.options.items()
            ]
        if one.kind == "ITERATION":
            found["configuration"] = {
                "__typename": "ProjectV2IterationFieldConfiguration",
                "duration": 14,
                "startDay": 1,
                "iterations": [_iteration(each) for each in one.iterations if not over(each)],
                "completedIterations": [_iteration(each) for each in one.iterations if over(each)],
            }
        return found

    def _entry(self, board: ProjectBoard, one: Entry) -> Thing:
        return {
            "__typename": "ProjectV2Item",
            "id": one.id,
            "isArchived": one.archived,
            "updatedAt": timestamp(one.updated),
            "type": self._kind(one),
            "content": self._content(one),
            "fieldValues": lambda first: _connection(
                self._values(board, one)[:first], len(self._values(board, one)), first
            ),
        }

    def _kind(self, one: Entry) -> str:
        item = self.world.items.get(one.item or 0)
        if one.item is None:
            return "DRAFT_ISSUE"
        if item is None or item.id in self.hidden:
            return "REDACTED"
        return "PULL_REQUEST" if item.pull_request else "ISSUE"

    def _content(self, one: Entry) -> Thing | None:
        kind, item = self._kind(one), self.world.items.get(one.item or 0)
        if kind == "DRAFT_ISSUE":
            return {"__typename": "DraftIssue", "title": "A draft"}
        if kind == "REDACTED" or item is None:
            return None
        home = self.world.containers[item.container]
        long = item.id + (10**9 if item.pull_request else 0)
        return {
            "__typename": "PullRequest" if item.pull_request else "Issue",
            # a pull request has an id of its own, which is not the one that the list of issues shows
            **({"databaseId": long} if self._old else {"fullDatabaseId": str(long)}),
            "number": item.number,
            "repository": {"__typename": "Repository", "nameWithOwner": home.key, "databaseId": home.id},
        }

    def _values(self, board: ProjectBoard, one: Entry) -> list[Thing]:
        title = {
            "__typename": "ProjectV2ItemFieldTextValue",
            "text": "A title",
            "updatedAt": timestamp(one.updated),
            "field": {"__typename": "ProjectV2Field", "id": f"{board.id}_title", "name": "Title"},
        }
        return [title, *(_value(where, one) for where in board.fields if where.id in one.values)]


def _value(where: BoardField, one: Entry) -> Thing:
    value = one.values[where.id]
    field = {"__typename": _KINDS.get(where.kind, "ProjectV2Field"), "id": where.id, "name": where.name}
    found: Thing = {"updatedAt": timestamp(one.set_at[where.id]), "field": field}
    match where.kind:
        case "SINGLE_SELECT":
            chosen = {"optionId": value, "name": where.options.get(value)}
            return {"__typename": "ProjectV2ItemFieldSingleSelectValue", **chosen, **found}
        case "NUMBER":
            return {"__typename": "ProjectV2ItemFieldNumberValue", "number": value, **found}
        case "TEXT":
            return {"__typename": "ProjectV2ItemFieldTextValue", "text": value, **found}
        case "DATE":
            return {"__typename": "ProjectV2ItemFieldDateValue", "date": value, **found}
        case _:
            iteration = next(each for each in where.iterations if each.id == value)
            chosen = {"iterationId": value, **_iteration(iteration)}
            return {**chosen, "__typename": "ProjectV2ItemFieldIterationValue", **found}


def _iteration(one: Iteration) -> Thing:
    return {
        "__typename": "ProjectV2IterationFieldIteration",
        "id": one.id,
        "title": one.title,
        "startDate": one.start.isoformat(),
        "duration": one.days,
    }


def _connection(rows: Sequence[Any], total: int, end: int) -> Thing:
    more = end < total
    page = {"__typename": "PageInfo", "hasNextPage": more, "endCursor": str(end) if rows else None}
    return {"__typename": "Connection", "nodes": list(rows), "totalCount": total, "pageInfo": page}
