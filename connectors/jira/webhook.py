"""Pure: Jira's webhooks. Source: Jira Cloud platform, "Webhooks"; Jira Data Center, "Managing webhooks"."""

import hashlib
from collections.abc import Mapping
from typing import Any

from connectors.base import Ref
from connectors.hooks import Delivery, Hints, MalformedHook, json_object, numeric
from connectors.text import clean
from schemas.work import item_uid

#: The header that holds the signature (in lower case).
SIGNATURE = "x-hub-signature"
#: Unique in a site and the same over retries. Data Center before 10 sends none.
_DELIVERY = "x-atlassian-webhook-identifier"
_ISSUE = frozenset({"jira:issue_created", "jira:issue_updated", "jira:issue_deleted"})
_WORKLOG = frozenset({"worklog_created", "worklog_updated", "worklog_deleted", "jira:worklog_updated"})
_LINK = frozenset({"issuelink_created", "issuelink_deleted"})
#: Lists that every poll reads whole.
_LISTED = ("jira:version_", "sprint_", "project_", "board_")
#: Of those, lists that are read once an hour.
_RARELY = ("sprint_", "board_")
_IGNORED = ("comment_", "attachment_", "issue_property_", "user_", "option_", "filter_", "jira:expression_")


def read(source: str, headers: Mapping[str, str], body: bytes) -> Delivery:
    """What a verified hook says; header names in lower case. Raises MalformedHook."""
    data = json_object(body)
    event = data.get("webhookEvent")
    if not isinstance(event, str) or not event:
        raise MalformedHook("webhookEvent is missing")
    id_ = headers.get(_DELIVERY) or hashlib.sha256(body).hexdigest()
    hints, known = _hints(source, event, data)
    return Delivery(id=clean(id_, 128), event=clean(event, 128), hints=hints, known=known)


def _hints(source: str, event: str, data: Mapping[str, Any]) -> tuple[Hints, bool]:
    if event in _ISSUE:
        return _of(_issue(source, data.get("issue"))), True
    if event in _WORKLOG:
        worklog = data.get("worklog")
        return _of(_by_id(source, worklog.get("issueId") if isinstance(worklog, Mapping) else None)), True
    if event in _LINK:
        link = data.get("issueLink")
        ends = [link.get(end) for end in ("sourceIssueId", "destinationIssueId")] if isinstance(link, Mapping) else []
        return Hints(items=tuple(ref for end in ends if (ref := _by_id(source, end)))), True
    if event.startswith(_LISTED):
        return Hints(poll=True, lists=event.startswith(_RARELY)), True
    return Hints(), event.startswith(_IGNORED)


def _of(ref: Ref | None) -> Hints:
    """Of one item; where the hook does not name it, a poll will find it."""
    return Hints(items=(ref,)) if ref is not None else Hints(poll=True)


def _issue(source: str, issue: Any) -> Ref | None:
    if not isinstance(issue, Mapping) or not (id_ := numeric(issue.get("id"))):
        return None
    fields = issue.get("fields")
    project = fields.get("project") if isinstance(fields, Mapping) else None
    container = numeric(project.get("id")) if isinstance(project, Mapping) else ""
    return Ref(uid=item_uid(source, "issue", id_), key=clean(issue.get("key")), container=container)


def _by_id(source: str, id_: Any) -> Ref | None:
    found = numeric(id_)
    return Ref(uid=item_uid(source, "issue", found), key="", container="") if found else None
