"""Pure: GitHub's JSON into our shapes."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from connectors.github.changes import parents_of, types_of
from connectors.history import with_history
from connectors.text import LONGEST_TITLE, clean, names
from schemas.work import (
    Kind,
    Link,
    Milestone,
    Quarantined,
    Resolution,
    StatusCategory,
    Transition,
    WorkItem,
    item_uid,
    milestone_uid,
)

#: GitHub keeps a milestone's due date as midnight there.
_PACIFIC = ZoneInfo("America/Los_Angeles")
_ISSUE = re.compile(r"/repos/([\w.-]+)/([\w.-]+)/issues/([0-9]{1,18})$", re.ASCII)
_RESOLUTIONS: dict[str, Resolution] = {
    "completed": "delivered",
    "not_planned": "not_delivered",
    "duplicate": "duplicate",
}


def moment(text: Any) -> datetime | None:
    """A time as GitHub writes it; None for anything else."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
        return found.astimezone(UTC) if found is not None and found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def due_day(text: Any) -> date | None:
    """The calendar day that a milestone is due: its instant, read in Pacific time."""
    found = moment(text)
    try:
        return found.astimezone(_PACIFIC).date() if found else None
    except OverflowError:
        return None


def milestone(row: Any, source: str, container: str) -> Milestone | None:
    """A repository's milestone; None for a row without an id or a title."""
    if not isinstance(row, Mapping) or not isinstance(row.get("id"), int) or not isinstance(row.get("title"), str):
        return None
    return Milestone(
        uid=milestone_uid(source, "milestone", row["id"]),
        source=source,
        external_id=str(row["id"]),
        kind="milestone",
        title=clean(row["title"]),
        container=container,
        state="done" if row.get("state") == "closed" else "active",
        due_date=due_day(row.get("due_on")),
        closed_at=moment(row.get("closed_at")),
        url=_link(row.get("html_url")),
    )


def _link(value: Any) -> str:
    found = clean(value, 1024)
    return found if found.startswith(("https://", "http://")) else ""


def parent_name(row: Any) -> str | None:
    """``owner/name/number`` of the issue that ``parent_issue_url`` points to, in lower case; None where it is no such.

    Of the address only this is used: where it points to is not for the data to say.
    """
    url = row.get("parent_issue_url") if isinstance(row, Mapping) else None
    found = _ISSUE.search(url) if isinstance(url, str) else None
    if found is None or {found[1], found[2]} & {".", ".."}:
        return None
    return f"{found[1]}/{found[2]}/{found[3]}".lower()


def issue_name(reference: Any) -> str | None:
    """The same of an issue that an event refers to (schema ``issue-reference``); None where it is no such."""
    home = reference.get("repository") if isinstance(reference, Mapping) else None
    name = home.get("full_name") if isinstance(home, Mapping) else None
    number = reference.get("number") if isinstance(reference, Mapping) else None
    if not isinstance(name, str) or type(number) is not int:
        return None
    return parent_name({"parent_issue_url": f"/repos/{name}/issues/{number}"})


def resolution(closed: bool, reason: Any, kind: Kind, merged: bool) -> Resolution | None:
    """What became of a closed issue or pull request; None while it is open."""
    if not closed:
        return None
    if kind == "pull_request":
        return "delivered" if merged else "not_delivered"
    if reason in (None, "", "reopened"):
        return "delivered"
    return _RESOLUTIONS.get(reason, "unknown") if isinstance(reason, str) else "unknown"


def _category(state: str, kind: Kind) -> StatusCategory:
    if state == "closed":
        return "done"
    if state == "open":
        return "in_progress" if kind == "pull_request" else "todo"
    return "unknown"


class Malformed(ValueError):
    """An issue without what every issue has."""


def work_item(
    row: Any,
    events: Sequence[Mapping[str, Any]],
    *,
    source: str,
    container: str,
    parent: str | None,
    titles: Mapping[str, str],
    parents: Mapping[str, str] = MappingProxyType({}),
    links: tuple[Link, ...] | None = (),
    fields: Iterable[str] = (),
) -> WorkItem | Quarantined:
    """One issue or pull request with its events; Quarantined where something required is missing.

    ``parent`` is the uid that its parent's address was resolved to; ``titles`` are the uids of the repository's
    milestones by title, since events name them by title only, and ``parents`` those of issues by the names that events
    give of parents; ``links`` are None where they cannot be told now. Of ``fields`` only a project board tells the
    values.
    """
    try:
        found = _work_item(row, events, source, container, parent, titles, parents)
        return msgspec.structs.replace(found, links=links, fields=dict.fromkeys(fields))
    except (Malformed, ValueError, TypeError, AttributeError, KeyError) as error:
        ref = str(row.get("number") or row.get("id")) if isinstance(row, Mapping) else repr(row)[:50]
        raw = json.dumps(row, default=repr)[:4000]
        return Quarantined(source=source, container=container, ref=clean(ref), problem=str(error), raw=raw)


def _work_item(
    row: Any,
    events: Sequence[Mapping[str, Any]],
    source: str,
    container: str,
    parent: str | None,
    titles: Mapping[str, str],
    parents: Mapping[str, str],
) -> WorkItem:
    if not isinstance(row, Mapping) or type(row.get("id")) is not int or type(row.get("number")) is not int:
        raise Malformed("the issue has no id or no number")
    state, created, updated = row.get("state"), moment(row.get("created_at")), moment(row.get("updated_at"))
    if not isinstance(state, str) or not state:
        raise Malformed("state is missing")
    if created is None or updated is None:
        raise Malformed("created_at or updated_at is no time")
    pull = row.get("pull_request")
    kind: Kind = "pull_request" if isinstance(pull, Mapping) else "issue"
    merged = isinstance(pull, Mapping) and pull.get("merged_at") is not None
    labels, cut = names(one.get("name") if isinstance(one, Mapping) else one for one in row.get("labels") or ())
    found, type_ = row.get("milestone"), row.get("type")
    closed = state == "closed"
    item = WorkItem(
        uid=item_uid(source, kind, row["id"]),
        source=source,
        external_id=str(row["id"]),
        key=f"{container}#{row['number']}",
        container=container,
        kind=kind,
        type=clean(type_["name"]) or None if isinstance(type_, Mapping) and type_.get("name") else None,
        title=clean(row.get("title"), LONGEST_TITLE),
        status=clean(state),
        status_category=_category(state, kind),
        resolution=resolution(closed, row.get("state_reason"), kind, merged),
        resolution_name=clean(row.get("state_reason")) or None if closed else None,
        labels=labels,
        milestones=(milestone_uid(source, "milestone", found["id"]),)
        if isinstance(found, Mapping) and isinstance(found.get("id"), int)
        else (),
        parent=parent,
        created_at=created,
        updated_at=updated,
        url=_link(row.get("html_url")),
        truncated=cut or len(str(row.get("title") or "")) > LONGEST_TITLE,
    )
    steps = _in_order(events)
    changes = [*_states(item, events, closed, merged), *_lists(item, events, titles)]
    changes += [*types_of(steps), *parents_of(steps, parents)]
    closed_at = moment(row.get("closed_at"))
    if closed and not any(change.field == "status" for change in changes):
        changes += _closing(item, closed_at or updated)
    item = with_history(item, changes, ())
    return msgspec.structs.replace(item, done_at=item.done_at or closed_at) if closed else item


def _closing(item: WorkItem, at: datetime) -> list[Transition]:
    """The closing of an item whose events do not tell of it."""
    opened = _category("open", item.kind)
    return [
        Transition(
            id="inferred:closed", field="status", at=at, before="open", after="closed",
            before_category=opened, after_category="done", origin="inferred",
        ),
        Transition(
            id="inferred:resolved", field="resolution", at=at, before=None, after=item.resolution, origin="inferred"
        ),
    ]  # fmt: skip


def _in_order(events: Sequence[Mapping[str, Any]]) -> list[tuple[datetime, int, Mapping[str, Any]]]:
    found: dict[int, tuple[datetime, int, Mapping[str, Any]]] = {}
    for event in events:
        at, id_ = moment(event.get("created_at")), event.get("id")
        if at is not None and isinstance(id_, int):
            found[id_] = (at, id_, event)
    return sorted(found.values(), key=lambda one: (one[0], one[1]))


def _states(item: WorkItem, events: Sequence[Mapping[str, Any]], closed: bool, merged: bool) -> list[Transition]:
    """Openings and closings in the order they happened, each with what it resolved."""
    opened = _category("open", item.kind)
    changes: list[Transition] = []
    was_closed, resolved = False, None
    steps = [one for one in _in_order(events) if one[2].get("event") in ("closed", "reopened")]
    for place, (at, id_, event) in enumerate(steps):
        closing = event["event"] == "closed"
        if closing == was_closed:
            continue
        last = place == len(steps) - 1
        after = resolution(closing, event.get("state_reason"), item.kind, merged and last) if closing else None
        if last and closing and closed:
            after = item.resolution
        names_ = ("closed", "open")
        categories: tuple[StatusCategory, StatusCategory] = ("done", opened)
        changes.append(
            Transition(
                id=f"{id_}:status", field="status", at=at, origin="event",
                before=names_[closing], after=names_[not closing],
                before_category=categories[closing], after_category=categories[not closing],
            )
        )  # fmt: skip
        changes.append(
            Transition(id=f"{id_}:resolution", field="resolution", at=at, before=resolved, after=after, origin="event")
        )
        was_closed, resolved = closing, after
    return changes


def _lists(item: WorkItem, events: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> list[Transition]:
    """Labels and milestones, folded back from how they are now."""
    labels, milestones = set(item.labels), set(item.milestones)
    changes: list[Transition] = []
    for at, id_, event in reversed(_in_order(events)):
        what = event.get("event")
        if what in ("labeled", "unlabeled") and isinstance(event.get("label"), Mapping):
            name = clean(event["label"].get("name"))
            changes.append(_list_change("labels", f"{id_}:labels", at, labels, name, what == "labeled"))
        elif what in ("milestoned", "demilestoned") and isinstance(event.get("milestone"), Mapping):
            uid = titles.get(clean(event["milestone"].get("title")))
            if uid is not None:
                changes.append(
                    _list_change("milestones", f"{id_}:milestones", at, milestones, uid, what == "milestoned")
                )
    return changes


def _list_change(field: Any, id_: str, at: datetime, now: set[str], value: str, added: bool) -> Transition:
    after = sorted(now)
    if added:
        now.discard(value)
    else:
        now.add(value)
    return Transition(id=id_, field=field, at=at, before=sorted(now), after=list(after), origin="event")
