"""Hooks of both trackers: a signature over raw bytes, and hints that carry no state."""

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import Ref
from connectors.github import webhook as github
from connectors.hooks import Delivery, Hints, MalformedHook, is_signed
from connectors.jira import webhook as jira

SECRET = "correct-horse"


def signature(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def test_the_vendor_s_own_example_is_signed() -> None:
    """GitHub Docs, "Validating webhook deliveries", gives a secret, a payload and their signature."""
    told = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert is_signed("It's a Secret to Everybody", told, b"Hello, World!")


@pytest.mark.parametrize(
    "told",
    [
        None,
        "",
        "sha256=",
        signature(b"{} "),
        signature(b"{}", "another"),
        signature(b"{}").upper(),
        signature(b"{}").removeprefix("sha256="),
        signature(b"{}").replace("sha256=", "sha1="),
        "sha1=" + hmac.new(SECRET.encode(), b"{}", hashlib.sha1).hexdigest(),
        signature(b"{}") + "0",
        "sha256=\udcff\u20ac",
    ],
)
def test_every_other_signature_is_refused(told: str | None) -> None:
    """Unsigned, of another body, secret, prefix, case or method."""
    assert is_signed(SECRET, signature(b"{}"), b"{}")
    assert not is_signed(SECRET, told, b"{}")


def of_jira(event: str, **data: Any) -> Delivery:
    body = json.dumps({"timestamp": 1_700_000_000_000, "webhookEvent": event, **data}).encode()
    return jira.read("j", {"x-atlassian-webhook-identifier": "d-1"}, body)


ISSUE = {"id": "10001", "key": "PAY-1", "fields": {"project": {"id": "10000", "key": "PAY"}, "summary": "secret"}}


@pytest.mark.parametrize("event", ["created", "updated", "deleted"])
def test_a_jira_issue_is_a_hint_at_its_identity(event: str) -> None:
    """By its immutable id and its project's; none of its fields goes further."""
    told = of_jira(f"jira:issue_{event}", issue=ISSUE)
    assert told.hints == Hints(items=(Ref(uid="j:issue:10001", key="PAY-1", container="10000"),))
    assert (told.id, told.event, told.known) == ("d-1", f"jira:issue_{event}", True)


@pytest.mark.parametrize(
    ("event", "data", "ids"),
    [
        ("worklog_deleted", {"worklog": {"id": "5", "issueId": "10001"}}, ["10001"]),
        ("worklog_updated", {"worklog": {"id": "5", "issueId": 10001}}, ["10001"]),
        ("issuelink_created", {"issueLink": {"sourceIssueId": 1, "destinationIssueId": 2}}, ["1", "2"]),
    ],
)
def test_what_hangs_on_a_jira_issue_is_a_hint_at_it(event: str, data: dict[str, Any], ids: list[str]) -> None:
    """Worklogs and links name issues by id only."""
    assert [ref.uid for ref in of_jira(event, **data).hints.items] == [f"j:issue:{id_}" for id_ in ids]


@pytest.mark.parametrize("event", ["jira:version_released", "sprint_closed", "project_deleted", "board_created"])
def test_a_jira_list_is_a_reason_to_poll(event: str) -> None:
    assert of_jira(event).hints == Hints(poll=True, lists=event.startswith(("sprint_", "board_")))


def test_a_jira_event_that_nobody_knows_does_nothing() -> None:
    """It is answered like one that is ignored, and told apart from it."""
    assert of_jira("comment_created", issue=ISSUE) == Delivery(id="d-1", event="comment_created")
    assert of_jira("quantum_flipped", issue=ISSUE) == Delivery(id="d-1", event="quantum_flipped", known=False)


def test_without_an_identifier_equal_bodies_are_one_delivery() -> None:
    """Data Center before 10 sends none."""
    one, same, other = (
        jira.read("j", {}, json.dumps({"webhookEvent": "jira:issue_updated", "issue": {"id": id_}}).encode())
        for id_ in ("1", "1", "2")
    )
    assert one.id == same.id != other.id


REPOSITORY = {"id": 9, "full_name": "acme/web"}


def of_github(event: str, data: dict[str, Any]) -> Delivery:
    headers = {"x-github-event": event, "x-github-delivery": "g-1", "content-type": "application/json"}
    return github.read("g", headers, json.dumps(data).encode())


def test_a_github_issue_is_a_hint_at_its_identity() -> None:
    told = of_github("issues", {"action": "edited", "issue": {"id": 1001, "number": 7}, "repository": REPOSITORY})
    assert told.hints == Hints(items=(Ref(uid="g:issue:1001", key="acme/web#7", container="9"),))


def test_a_transfer_is_a_hint_at_both_ends() -> None:
    """The issue gets another id and number in another repository."""
    changes = {"new_issue": {"id": 2002, "number": 1}, "new_repository": {"id": 10, "full_name": "acme/pay"}}
    told = of_github(
        "issues",
        {"action": "transferred", "issue": {"id": 1001, "number": 7}, "repository": REPOSITORY, "changes": changes},
    )
    assert [(ref.uid, ref.container) for ref in told.hints.items] == [("g:issue:1001", "9"), ("g:issue:2002", "10")]


def test_a_pull_request_is_named_by_its_number() -> None:
    """The id of a pull request is not the id of its issue."""
    pull = {"action": "closed", "pull_request": {"id": 555, "number": 8}, "repository": REPOSITORY}
    told = of_github("pull_request", pull)
    assert told.hints.items == (Ref(uid="g:pull_request:", key="acme/web#8", container="9"),)


def test_sub_issues_are_hints_at_parent_and_child() -> None:
    told = of_github(
        "sub_issues",
        {
            "action": "sub_issue_added",
            "sub_issue": {"id": 1, "number": 1},
            "sub_issue_repo": {"id": 10, "full_name": "acme/pay"},
            "parent_issue": {"id": 2, "number": 2},
            "repository": REPOSITORY,
        },
    )
    assert [ref.key for ref in told.hints.items] == ["acme/pay#1", "acme/web#2"]


@pytest.mark.parametrize("event", ["milestone", "label", "repository", "installation_repositories", "projects_v2_item"])
def test_a_github_list_is_a_reason_to_poll(event: str) -> None:
    assert of_github(event, {"action": "edited"}).hints == Hints(poll=True, lists=event == "label")


def test_a_github_event_that_nobody_knows_does_nothing() -> None:
    assert of_github("ping", {"zen": "Keep it logically awesome."}).known
    assert of_github("quantum", {}) == Delivery(id="g-1", event="quantum", known=False)


def test_a_form_is_read_like_json() -> None:
    """A hook of the content type "form" sends the JSON in a field."""
    data = {"action": "opened", "issue": {"id": 1, "number": 1}, "repository": REPOSITORY}
    headers = {
        "x-github-event": "issues", "x-github-delivery": "g-1", "content-type": "application/x-www-form-urlencoded",
    }  # fmt: skip
    told = github.read("g", headers, urlencode({"payload": json.dumps(data)}).encode())
    assert [ref.uid for ref in told.hints.items] == ["g:issue:1"]


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"webhookEvent": 5}'])
def test_what_is_no_hook_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedHook):
        jira.read("j", {}, body)
    with pytest.raises(MalformedHook):
        github.read("g", {"x-github-event": "issues"}, body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["id", "key", "number", "fields", "project", "full_name", "new_issue", "issueId"]), inner
    ),
    max_leaves=12,
)  # fmt: skip


@given(
    data=st.dictionaries(st.sampled_from(["issue", "worklog", "issueLink", "repository", "changes", "sub_issue"]), JSON)
)
def test_no_body_breaks_the_reading(data: dict[str, Any]) -> None:
    """Whatever the parts are, there are hints at well-formed identities, or none."""
    read = [of_jira(event, **data) for event in ("jira:issue_updated", "worklog_created", "issuelink_deleted")]
    read += [of_github(event, data) for event in ("issues", "pull_request", "sub_issues")]
    for one in read:
        assert all(ref.uid.rpartition(":")[2].isdigit() or ref.uid.endswith("pull_request:") for ref in one.hints.items)
