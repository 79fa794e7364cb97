"""The faults as the two vendors word them: their limits, refusals and broken answers, ready to be put in a list."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from services.simulator.answers import http_date
from services.simulator.faults import Asked, Fault

_JSON = {"content-type": "application/json;charset=UTF-8"}
_LOGIN = b"<!DOCTYPE html><html><head><title>Log in</title></head><body><form action='/login'></form></body></html>"
_HTML = {"content-type": "text/html;charset=UTF-8"}


def _refusal(when: str, status: int, data: dict[str, Any], headers: dict[str, str]) -> Fault:
    body = msgspec.json.encode(data)
    return Fault(when=when, kind="answer", status=status, headers=_JSON | headers, body=body)


def burst(when: str, *, retry_after: int = 7) -> Fault:
    """Jira's per-second limit of one endpoint; asking again before the time is up is refused and counted as early."""
    return _jira_limit(when, {"Retry-After": str(retry_after), "RateLimit-Reason": "jira-burst-based"}, retry_after)


def quota(when: str, now: datetime, *, retry_after: int = 1800) -> Fault:
    """Jira's quota of the tenant, with the reset in ISO 8601 without seconds."""
    headers = {
        "Retry-After": str(retry_after),
        "RateLimit-Reason": "jira-quota-tenant-based",
        "X-RateLimit-Reset": f"{now + timedelta(seconds=retry_after):%Y-%m-%dT%H:%MZ}",
    }
    return _jira_limit(when, headers, retry_after)


def _jira_limit(when: str, headers: dict[str, str], hold: float) -> Fault:
    data = {"errorMessages": ["Rate limit exceeded"], "errors": {}}
    return replace(_refusal(when, 429, data, {"X-RateLimit-NearLimit": "true"} | headers), hold=hold)


def limited(when: str, *, status: int = 429, retry_after: str | None = None, hold: float = 0.0) -> Fault:
    """A limit with any Retry-After, well-formed or not, or none."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return replace(_refusal(when, status, {"message": "Too many requests"}, headers), hold=hold)


def primary_limit(when: str, now: datetime, *, resets_in: int = 30, status: int = 403) -> Fault:
    """GitHub's hourly limit: nothing remains until ``x-ratelimit-reset``, in seconds since 1970."""
    headers = {
        "x-ratelimit-limit": "5000",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-used": "5000",
        "x-ratelimit-reset": str(int(now.timestamp()) + resets_in),
        "x-ratelimit-resource": "core",
    }
    data = {"message": "API rate limit exceeded for installation ID 1."}
    return replace(_refusal(when, status, data, headers), hold=resets_in)


def secondary_limit(when: str, *, retry_after: int | None = 60, status: int = 403) -> Fault:
    """GitHub's limit for those who ask too quickly; without a Retry-After a minute is meant."""
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    return replace(_refusal(when, status, {"message": message}, headers), hold=retry_after or 60)


def server_error(when: str, status: int = 502, *, times: int | None = 1) -> Fault:
    body = f"<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>".encode()
    return Fault(when=when, kind="answer", status=status, headers=_HTML, body=body, times=times)


def login_page(when: str, *, times: int | None = None) -> Fault:
    """200 and HTML, as a proxy in between answers once the session is over."""
    return Fault(when=when, kind="answer", headers=_HTML, body=_LOGIN, times=times)


def login_redirect(when: str, *, times: int | None = None) -> Fault:
    return Fault(when=when, kind="answer", status=302, headers={"location": "/login"}, times=times)


def empty_body(when: str, body: bytes = b"", *, times: int | None = 1) -> Fault:
    """200 with nothing in it, or with ``null`` or ``{}``."""
    return Fault(when=when, kind="answer", headers=_JSON, body=body, times=times)


def jira_unauthorized(when: str, *, times: int | None = None) -> Fault:
    body = b"Client must be authenticated to access this resource."
    headers = {"content-type": "text/plain", "www-authenticate": 'Basic realm="Jira"'}
    return Fault(when=when, kind="answer", status=401, headers=headers, body=body, times=times)


def jira_anonymous(when: str = r"/search/jql", *, times: int | None = None) -> Fault:
    """An expired token that Jira's search takes for nobody: 200 and no issues."""
    return replace(_refusal(when, 200, {"issues": [], "isLast": True}, {}), times=times)


def github_unauthorized(when: str, *, times: int | None = None) -> Fault:
    data = {"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest", "status": "401"}
    return replace(_refusal(when, 401, data, {}), times=times)


def sso_required(when: str, *, times: int | None = None) -> Fault:
    data = {"message": "Resource protected by organization SAML enforcement. You must grant your token access."}
    headers = {"X-GitHub-SSO": "required; url=https://github.invalid/orgs/acme/sso"}
    return replace(_refusal(when, 403, data, headers), times=times)


def suspended(when: str, *, times: int | None = None) -> Fault:
    return replace(_refusal(when, 403, {"message": "This installation has been suspended"}, {}), times=times)


_QUERIES = r"/graphql"


def points_used_up(now: datetime, *, resets_in: int = 30, skip: int = 0) -> Fault:
    """GitHub's limit of GraphQL: 200, an error of the type RATE_LIMITED, and nothing that remains until the reset."""
    headers = {
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(int(now.timestamp()) + resets_in),
        "x-ratelimit-resource": "graphql",
        "date": http_date(now),
    }
    data = {"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded for user ID 1."}]}
    return replace(_refusal(_QUERIES, 200, data, headers), hold=resets_in, skip=skip)


def graphql_secondary_limit() -> Fault:
    """The limit for those who ask too quickly, as GraphQL may word it: 200, and no time."""
    message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    return replace(_refusal(_QUERIES, 200, {"data": None, "errors": [{"message": message}]}, {}), hold=60)


def page_asked(asked: Asked) -> int | None:
    """How many entries a query asks for; None where it is another request."""
    if not asked.path.endswith("/graphql"):
        return None
    found = msgspec.json.decode(asked.body)["variables"].get("first")
    return found if isinstance(found, int) else None


def too_heavy(most: int) -> Fault:
    """502 for every query that asks for more entries than that, as for one that takes longer than ten seconds."""
    return replace(server_error(_QUERIES, times=None), when=lambda asked: (page_asked(asked) or 0) > most)


def partly_forbidden(place: int) -> Fault:
    """One entry of each page is null for lack of permission, and an error says so."""

    def change(data: Any) -> Any:
        node = (data.get("data") or {}).get("node")
        if node is not None and len(node["items"]["nodes"]) > place:
            node["items"]["nodes"][place] = None
            path = ["node", "items", "nodes", place]
            data["errors"] = [{"type": "FORBIDDEN", "path": path, "message": "Resource not accessible"}]
        return data

    return Fault(when=_QUERIES, kind="rewrite", times=None, change=change)
