"""What pull requests close and what blocks issues: asked by GraphQL for those rows that changed, a hundred at a time.

API facts: GitHub's GraphQL schema, ``PullRequest.closingIssuesReferences``, ``Issue.blockedBy`` and ``Issue.blocking``;
GitHub REST API, "Issue dependencies": a row's ``issue_dependencies_summary`` tells whether there are any. Neither kind
of link reliably moves ``updated_at``; a hook of the kind ``issue_dependencies``, or the next change, brings it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from connectors.base import ConnectorError, RateLimited
from connectors.github.graphql import Denied, Exhausted, GraphQL, Told
from connectors.github.listing import Refused
from connectors.text import MOST_NAMES
from schemas.work import Link, item_uid

if TYPE_CHECKING:
    from connectors.github.client import GitHubClient

_AT_ONCE = 100
_ISSUES = """
    ... on Issue {
      id blockedBy(first: 100) { nodes { fullDatabaseId } } blocking(first: 100) { nodes { fullDatabaseId } }
    }"""
_QUERY = f"""
query CourselineLinks($ids: [ID!]!) {{
  rateLimit {{ cost remaining resetAt }}
  nodes(ids: $ids) {{
    ... on PullRequest {{ id closingIssuesReferences(first: 100) {{ nodes {{ fullDatabaseId }} }} }}{_ISSUES}
  }}
}}"""
#: A host that does not let us ask, or does not know the words, is asked again after so long.
_AGAIN_S = 3600.0

Links = tuple[Link, ...]
Row = Mapping[str, Any]


class LinkReader:
    """The links of one host's issues and pull requests."""

    def __init__(self, client: "GitHubClient") -> None:
        self._client = client
        self._source = client.config.name
        self._graphql = GraphQL(client)
        self._off_until = 0.0
        self._without: set[str] = set()  #: words that this host does not know

    async def of(self, rows: Sequence[Any]) -> dict[int, Links | None]:
        """The links of those rows that may have any, by their ids; None for what cannot be told now."""
        asked = {row["node_id"]: row for row in rows if _may_have(row)}
        found: dict[int, Links | None] = {row["id"]: None for row in asked.values()}
        names = list(asked)
        for start in range(0, len(names), _AT_ONCE):
            told = await self._ask(names[start : start + _AT_ONCE])
            for node in told:
                row = asked.get(node.get("id", ""))
                if row is not None:
                    found[row["id"]] = links_of(node, row, self._source)
        return found

    async def _ask(self, ids: Sequence[str]) -> list[Row]:
        """The nodes that are told; none where the host does not let us ask. Links are worth no failed pass."""
        clock = self._client.pacer.clock
        if clock.monotonic() < self._off_until:
            return []
        while True:
            try:
                told = await self._graphql.query(self._text(), lambda _: {"ids": list(ids)}, sound=_has_nodes)
            except (Exhausted, RateLimited):
                return []
            except Denied as error:
                said = " ".join(one.message for one in error.problems)
                unknown = {word for word in ("fullDatabaseId", "blockedBy", "blocking") if word in said}
                if unknown and not unknown <= self._without:
                    self._without |= unknown
                    continue
                self._off_until = clock.monotonic() + _AGAIN_S
                return []
            except (Refused, ConnectorError):
                self._off_until = clock.monotonic() + _AGAIN_S
                return []
            return [node for node in told.data["nodes"] if isinstance(node, Mapping)]

    def _text(self) -> str:
        text = _QUERY
        if self._without & {"blockedBy", "blocking"}:
            text = text.replace(_ISSUES, "")
        return text.replace("fullDatabaseId", "databaseId") if "fullDatabaseId" in self._without else text


def links_of(node: Row, row: Row, source: str) -> Links | None:
    """The links that a node tells, both ends by the ids of the list of issues; None where a list of them is missing.

    A link has no id of its own: it is named by what it does and by both ends.
    """
    pull = "closingIssuesReferences" in node
    lists = ("closingIssuesReferences",) if pull else ("blockedBy", "blocking")
    found: dict[str, Link] = {}
    for name in lists:
        nodes = node[name].get("nodes") if isinstance(node.get(name), Mapping) else None
        if not isinstance(nodes, list):
            return None
        inward = name == "blockedBy"
        for one in nodes:
            other = _id(one)
            if other is None:
                continue
            ends = (other, row["id"]) if inward else (row["id"], other)
            kind = "closes" if pull else "blocks"
            link = Link(
                id=f"{kind}:{ends[0]}:{ends[1]}",
                kind="closes" if pull else "blocks",
                to=item_uid(source, "issue", other),
                inward=inward,
                name="is blocked by" if inward else kind,
            )
            found[link.id] = link
    return tuple(found[id_] for id_ in sorted(found))[:MOST_NAMES]


def _may_have(row: Any) -> bool:
    """A pull request, or an issue that says that it blocks or is blocked."""
    if not isinstance(row, Mapping) or not isinstance(row.get("node_id"), str) or type(row.get("id")) is not int:
        return False
    if isinstance(row.get("pull_request"), Mapping):
        return True
    told = row.get("issue_dependencies_summary")
    counts = [told.get(f"total_{name}") for name in ("blocked_by", "blocking")] if isinstance(told, Mapping) else []
    return any(isinstance(count, int) and count > 0 for count in counts)


def _id(node: Any) -> int | None:
    value = (node.get("fullDatabaseId") or node.get("databaseId")) if isinstance(node, Mapping) else None
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else None


def _has_nodes(told: Told) -> bool:
    return isinstance(told.data.get("nodes"), list)
