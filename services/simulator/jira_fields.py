"""The administrator's side of the simulated Jira site: fields, statuses, issue types, resolutions, priorities."""

from collections.abc import Mapping
from typing import Any

from services.simulator.model import CATEGORIES, JIRA_RESOLUTIONS, JIRA_TYPES, Container

Row = dict[str, Any]

CLOUD_ID = "5f3c1b7e-0a52-4c1d-9a55-acce0000cafe"
CLOUD = f"https://api.atlassian.com/ex/jira/{CLOUD_ID}"
"""Where ``self`` links point on Jira Cloud since July 2026: never at the site that was asked."""

TEAM, STORY_POINT_ESTIMATE, SPRINT = "customfield_10001", "customfield_10016", "customfield_10020"
STORY_POINTS, GOAL = "customfield_10028", "customfield_10050"
PARENT_FIELD = "IssueParentAssociation"
_CUSTOM = "com.atlassian.jira.plugin.system.customfieldtypes"
_SOFTWARE = "com.pyxis.greenhopper.jira"

RESOLUTIONS = {name: str(10_000 + place) for place, name in enumerate(JIRA_RESOLUTIONS)}
PRIORITY: Row = {"self": f"{CLOUD}/rest/api/3/priority/3", "id": "3", "name": "Medium"}
PRIORITIES = [
    {"self": f"{CLOUD}/rest/api/3/priority/{id_}", "id": str(id_), "name": name, "statusColor": "#999999"}
    for id_, name in enumerate(("Highest", "High", "Medium", "Low", "Lowest"), start=1)
]
_CATEGORY_ROWS: dict[str, Row] = {
    key: {"self": f"{CLOUD}/rest/api/3/statuscategory/{id_}", "id": id_, "key": key, "colorName": colour, "name": name}
    for id_, key, colour, name in (
        (1, "undefined", "medium-gray", "No Category"),
        (2, "new", "blue-gray", "To Do"),
        (4, "indeterminate", "yellow", "In Progress"),
        (3, "done", "green", "Done"),
    )
}
CATEGORY_ROWS = list(_CATEGORY_ROWS.values())
_COMPANY_IDS = dict(zip(CATEGORIES, ("10000", "3", "10001", "10002"), strict=True))
_TEAM_IDS = dict(zip(CATEGORIES, ("10010", "10011", "10012", "10013"), strict=True))
_LEVELS = {"Epic": 1, "Sub-task": -1}


def status(where: Container, name: str) -> Row:
    """A status; a team-managed project has statuses of its own, with the same names."""
    return _STATUSES[where.team_managed][name]


def _status(name: str, id_: str) -> Row:
    return {
        "self": f"{CLOUD}/rest/api/3/status/{id_}",
        "description": "",
        "iconUrl": f"{CLOUD}/images/icons/statuses/generic.png",
        "name": name,
        "id": id_,
        "statusCategory": _CATEGORY_ROWS[CATEGORIES[name]],
    }


_STATUSES = {
    own: {name: _status(name, id_) for name, id_ in ids.items()}
    for own, ids in ((False, _COMPANY_IDS), (True, _TEAM_IDS))
}
STATUSES = [row for rows in _STATUSES.values() for row in rows.values()]


def issue_type(name: str | None) -> Row:
    return _TYPES[name or "Task"]


def _type(name: str, id_: int) -> Row:
    return {
        "self": f"{CLOUD}/rest/api/3/issuetype/{id_}",
        "id": str(id_),
        "description": "",
        "iconUrl": f"{CLOUD}/images/icons/issuetypes/{id_}.png",
        "name": name,
        "subtask": name == "Sub-task",
        "avatarId": 10_300 + id_ % 100,
        "hierarchyLevel": _LEVELS.get(name, 0),
    }


_TYPES = {name: _type(name, id_) for id_, name in enumerate(JIRA_TYPES, start=10_001)}
TYPES = list(_TYPES.values())


def points_field(where: Container) -> tuple[str, str]:
    """Name and id of the field in which the teams of a project estimate."""
    if where.team_managed:
        return "Story point estimate", STORY_POINT_ESTIMATE
    return "Story Points", STORY_POINTS


def goal_option(name: str | None) -> Row | None:
    if name is None:
        return None
    id_ = str(10_200 + sum(name.encode()) % 97)
    return {"self": f"{CLOUD}/rest/api/3/customFieldOption/{id_}", "value": name, "id": id_}


def _system(id_: str, name: str, type_: str, items: str | None = None) -> Row:
    schema = {"type": type_, "system": id_} | ({"items": items} if items else {})
    return {
        "id": id_, "key": id_, "name": name, "custom": False, "orderable": True, "navigable": True, "searchable": True,
        "clauseNames": [id_], "schema": schema,
    }  # fmt: skip


def _custom(id_: str, name: str, type_: str, custom: str, items: str | None = None) -> Row:
    figure = int(id_.rpartition("_")[2])
    schema = {"type": type_, "custom": custom, "customId": figure} | ({"items": items} if items else {})
    return {
        "id": id_, "key": id_, "name": name, "custom": True, "orderable": True, "navigable": True, "searchable": True,
        "clauseNames": [f"cf[{figure}]", name], "schema": schema,
    }  # fmt: skip


FIELD_ROWS = [
    _system("summary", "Summary", "string"),
    _system("status", "Status", "status"),
    _system("statuscategorychangedate", "Status Category Changed", "datetime"),
    _system("issuetype", "Issue Type", "issuetype"),
    _system("project", "Project", "project"),
    {"id": "parent", "key": "parent", "name": "Parent", "custom": False, "orderable": False, "navigable": True,
     "searchable": False, "clauseNames": ["parent"]},
    _system("priority", "Priority", "priority"),
    _system("resolution", "Resolution", "resolution"),
    _system("resolutiondate", "Resolved", "datetime"),
    _system("created", "Created", "datetime"),
    _system("updated", "Updated", "datetime"),
    _system("duedate", "Due date", "date"),
    _system("labels", "Labels", "array", "string"),
    _system("components", "Components", "array", "component"),
    _system("fixVersions", "Fix versions", "array", "version"),
    _system("versions", "Affects versions", "array", "version"),
    _system("assignee", "Assignee", "user"),
    _system("reporter", "Reporter", "user"),
    _system("creator", "Creator", "user"),
    _system("issuelinks", "Linked Issues", "array", "issuelinks"),
    _system("subtasks", "Sub-tasks", "array", "issuelinks"),
    _system("timeoriginalestimate", "Original estimate", "number"),
    _system("timeestimate", "Remaining Estimate", "number"),
    _system("timespent", "Time Spent", "number"),
    _system("worklog", "Log Work", "array", "worklog"),
    _system("security", "Security Level", "securitylevel"),
    _custom(TEAM, "Team", "team", f"{_CUSTOM}:atlassian-team"),
    _custom(STORY_POINT_ESTIMATE, "Story point estimate", "number", f"{_SOFTWARE}:jsw-story-points"),
    _custom(SPRINT, "Sprint", "array", f"{_SOFTWARE}:gh-sprint", "json"),
    _custom(STORY_POINTS, "Story Points", "number", f"{_CUSTOM}:float"),
    _custom(GOAL, "Goal", "option", f"{_CUSTOM}:select"),
]  # fmt: skip


def as_called(called: Mapping[str, Row], kind: str, row: Row) -> Row:
    """A status or a type as an administrator called it since; ``category`` is the key of another one."""
    change = dict(called.get(f"{kind}:{row['id']}", {}))
    category = change.pop("category", None)
    return row | change | ({"statusCategory": _CATEGORY_ROWS[category]} if category else {})


def _link_type(id_: str, name: str, inward: str, outward: str) -> Row:
    return {
        "id": id_, "name": name, "inward": inward, "outward": outward,
        "self": f"{CLOUD}/rest/api/3/issueLinkType/{id_}",
    }  # fmt: skip


LINK_TYPES = {
    "Blocks": _link_type("10000", "Blocks", "is blocked by", "blocks"),
    "Duplicate": _link_type("10001", "Duplicate", "is duplicated by", "duplicates"),
    "Relates": _link_type("10003", "Relates", "relates to", "relates to"),
}
