"""Pure: Jira's JSON into our shapes, with the site's own tables beside it."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import msgspec

from connectors.history import with_history
from connectors.jira.links import links_of
from connectors.jira.sprint_ids import FIELD as SPRINT_FIELD
from connectors.jira.sprint_ids import ids_in, ids_of_change
from connectors.jira.values import day, field_value, moment, number, seconds
from connectors.jira.worklogs import FIELD as WORKLOG_FIELD
from connectors.jira.worklogs import spent
from connectors.text import LONGEST_TITLE, clean, names
from schemas.work import (
    Milestone,
    Past,
    Quarantined,
    Resolution,
    StatusCategory,
    Transition,
    TransitionField,
    WorkItem,
    item_uid,
    milestone_uid,
)

_CATEGORIES: dict[str, StatusCategory] = {"new": "todo", "indeterminate": "in_progress", "done": "done"}
_NOT_DELIVERED = (
    "won't", "wont", "will not", "cannot", "can't", "not a bug", "declin", "reject", "invalid", "incomplete",
    "abandon", "obsolete", "cancel", "withdrawn", "out of scope", "not planned", "works as designed",
)  # fmt: skip
_DELIVERED = ("done", "fixed", "resolved", "complete", "delivered", "released", "implemented", "accepted", "shipped")
_POINTS = "com.pyxis.greenhopper.jira:jsw-story-points"
_EPIC_LINK = "com.pyxis.greenhopper.jira:gh-epic-link"
_PARENT_LINK = "com.atlassian.jpo:jpo-custom-field-parent"
_POINTS_NAMES = ("story points", "story point estimate")
_KEY = re.compile(r"[A-Z][A-Z0-9_]{0,254}-[0-9]{1,18}")
_PARENT_FIELDS = frozenset({"parent", "issueparentassociation", "epic link", "parent link"})


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What a site calls its things: fields and statuses, by id."""

    source: str
    url: str
    categories: dict[str, StatusCategory]  #: status id -> category
    points: tuple[str, ...]  #: ids of the fields that hold story points
    epic_link: tuple[str, ...] = ()  #: ids of the fields that hold the key of a parent
    fields: dict[str, str] = {}  #: our name -> field id
    team: str | None = None
    sprints: tuple[str, ...] = ()  #: ids of the fields that hold sprints

    def wanted(self) -> list[str]:
        """The fields to ask for: no person, no description, no comment."""
        return [
            "summary", "status", "issuetype", "project", "parent", "resolution", "resolutiondate", "created", "updated",
            "duedate", "labels", "components", "fixVersions", "issuelinks", "timeoriginalestimate", "timespent",
            WORKLOG_FIELD,
            *self.points, *self.epic_link, *self.sprints, *self.fields.values(), *([self.team] if self.team else []),
        ]  # fmt: skip


def site(
    source: str,
    url: str,
    *,
    fields: Sequence[Mapping[str, Any]],
    statuses: Sequence[Mapping[str, Any]],
    named: Mapping[str, str],
    team: str | None,
) -> tuple[Site, list[str]]:
    """The site's tables from ``/field`` and ``/status``, and the configured fields that it does not have.

    Story points are found by the field's schema; by name only where no field has that schema.
    """
    by_id = {str(field.get("id")): field for field in fields}
    by_name = {str(field.get("name", "")).casefold(): str(field.get("id")) for field in fields}

    def found(name: str) -> str | None:
        return name if name in by_id else by_name.get(name.casefold())

    missing = [name for name in (*named.values(), *([team] if team else [])) if found(name) is None]
    points = {id_ for id_, field in by_id.items() if _custom(field) == _POINTS}
    points |= {by_name[name] for name in _POINTS_NAMES if name in by_name and _is_number(by_id[by_name[name]])}
    return (
        Site(
            source=source,
            url=url.rstrip("/"),
            categories={str(status.get("id")): category_of(status) for status in statuses},
            points=tuple(sorted(points)),
            epic_link=tuple(
                id_ for kind in (_EPIC_LINK, _PARENT_LINK) for id_, field in by_id.items() if _custom(field) == kind
            ),
            fields={ours: id_ for ours, name in named.items() if (id_ := found(name)) is not None},
            team=found(team) if team else None,
            sprints=tuple(id_ for id_, field in by_id.items() if _custom(field) == SPRINT_FIELD),
        ),
        missing,
    )


def _custom(field: Mapping[str, Any]) -> str:
    return str((field.get("schema") or {}).get("custom", ""))


def _is_number(field: Mapping[str, Any]) -> bool:
    return (field.get("schema") or {}).get("type") == "number"


def category_of(status: Mapping[str, Any]) -> StatusCategory:
    """A status's category; ``unknown`` for one that Jira did not have when this was written."""
    category = status.get("statusCategory")
    return _CATEGORIES.get(str(category.get("key")) if isinstance(category, Mapping) else "", "unknown")


def resolution_of(name: str | None) -> Resolution | None:
    """What a resolution's name means; ``unknown`` where the name does not say."""
    if not name:
        return None
    folded = name.casefold()
    if "duplicate" in folded:
        return "duplicate"
    if any(part in folded for part in _NOT_DELIVERED):
        return "not_delivered"
    return "delivered" if any(part in folded for part in _DELIVERED) else "unknown"


def _text(value: Any, key: str = "name") -> str | None:
    return clean(value[key]) or None if isinstance(value, Mapping) and isinstance(value.get(key), str) else None


def _rows(value: Any) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


class Malformed(ValueError):
    """An issue without what every issue has."""


def work_item(
    issue: Any,
    histories: Sequence[Mapping[str, Any]],
    site: Site,
    container: str,
    ids: Mapping[str, str] = MappingProxyType({}),
) -> WorkItem | Quarantined:
    """One issue with its changelog; Quarantined where something required is missing or of another kind.

    ``ids`` are those of the keys that `parent_key` gives.
    """
    ref = str(issue.get("key") or issue.get("id")) if isinstance(issue, Mapping) else repr(issue)[:50]
    try:
        return _work_item(issue, histories, site, ids)
    except (Malformed, ValueError, TypeError, AttributeError) as error:
        raw = json.dumps(issue, default=repr)[:4000]
        return Quarantined(source=site.source, container=container, ref=clean(ref), problem=str(error), raw=raw)


def _work_item(issue: Any, histories: Sequence[Mapping[str, Any]], site: Site, ids: Mapping[str, str]) -> WorkItem:
    if not isinstance(issue, Mapping) or not str(issue.get("id", "")).isdigit():
        raise Malformed("the issue has no numeric id")
    fields = issue.get("fields")
    if not isinstance(fields, Mapping) or not issue.get("key"):
        raise Malformed("the issue has no key or no fields")
    status, created, updated = fields.get("status"), moment(fields.get("created")), moment(fields.get("updated"))
    if not isinstance(status, Mapping) or not status.get("name"):
        raise Malformed("fields.status is missing")
    if created is None or updated is None:
        raise Malformed("fields.created or fields.updated is no time")
    project = fields.get("project")
    container = str(project.get("key")) if isinstance(project, Mapping) and project.get("key") else None
    key = clean(issue["key"])
    resolution_name = _text(fields.get("resolution"))
    labels, cut_labels = names(fields.get("labels") or ())
    components, cut_components = names(row.get("name") for row in _rows(fields.get("components")))
    links, cut_links = links_of(fields.get("issuelinks"), site.source)
    title = clean(fields.get("summary"), LONGEST_TITLE)
    item = WorkItem(
        uid=item_uid(site.source, "issue", issue["id"]),
        source=site.source,
        external_id=str(issue["id"]),
        key=key,
        container=container or key.rpartition("-")[0],
        kind="issue",
        title=title,
        status=clean(status["name"]),
        status_category=category_of(status),
        created_at=created,
        updated_at=updated,
        type=_text(fields.get("issuetype")),
        resolution=resolution_of(resolution_name),
        resolution_name=resolution_name,
        labels=labels,
        components=components,
        milestones=_milestones(fields, site),
        parent=_parent(fields, site) or _uid(ids.get(parent_key(issue, site) or ""), site),
        links=links,
        estimate_points=next((found for id_ in site.points if (found := number(fields.get(id_))) is not None), None),
        original_estimate_s=seconds(fields.get("timeoriginalestimate")),
        time_spent_s=seconds(fields.get("timespent")),
        due_date=day(fields.get("duedate")),
        fields={ours: field_value(fields.get(id_)) for ours, id_ in sorted(site.fields.items())},
        team=_team(fields.get(site.team)) if site.team else None,
        url=f"{site.url}/browse/{key}",
        truncated=cut_labels or cut_components or cut_links or len(str(fields.get("summary") or "")) > LONGEST_TITLE,
    )
    changes = transitions(histories, item, site)
    logged = spent(issue, item.time_spent_s, updated)
    if logged is not None:
        changes = [*(change for change in changes if change.field != "time_spent_s"), *logged]
    return with_history(item, changes, former_keys(histories, key))


def _milestones(fields: Mapping[str, Any], site: Site) -> tuple[str, ...]:
    versions = [row["id"] for row in _rows(fields.get("fixVersions")) if row.get("id")]
    sprints = [id_ for field in site.sprints for id_ in ids_in(fields.get(field))]
    found = {milestone_uid(site.source, "version", id_) for id_ in versions}
    return tuple(sorted(found | {milestone_uid(site.source, "sprint", id_) for id_ in sprints}))


def parent_key(issue: Any, site: Site) -> str | None:
    """The key of a parent that is given by no id: an Epic Link, or a Parent Link above epics. Only on Data Center."""
    fields = issue.get("fields") if isinstance(issue, Mapping) else None
    if not isinstance(fields, Mapping) or _parent(fields, site) is not None:
        return None
    keys = (fields.get(id_) for id_ in site.epic_link)
    return next((key for key in keys if isinstance(key, str) and _KEY.fullmatch(key)), None)


def _parent(fields: Mapping[str, Any], site: Site) -> str | None:
    parent = fields.get("parent")
    if isinstance(parent, Mapping) and str(parent.get("id", "")).isdigit():
        return item_uid(site.source, "issue", parent["id"])
    return None


def _team(value: Any) -> str | None:
    named = value.get("name") or value.get("title") if isinstance(value, Mapping) else None
    found = field_value(named or value)
    return found if isinstance(found, str) and found else None


def former_keys(histories: Sequence[Mapping[str, Any]], key: str) -> tuple[str, ...]:
    """The keys an issue had before it was moved, oldest first."""
    found: dict[str, None] = {}
    for history in sorted(histories, key=lambda one: moment(one.get("created")) or datetime.min.replace(tzinfo=UTC)):
        for change in _rows(history.get("items")):
            if change.get("field") == "Key" and isinstance(change.get("fromString"), str):
                found[clean(change["fromString"])] = None
    return tuple(one for one in found if one and one != key)


def transitions(histories: Sequence[Mapping[str, Any]], item: WorkItem, site: Site) -> list[Transition]:
    """The changes that rules and the ledger care about, newest first undone from the present state.

    Jira tells added and removed versions and components one by one; we need the whole list before and after, so the
    lists are folded back from how they are now.
    """
    changes: list[tuple[datetime, str, Mapping[str, Any]]] = []
    for history in histories:
        at = moment(history.get("created"))
        if at is None:
            continue
        for index, change in enumerate(_rows(history.get("items"))):
            changes.append((at, f"{history.get('id')}:{index}", change))
    lists: dict[str, set[str]] = {"components": set(item.components), "milestones": set(item.milestones)}
    found: dict[str, Transition] = {}
    for at, id_, change in sorted(changes, key=lambda one: (one[0], one[1]), reverse=True):
        if id_ in found:
            continue
        transition = _transition(id_, at, change, site, lists)
        if transition is not None:
            found[id_] = transition
    return list(found.values())


def _transition(
    id_: str, at: datetime, change: Mapping[str, Any], site: Site, lists: dict[str, set[str]]
) -> Transition | None:
    name, field_id = str(change.get("field", "")), str(change.get("fieldId") or "")
    old, new = change.get("fromString"), change.get("toString")
    if name == "status":
        before, after = (site.categories.get(str(change.get(end)), "unknown") for end in ("from", "to"))
        return Transition(
            id=id_, field="status", at=at, before=clean(old), after=clean(new),
            before_category=before, after_category=after,
        )  # fmt: skip
    field, values = _values(name, field_id, change, site, lists)
    return None if field is None else Transition(id=id_, field=field, at=at, before=values[0], after=values[1])


def _values(
    name: str, field_id: str, change: Mapping[str, Any], site: Site, lists: dict[str, set[str]]
) -> tuple[TransitionField | None, tuple[Past, Past]]:
    old, new = (text if isinstance(text := change.get(end), str) else None for end in ("fromString", "toString"))
    folded = name.casefold()
    if name == "resolution":
        return "resolution", (resolution_of(old), resolution_of(new))
    if name == "labels":
        return "labels", (sorted((old or "").split()), sorted((new or "").split()))
    if name == "issuetype":
        return "type", (clean(old) or None, clean(new) or None)
    if name == "project":
        return None, (None, None)
    if name == "Key":
        return "container", (str(old or "").rpartition("-")[0], str(new or "").rpartition("-")[0])
    if folded in _PARENT_FIELDS:
        return "parent", (_uid(change.get("from"), site), _uid(change.get("to"), site))
    if field_id in site.points or (not field_id and folded in _POINTS_NAMES):
        return "estimate_points", (number(old), number(new))
    if folded in ("timeoriginalestimate", "timespent"):
        spent = folded == "timespent"
        ends = (seconds(change.get("from")), seconds(change.get("to")))
        return ("time_spent_s" if spent else "original_estimate_s"), ends
    if field_id in site.sprints or (not field_id and name == "Sprint" and site.sprints):
        before, after = (
            {milestone_uid(site.source, "sprint", id_) for id_ in ids_of_change(change.get(end))}
            for end in ("from", "to")
        )
        return "milestones", _undone(lists["milestones"], before - after, after - before)
    if name in ("Component", "Fix Version"):
        kind: TransitionField = "components" if name == "Component" else "milestones"
        removed, added = ({_entry(change, end, kind, site) or ""} - {""} for end in ("from", "to"))
        return kind, _undone(lists[kind], removed, added)
    return None, (None, None)


def _uid(id_: Any, site: Site) -> str | None:
    return item_uid(site.source, "issue", id_) if isinstance(id_, str | int) and str(id_).isdigit() else None


def _entry(change: Mapping[str, Any], end: str, kind: str, site: Site) -> str | None:
    id_, text = change.get(end), change.get(f"{end}String")
    if kind == "components":
        return clean(text) or None
    return milestone_uid(site.source, "version", id_) if isinstance(id_, str) and id_ else None


def _undone(now: set[str], removed: set[str], added: set[str]) -> tuple[Past, Past]:
    after: Past = sorted(now)
    now -= added
    now |= removed
    return sorted(now), after


def milestone(row: Mapping[str, Any], source: str, container: str, url: str) -> Milestone | None:
    """A project's version; None for a row without an id or a name."""
    if not row.get("id") or not isinstance(row.get("name"), str):
        return None
    released, archived = bool(row.get("released")), bool(row.get("archived"))
    return Milestone(
        uid=milestone_uid(source, "version", row["id"]),
        source=source,
        external_id=str(row["id"]),
        kind="version",
        title=clean(row["name"]),
        container=container,
        state="done" if released else "cancelled" if archived else "active",
        start_date=day(row.get("startDate")),
        due_date=day(row.get("releaseDate")),
        url=f"{url}/projects/{container}/versions/{row['id']}",
    )
