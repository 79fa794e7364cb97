"""The JSON that Jira Cloud gives for an item, its history, a project and a version.

Shapes follow the OpenAPI description of the Jira Cloud platform REST API v3. Times are in Jira's own form without a
colon in the offset (``2026-01-02T03:04:05.678+0000``).
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from typing import Any

from services.simulator.jira_fields import (
    CLOUD,
    GOAL,
    LINK_TYPES,
    PARENT_FIELD,
    PRIORITY,
    RESOLUTIONS,
    SPRINT,
    STORY_POINT_ESTIMATE,
    STORY_POINTS,
    TEAM,
    as_called,
    goal_option,
    issue_type,
    points_field,
    status,
)
from services.simulator.model import CATEGORIES, Change, Container, Edit, Item, Milestone, Sprint, first_state
from services.simulator.world import World

Row = dict[str, Any]


def timestamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


def person(number: int | None) -> Row | None:
    if number is None:
        return None
    return {
        "self": f"{CLOUD}/rest/api/3/user?accountId=acc-{number}",
        "accountId": f"acc-{number}",
        "accountType": "atlassian",
        "active": True,
        "displayName": f"Developer {number}",
        "timeZone": "Europe/Berlin",
    }


def issue(world: World, item: Item, fields: Iterable[str] | None) -> Row:
    """An issue with the named fields; without any it is its id alone, as the enhanced search gives it."""
    if fields is None:
        return {"id": str(item.id)}
    return {
        "expand": "renderedFields,names,schema,operations,editmeta,changelog,versionedRepresentations",
        "id": str(item.id),
        "self": f"{CLOUD}/rest/api/3/issue/{item.id}",
        "key": world.key(item),
        "fields": {name: FIELDS[name](world, item) for name in fields},
    }


def chosen(asked: Iterable[str], default: str) -> tuple[str, ...] | None:
    """The fields that ``fields`` asks for: names, ``*all``, ``*navigable``, ``-name``; None for the id alone."""
    names = [part.strip() for one in asked for part in one.split(",") if part.strip()] or [default]
    if names == ["id"]:
        return None
    found: dict[str, None] = {}
    if names[0].startswith("-"):
        names.insert(0, "*all")
    for name in names:
        if name in ("*all", "*navigable"):
            found |= dict.fromkeys(FIELDS)
        elif name.startswith("-"):
            found.pop(name[1:], None)
        elif name in FIELDS:
            found[name] = None
    return tuple(found)


def project(world: World, one: Container) -> Row:
    row: Row = {
        "expand": "description,lead,issueTypes,url,projectKeys,permissions,insight",
        "self": f"{CLOUD}/rest/api/3/project/{one.id}",
        "id": str(one.id),
        "key": one.key,
        "name": one.title,
        "projectTypeKey": "software",
        "simplified": one.team_managed,
        "style": "next-gen" if one.team_managed else "classic",
        "isPrivate": False,
        "properties": {},
    }
    if one.state == "archived":
        row |= {"archived": True, "archivedDate": timestamp(one.updated)}
    if one.state == "trashed":
        row |= {"deleted": True, "deletedDate": timestamp(one.updated)}
    return row


def version(one: Milestone, today: date) -> Row:
    released = one.closed is not None
    row: Row = {
        "self": f"{CLOUD}/rest/api/3/version/{one.id}",
        "id": str(one.id),
        "name": one.title,
        "archived": one.archived,
        "released": released,
        "projectId": one.container,
    }
    if one.start:
        row |= {"startDate": one.start.isoformat(), "userStartDate": f"{one.start:%d/%b/%y}"}
    if one.due:
        row |= {"releaseDate": one.due.isoformat(), "userReleaseDate": f"{one.due:%d/%b/%y}"}
        if not released:
            row["overdue"] = one.due < today
    return row


def history(world: World, item: Item, change: Change, field_ids: frozenset[str] | None = None) -> Row | None:
    """One history of an issue, with the wanted fields only; None where nothing of it was wanted."""
    items = [
        row
        for edit in change.edits
        for row in _details(world, item, change, edit)
        if field_ids is None or row.get("fieldId") in field_ids
    ]
    if not items:
        return None
    return {
        "id": str(change.id),
        "author": person(change.author),
        "created": timestamp(change.at),
        "items": items,
    }


def _detail(field: str, field_id: str | None, before: tuple[Any, Any], after: tuple[Any, Any]) -> Row:
    row = {
        "field": field,
        "fieldtype": "custom" if (field_id or "").startswith("customfield_") else "jira",
        "from": before[0],
        "fromString": before[1],
        "to": after[0],
        "toString": after[1],
    }
    return row if field_id is None else row | {"fieldId": field_id}


def sprint(found: Sprint) -> Row:
    """A sprint, as its board and the issues in it tell it."""
    row: Row = {
        "id": found.id,
        "self": f"{CLOUD}/rest/agile/1.0/sprint/{found.id}",
        "state": found.state,
        "name": found.title,
        "originBoardId": found.container,
        "boardId": found.container,
        "goal": "",
    }
    times = {"startDate": found.start, "endDate": found.end, "completeDate": found.completed}
    return row | {name: f"{moment:%Y-%m-%dT%H:%M:%S}.000Z" for name, moment in times.items() if moment}


def _details(world: World, item: Item, change: Change, edit: Edit) -> Iterator[Row]:
    where = world.containers[item.container]
    before, after = edit.before, edit.after
    match edit.field:
        case "status":
            yield _detail("status", "status", *((status(where, one)["id"], one) for one in (before, after)))
        case "resolution":
            yield _detail("resolution", "resolution", *((RESOLUTIONS.get(one), one) for one in (before, after)))
        case "labels":
            yield _detail("labels", "labels", (None, " ".join(before)), (None, " ".join(after)))
        case "components":
            for one in sorted({*before, *after} - ({*before} & {*after})):
                pair = (_component_id(where, one), one)
                absent = (None, None)
                yield _detail("Component", "components", *((pair, absent) if one in before else (absent, pair)))
        case "milestones":
            for id_ in sorted({*before, *after} - ({*before} & {*after})):
                pair = (str(id_), _version_name(world, id_))
                absent = (None, None)
                yield _detail("Fix Version", "fixVersions", *((pair, absent) if id_ in before else (absent, pair)))
        case "sprints":
            held = ([world.sprints[id_] for id_ in one] for one in (before, after))
            sides = [(", ".join(str(one.id) for one in some), ", ".join(one.title for one in some)) for some in held]
            yield _detail("Sprint", SPRINT, *sides)
        case "parent":
            # Jira Cloud gives this one without a fieldId
            yield _detail(PARENT_FIELD, None, *((_text(one), _key(world, one)) for one in (before, after)))
        case "container":
            yield _detail("Key", None, (None, _key_in(world, item, change, 0)), (None, _key_in(world, item, change, 1)))
            yield _detail("project", "project", *((str(one), world.containers[one].title) for one in (before, after)))
        case "points":
            name, id_ = points_field(where)
            yield _detail(name, id_, (None, _figure(before)), (None, _figure(after)))
        case "estimate_s" | "spent_s":
            id_ = "timeoriginalestimate" if edit.field == "estimate_s" else "timespent"
            yield _detail(id_, id_, *((_text(one), _text(one)) for one in (before, after)))
        case "type":
            yield _detail("issuetype", "issuetype", *((issue_type(one)["id"], one) for one in (before, after)))
        case "title":
            yield _detail("summary", "summary", (None, before), (None, after))
        case "assignee":
            people = [(f"acc-{one}", f"Developer {one}") if one else (None, None) for one in (before, after)]
            yield _detail("assignee", "assignee", *people)
        case "due":
            yield _detail("duedate", "duedate", *((_text(one), _text(one)) for one in (before, after)))
        case "goal":
            options = (goal_option(one) for one in (before, after))
            yield _detail("Goal", GOAL, *((one and one["id"], one and one["value"]) for one in options))
        case "team":
            yield _detail("Team", TEAM, *((_team_id(one), one) for one in (before, after)))
        case _:
            raise ValueError(f"the simulated Jira has no history for {edit.field}")


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:g}"


def _key(world: World, id_: int | None) -> str | None:
    found = world.items.get(id_) if id_ is not None else None
    return world.key(found) if found else None


def _key_in(world: World, item: Item, change: Change, after: int) -> str:
    """The key before (0) or after (1) a move: the moves and the former keys run in step."""
    moves = [one.id for one in item.history if any(edit.field == "container" for edit in one.edits)]
    places = (*item.former, (item.container, item.number))
    container, number = places[moves.index(change.id) + after]
    return f"{world.containers[container].key}-{number}"


def _version_name(world: World, id_: int) -> str | None:
    found = world.milestones.get(id_)
    return found.title if found else None


def _component_id(where: Container, name: str) -> str:
    place = where.components.index(name) if name in where.components else len(where.components)
    return str(where.id * 100 + place)


def _component(where: Container, name: str) -> Row:
    id_ = _component_id(where, name)
    return {"self": f"{CLOUD}/rest/api/3/component/{id_}", "id": id_, "name": name}


def components(where: Container) -> list[Row]:
    return [_component(where, name) for name in where.components]


def _team_id(name: str | None) -> str | None:
    return None if name is None else "team-" + name.lower().replace(" ", "-")


def _status(world: World, item: Item) -> Row:
    return as_called(world.called, "status", status(world.containers[item.container], item.status))


def _resolution(item: Item) -> Row | None:
    if item.resolution is None:
        return None
    id_ = RESOLUTIONS[item.resolution]
    return {"self": f"{CLOUD}/rest/api/3/resolution/{id_}", "id": id_, "name": item.resolution, "description": ""}


def _parent(world: World, item: Item) -> Row | None:
    found = world.items.get(item.parent) if item.parent is not None else None
    if found is None:
        return None
    return {
        "id": str(found.id),
        "key": world.key(found),
        "self": f"{CLOUD}/rest/api/3/issue/{found.id}",
        "fields": {
            "summary": found.title,
            "status": _status(world, found),
            "priority": PRIORITY,
            "issuetype": issue_type(found.type),
        },
    }


def _subtasks(world: World, item: Item) -> list[Row]:
    children = sorted(world.children.get(item.id, ()))
    return [
        {"id": str(one), "key": world.key(world.items[one]), "self": f"{CLOUD}/rest/api/3/issue/{one}", "fields": {}}
        for one in children
        if world.items[one].type == "Sub-task"
    ]


def _versions(world: World, item: Item) -> list[Row]:
    today = world.now.date()
    return [version(world.milestones[one], today) for one in item.milestones if one in world.milestones]


def _changed_category(world: World, item: Item) -> str:
    at, was = item.created, CATEGORIES[first_state(item, "status")]
    for change in item.history:
        for edit in change.edits:
            if edit.field == "status" and CATEGORIES[edit.after] != was:
                at, was = change.at, CATEGORIES[edit.after]
    return timestamp(at)


def _links(world: World, item: Item) -> list[Row]:
    rows = []
    for tie in world.ties.of(item.id):
        end, other = ("inwardIssue", tie.subject) if tie.object == item.id else ("outwardIssue", tie.object)
        if other in world.items:
            link = {"id": str(tie.id), "self": f"{CLOUD}/rest/api/3/issueLink/{tie.id}", "type": LINK_TYPES[tie.kind]}
            rows.append(link | {end: _linked(world, world.items[other])})
    return rows


def _linked(world: World, other: Item) -> Row:
    return {
        "id": str(other.id),
        "key": world.key(other),
        "self": f"{CLOUD}/rest/api/3/issue/{other.id}",
        "fields": {name: FIELDS[name](world, other) for name in ("summary", "status", "priority", "issuetype")},
    }


def worklogs(item: Item, start: int = 0, most: int = 20) -> Row:
    """A page of an issue's worklogs, oldest first."""
    rows = [
        {
            "self": f"{CLOUD}/rest/api/3/issue/{item.id}/worklog/{one.id}",
            "id": str(one.id),
            "issueId": str(item.id),
            "author": person(1),
            "updateAuthor": person(1),
            "comment": {"type": "doc", "version": 1, "content": []},
            "created": timestamp(one.logged),
            "updated": timestamp(one.logged),
            "started": timestamp(one.started),
            "timeSpent": f"{one.seconds // 60}m",
            "timeSpentSeconds": one.seconds,
        }
        for one in item.worklogs
    ]
    return {"startAt": start, "maxResults": most, "total": len(rows), "worklogs": rows[start : start + most]}


def _in_points_of(own: bool) -> Callable[[World, Item], float | None]:
    return lambda world, item: item.points if world.containers[item.container].team_managed is own else None


FIELDS: dict[str, Callable[[World, Item], Any]] = {
    "summary": lambda world, item: item.title,
    "status": _status,
    "statuscategorychangedate": _changed_category,
    "issuetype": lambda world, item: as_called(world.called, "type", issue_type(item.type)),
    "project": lambda world, item: project(world, world.containers[item.container]),
    "parent": _parent,
    "priority": lambda world, item: PRIORITY,
    "resolution": lambda world, item: _resolution(item),
    "resolutiondate": lambda world, item: timestamp(item.resolved) if item.resolved else None,
    "created": lambda world, item: timestamp(item.created),
    "updated": lambda world, item: timestamp(item.updated),
    "duedate": lambda world, item: _text(item.due),
    "labels": lambda world, item: list(item.labels),
    "components": lambda world, item: [_component(world.containers[item.container], one) for one in item.components],
    "fixVersions": _versions,
    "versions": lambda world, item: [],
    "assignee": lambda world, item: person(item.assignee),
    "reporter": lambda world, item: person(item.reporter),
    "creator": lambda world, item: person(item.reporter),
    "issuelinks": _links,
    "subtasks": _subtasks,
    "timeoriginalestimate": lambda world, item: item.estimate_s,
    "timeestimate": lambda world, item: item.estimate_s and max(0, item.estimate_s - (item.spent_s or 0)),
    "timespent": lambda world, item: item.spent_s,
    "worklog": lambda world, item: worklogs(item),
    "security": lambda world, item: None,
    STORY_POINTS: _in_points_of(False),
    STORY_POINT_ESTIMATE: _in_points_of(True),
    SPRINT: lambda world, item: [sprint(world.sprints[one]) for one in item.sprints] or None,
    GOAL: lambda world, item: goal_option(item.goal),
    TEAM: lambda world, item: {"id": _team_id(item.team), "name": item.team} if item.team else None,
}
