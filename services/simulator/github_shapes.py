"""The JSON that GitHub gives for a repository, an issue, a milestone, a label and an event.

Shapes follow GitHub's OpenAPI description of its REST API, version 2022-11-28.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from services.simulator.model import CLOSED, OPEN, Change, Container, Edit, Item, Milestone, first_state
from services.simulator.world import World

Row = dict[str, Any]
_PACIFIC = ZoneInfo("America/Los_Angeles")
_TYPE_IDS = {"Task": 31, "Bug": 32, "Feature": 33}


class Event(NamedTuple):
    """Something that happened to an issue; sorts by time, then id."""

    at: datetime
    id: int
    item: Item
    kind: str
    actor: int
    more: Row


def timestamp(moment: datetime | None) -> str | None:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else None


def due_on(day: date | None) -> str | None:
    """GitHub keeps a milestone's day as its midnight in the Pacific zone: 07:00 or 08:00 UTC."""
    return timestamp(datetime(day.year, day.month, day.day, tzinfo=_PACIFIC)) if day else None


def user(number: int) -> Row:
    login = f"dev{number}"
    return {
        "login": login,
        "id": number,
        "node_id": f"U_{number}",
        "avatar_url": f"https://avatars.invalid/u/{number}",
        "html_url": f"https://github.invalid/{login}",
        "type": "User",
        "site_admin": False,
    }


def repository(one: Container, api: str) -> Row:
    owner, _, name = one.key.partition("/")
    return {
        "id": one.id,
        "node_id": f"R_{one.id}",
        "name": name,
        "full_name": one.key,
        "private": True,
        "owner": {"login": owner, "id": 5, "node_id": "O_5", "type": "Organization", "site_admin": False},
        "html_url": f"https://github.invalid/{one.key}",
        "description": one.title,
        "fork": False,
        "url": f"{api}/repos/{one.key}",
        "archived": one.state == "archived",
        "disabled": False,
        "visibility": "private",
        "default_branch": "main",
        "has_issues": True,
        "open_issues_count": sum(1 for item in one.items if not item.done),
        "created_at": timestamp(one.created),
        "updated_at": timestamp(one.updated),
        "pushed_at": timestamp(one.updated),
        "permissions": {"admin": False, "maintain": False, "push": False, "triage": False, "pull": True},
    }


def label(where: Container, name: str, api: str) -> Row:
    return {
        "id": where.labels[name],
        "node_id": f"LA_{where.labels[name]}",
        "url": f"{api}/repos/{where.key}/labels/{name}",
        "name": name,
        "description": None,
        "color": "ededed",
        "default": False,
    }


def milestone(world: World, one: Milestone, api: str) -> Row:
    where = world.containers[one.container]
    closed = sum(1 for item in where.items if one.id in item.milestones and item.done)
    total = sum(1 for item in where.items if one.id in item.milestones)
    return _milestone(where, one, api) | {"open_issues": total - closed, "closed_issues": closed}


def _milestone(where: Container, one: Milestone, api: str) -> Row:
    return {
        "url": f"{api}/repos/{where.key}/milestones/{one.number}",
        "html_url": f"https://github.invalid/{where.key}/milestone/{one.number}",
        "labels_url": f"{api}/repos/{where.key}/milestones/{one.number}/labels",
        "id": one.id,
        "node_id": f"MI_{one.id}",
        "number": one.number,
        "title": one.title,
        "description": None,
        "creator": user(1),
        "open_issues": 0,
        "closed_issues": 0,
        "state": "closed" if one.closed else "open",
        "created_at": timestamp(one.created),
        "updated_at": timestamp(one.updated),
        "due_on": due_on(one.due),
        "closed_at": timestamp(one.closed),
    }


def issue(world: World, item: Item, api: str, *, enterprise: bool = False) -> Row:
    """An issue or a pull request; an Enterprise Server knows neither sub-issues nor types."""
    where = world.containers[item.container]
    here = f"{api}/repos/{where.key}/issues/{item.number}"
    found = world.milestones.get(item.milestones[0]) if item.milestones else None
    row: Row = {
        "url": here,
        "repository_url": f"{api}/repos/{where.key}",
        "labels_url": f"{here}/labels{{/name}}",
        "comments_url": f"{here}/comments",
        "events_url": f"{here}/events",
        "html_url": f"https://github.invalid/{where.key}/{'pull' if item.pull_request else 'issues'}/{item.number}",
        "id": item.id,
        "node_id": f"{'PR' if item.pull_request else 'I'}_{item.id}",
        "number": item.number,
        "title": item.title,
        "user": user(item.reporter),
        "labels": [label(where, name, api) for name in item.labels],
        "state": item.status,
        "locked": False,
        "assignee": user(item.assignee) if item.assignee else None,
        "assignees": [user(item.assignee)] if item.assignee else [],
        "milestone": _milestone(where, found, api) if found else None,
        "comments": 0,
        "created_at": timestamp(item.created),
        "updated_at": timestamp(item.updated),
        "closed_at": timestamp(item.resolved),
        "author_association": "MEMBER",
        "active_lock_reason": None,
        "body": None,
        "state_reason": item.resolution,
    }
    if item.pull_request:
        pull = f"{api}/repos/{where.key}/pulls/{item.number}"
        row |= {"draft": False, "pull_request": {"url": pull, "merged_at": timestamp(item.merged)}}
    if not enterprise:
        row |= _family(world, item, api) | {"type": _type(item.type)}
    return row


def _dependencies(world: World, item: Item) -> Row:
    ties = [one for one in world.ties.of(item.id) if one.kind == "Blocks"]
    by = [world.items[one.subject] for one in ties if one.object == item.id and one.subject in world.items]
    of = [world.items[one.object] for one in ties if one.subject == item.id and one.object in world.items]
    return {
        "blocked_by": sum(not one.done for one in by),
        "blocking": sum(not one.done for one in of),
        "total_blocked_by": len(by),
        "total_blocking": len(of),
    }


def _family(world: World, item: Item, api: str) -> Row:
    children = [world.items[one] for one in world.children.get(item.id, ())]
    done = sum(1 for child in children if child.done)
    parent = world.items.get(item.parent) if item.parent is not None else None
    return {
        "issue_dependencies_summary": _dependencies(world, item),
        "sub_issues_summary": {
            "total": len(children),
            "completed": done,
            "percent_completed": done * 100 // len(children) if children else 0,
        },
        "parent_issue_url": (
            f"{api}/repos/{world.containers[parent.container].key}/issues/{parent.number}" if parent else None
        ),
    }


def _type(name: str | None) -> Row | None:
    if name is None:
        return None
    return {"id": _TYPE_IDS.get(name, 39), "node_id": f"IT_{name}", "name": name, "description": None, "color": "gray"}


def event(world: World, one: Event, api: str, *, with_issue: bool = False, enterprise: bool = False) -> Row:
    where = world.containers[one.item.container]
    row: Row = {
        "id": one.id,
        "node_id": f"EV_{one.id}",
        "url": f"{api}/repos/{where.key}/issues/events/{one.id}",
        "actor": user(one.actor),
        "event": one.kind,
        "commit_id": None,
        "commit_url": None,
        "created_at": timestamp(one.at),
        "performed_via_github_app": None,
    } | one.more
    return row | {"issue": issue(world, one.item, api, enterprise=enterprise)} if with_issue else row


def events(world: World, item: Item) -> list[Event]:
    """All events of an issue, oldest first. Labels, milestone and so on of the creation are events too."""
    found = [
        Event(item.created, item.id * 100 + place, item, kind, item.reporter, more)
        for place, (kind, more) in enumerate(_births(world, item))
    ]
    for change in item.history:
        for place, (kind, more) in enumerate(_kinds(world, item, change)):
            found.append(Event(change.at, change.id * 100 + place, item, kind, change.author, more))
    return found


def _births(world: World, item: Item) -> Iterator[tuple[str, Row]]:
    for name, nothing in (("labels", ()), ("milestones", ()), ("assignee", None), ("type", None), ("parent", None)):
        yield from _edits(world, Edit(name, nothing, first_state(item, name)))


def _kinds(world: World, item: Item, change: Change) -> Iterator[tuple[str, Row]]:
    for edit in change.edits:
        if edit.field == "status":
            if edit.after == CLOSED and item.merged == change.at:
                yield "merged", {"commit_id": f"{item.id:040x}"}
            reasons = [one.after for one in change.edits if one.field == "resolution"]
            reason = reasons[0] if reasons else None
            yield {CLOSED: "closed", OPEN: "reopened"}[edit.after], {"state_reason": reason}
        else:
            yield from _edits(world, edit)


def _edits(world: World, edit: Edit) -> Iterator[tuple[str, Row]]:
    before, after = edit.before, edit.after
    match edit.field:
        case "labels":
            for name in sorted({*before, *after} - ({*before} & {*after})):
                yield "unlabeled" if name in before else "labeled", {"label": {"name": name, "color": "ededed"}}
        case "milestones":
            for id_ in sorted({*before, *after} - ({*before} & {*after})):
                found = world.milestones.get(id_)
                kind = "demilestoned" if id_ in before else "milestoned"
                yield kind, {"milestone": {"title": found.title if found else ""}}
        case "assignee":
            for one, kind in ((before, "unassigned"), (after, "assigned")):
                if one is not None:
                    yield kind, {"assignee": user(one), "assigner": user(one)}
        case "parent":
            for one, kind in ((before, "parent_issue_removed"), (after, "parent_issue_added")):
                if one is not None:
                    yield kind, {"parent_issue": _reference(world, one)}
        case "title":
            yield "renamed", {"rename": {"from": before, "to": after}}
        case "type" if before != after:
            kind = "changed" if before and after else "added" if after else "removed"
            named = {"issue_type": _type(after), "prev_issue_type": _type(before)}
            yield f"issue_type_{kind}", {name: type_ for name, type_ in named.items() if type_ is not None}


def _reference(world: World, id_: int) -> Row | None:
    """An issue that an event refers to; null once it is gone. Of its repository we give what names it."""
    item = world.items.get(id_)
    if item is None:
        return None
    where = world.containers[item.container]
    return {
        "number": item.number,
        "title": item.title,
        "state": item.status,
        "state_reason": item.resolution,
        "repository": {"id": where.id, "node_id": f"R_{where.id}", "name": where.key.split("/")[1],
                       "full_name": where.key, "private": True},
        "issue_type": _type(item.type),
    }  # fmt: skip
