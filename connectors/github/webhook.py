"""Pure: GitHub's webhooks. Source: GitHub Docs, "Webhook events and payloads"."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from connectors.base import Ref
from connectors.hooks import Delivery, Hints, MalformedHook, json_object, numeric
from connectors.text import clean
from schemas.work import Kind, item_uid

#: The header that holds the signature (in lower case).
SIGNATURE = "x-hub-signature-256"
#: Lists that every poll reads whole, and what only a new discovery tells.
_LISTED = frozenset(
    {
        "installation", "installation_repositories", "label", "milestone", "projects_v2", "projects_v2_item",
        "projects_v2_status_update", "repository",
    }
)  # fmt: skip
_IGNORED = frozenset(
    {
        "check_run", "check_suite", "commit_comment", "create", "delete", "deployment", "deployment_status",
        "discussion", "discussion_comment", "fork", "gollum", "issue_comment", "member",
        "membership", "meta", "organization", "ping", "public", "pull_request_review", "pull_request_review_comment",
        "pull_request_review_thread", "push", "release", "star", "status", "team", "watch", "workflow_job",
        "workflow_run",
    }
)  # fmt: skip


def read(source: str, headers: Mapping[str, str], body: bytes) -> Delivery:
    """What a verified hook says; header names in lower case. Raises MalformedHook."""
    event, id_ = headers.get("x-github-event"), headers.get("x-github-delivery")
    if not event or not id_:
        raise MalformedHook("X-GitHub-Event or X-GitHub-Delivery is missing")
    data = json_object(_payload(headers, body))
    hints, known = _hints(source, event, data)
    return Delivery(id=clean(id_, 128), event=clean(event, 128), hints=hints, known=known)


def _payload(headers: Mapping[str, str], body: bytes) -> bytes:
    """The JSON, which a hook of the content type "form" sends in the field ``payload``."""
    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return body
    try:
        return parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=10)["payload"][0].encode()
    except (ValueError, KeyError) as error:
        raise MalformedHook("the form has no field payload") from error


def _hints(source: str, event: str, data: Mapping[str, Any]) -> tuple[Hints, bool]:
    home = data.get("repository")
    if event == "issues":
        changes = data.get("changes")
        changes = changes if isinstance(changes, Mapping) else {}
        return _of(
            _ref(source, "issue", data.get("issue"), home),
            _ref(source, "issue", changes.get("new_issue"), changes.get("new_repository")),
            _ref(source, "issue", changes.get("old_issue"), changes.get("old_repository")),
        ), True
    if event == "pull_request":
        return _of(_ref(source, "pull_request", data.get("pull_request"), home)), True
    if event == "sub_issues":
        return _of(
            _ref(source, "issue", data.get("sub_issue"), data.get("sub_issue_repo") or home),
            _ref(source, "issue", data.get("parent_issue"), data.get("parent_issue_repo") or home),
        ), True
    if event == "issue_dependencies":
        return _of(
            _ref(source, "issue", data.get("blocked_issue"), data.get("blocked_issue_repo") or home),
            _ref(source, "issue", data.get("blocking_issue"), data.get("blocking_issue_repo") or home),
        ), True
    if event in _LISTED:
        return Hints(poll=True, lists=event == "label"), True
    return Hints(), event in _IGNORED


def _of(*refs: Ref | None) -> Hints:
    """Of these items; where the hook names none, a poll will find what it meant."""
    found = tuple(ref for ref in refs if ref is not None)
    return Hints(items=found) if found else Hints(poll=True)


def _ref(source: str, kind: Kind, row: Any, repository: Any) -> Ref | None:
    """An issue by its number. The id of a pull request is not the id of its issue, and so tells no identity."""
    if not isinstance(row, Mapping) or not isinstance(repository, Mapping):
        return None
    number, home, id_ = numeric(row.get("number")), numeric(repository.get("id")), numeric(row.get("id"))
    name = clean(repository.get("full_name"))
    if not number or not home or not id_ or not name:
        return None
    return Ref(
        uid=item_uid(source, kind, "" if kind == "pull_request" else id_), key=f"{name}#{number}", container=home
    )
