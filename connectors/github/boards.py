"""Project boards, read whole in each pass: their fields, then all their entries, archived ones too."""

from collections.abc import Mapping, Sequence
from datetime import date
from math import ceil
from typing import TYPE_CHECKING, Any

import msgspec

from connectors.base import Board, RateLimited, Unreachable
from connectors.github.board_shapes import Shape, board_item, fields_of, iterations_of, shape
from connectors.github.client import Refused
from connectors.github.graphql import Denied, GraphQL, Problem, Told
from schemas.boards import BoardItem
from schemas.work import Gap, Milestone

if TYPE_CHECKING:
    from connectors.github.sync import GitHubConnector

_PAGE = 100
#: A board of more entries than this is none: GitHub allows 50,000.
_MOST_PAGES = 10_000
_LEAST_PAGE = 5

_FIELDS = """
query CourselineBoard($owner: String!, $number: Int!) {
  rateLimit { cost remaining resetAt }
  repositoryOwner(login: $owner) { ... on ProjectV2Owner { projectV2(number: $number) {
    id url
    fields(first: 100) { pageInfo { hasNextPage } nodes {
      ... on ProjectV2FieldCommon { id name dataType }
      ... on ProjectV2SingleSelectField { options { id name } }
      ... on ProjectV2IterationField { configuration {
        iterations { id title startDate duration } completedIterations { id title startDate duration } } }
    } }
  } } }
}"""
#: The entries are given in the order of the board, which somebody may change meanwhile: hence the count.
_ITEMS = """
query CourselineBoardItems($board: ID!, $first: Int!, $after: String) {
  rateLimit { cost remaining resetAt }
  node(id: $board) { ... on ProjectV2 {
    items(first: $first, after: $after, archivedStates: [ARCHIVED, NOT_ARCHIVED]) {
      totalCount
      pageInfo { hasNextPage endCursor }
      nodes {
        id isArchived updatedAt
        content {
          __typename
          ... on Issue { fullDatabaseId number repository { nameWithOwner } }
          ... on PullRequest { number repository { nameWithOwner } }
        }
        fieldValues(first: 100) { pageInfo { hasNextPage } nodes {
          ... on ProjectV2ItemFieldSingleSelectValue { optionId name updatedAt field { ...Id } }
          ... on ProjectV2ItemFieldNumberValue { number field { ...Id } }
          ... on ProjectV2ItemFieldTextValue { text field { ...Id } }
          ... on ProjectV2ItemFieldDateValue { date field { ...Id } }
          ... on ProjectV2ItemFieldIterationValue { iterationId title field { ...Id } }
        } }
      }
    }
  } }
}
fragment Id on ProjectV2FieldConfiguration { ... on ProjectV2FieldCommon { id } }"""


class Known(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered of a board: the ids of its fields by our names, and how many entries it had."""

    fields: dict[str, str] = {}
    count: int = 0


_KNOWN: msgspec.json.Decoder[Known] = msgspec.json.Decoder(Known)


class _Read(msgspec.Struct):
    """The entries of a board by their ids; ``withheld`` where some of them, or some of their values, are kept back."""

    found: dict[str, BoardItem] = {}
    unseen: set[str] = set()  #: entries that are there, with something that we may not see
    count: int = 0
    withheld: bool = False
    whole: bool = False

    def take(self, row: Mapping[str, Any], one: BoardItem | None) -> None:
        values = row.get("fieldValues")
        if row.get("content") is None:
            self.unseen.add(row["id"])
        elif not isinstance(values, Mapping) or values.get("pageInfo") != {"hasNextPage": False}:
            self.unseen.add(row["id"])
            self.withheld = True
        elif one is not None:
            self.found[one.id] = one


class Boards:
    """The boards of one host."""

    def __init__(self, reader: "GitHubConnector") -> None:
        self._reader = reader
        self._config = reader.config
        self._graphql = GraphQL(reader.client)
        self._sizes: dict[str, int] = {}

    async def read(self, known: Mapping[str, bytes]) -> list[Board]:
        """See `connectors.base.Connector.boards`."""
        return [await self._read(name, known.get(name)) for name in self._config.project_boards]

    async def _read(self, name: str, known: bytes | None) -> Board:
        before = _KNOWN.decode(known) if known else Known()
        if not self._graphql.affordable(1 + ceil(before.count / _PAGE)):
            return Board(name=name)
        try:
            return await self._whole(name, before)
        except Denied as error:
            return Board(name=name, gap=denied(self._reader.source, name, error.problems))
        except Refused as error:
            problem = Problem("FORBIDDEN" if error.status in (403, 451) else "", error.said)
            return Board(name=name, gap=denied(self._reader.source, name, [problem]))
        except RateLimited as error:
            return Board(name=name, gap=_gap(self._reader.source, name, "rate_limited", str(error), _WAIT))
        except Unreachable as error:
            return Board(name=name, gap=_gap(self._reader.source, name, "unreadable", str(error), _AGAIN))

    async def _whole(self, name: str, before: Known) -> Board:
        source = self._reader.source
        owner, _, number = name.partition("/")
        told = await self._graphql.query(_FIELDS, lambda _: {"owner": owner, "number": int(number)}, sound=_is_board)
        board = _board(told)
        if board is None:
            return Board(name=name, gap=denied(source, name, told.problems or [Problem("NOT_FOUND", "no such board")]))
        nodes = board["fields"]["nodes"]
        meant = shape(fields_of(nodes), self._config.fields, self._config.team_field, before.fields)
        read = await self._items(name, board["id"], meant)
        if not read.whole and not read.withheld:
            read = await self._items(name, board["id"], meant)  # somebody sorted the board meanwhile
        whole = read.whole and not told.problems and board["fields"].get("pageInfo", {}).get("hasNextPage") is False
        url = board.get("url") if isinstance(board.get("url"), str) else ""
        return Board(
            name=name,
            items=tuple(read.found.values()),
            unseen=tuple(sorted(read.unseen)),
            milestones=tuple(self._iterations(nodes, str(url))),
            complete=whole,
            gap=None if whole else _gap(source, name, "incomplete", _PARTLY, _SCOPE),
            known=msgspec.Raw(msgspec.json.encode(Known(meant.remembered(), read.count))),
        )

    def _iterations(self, nodes: Any, url: str) -> Sequence[Milestone]:
        today: date = self._reader._now().date()
        return list({one.uid: one for one in iterations_of(nodes, self._reader.source, url, today)}.values())

    async def _items(self, name: str, board: str, meant: Shape) -> "_Read":
        """All entries, and whether they are proven to be all."""
        read, met, cursors = _Read(), set[str](), set[str]()
        after: str | None = None
        while True:
            page, problems = await self._page(name, board, after)
            read.withheld = read.withheld or bool(problems)
            for row in page["nodes"]:
                if not isinstance(row, dict) or not isinstance(row.get("id"), str):
                    read.withheld = True
                    continue
                met.add(row["id"])
                read.take(row, board_item(row, meant, self._reader.source))
            read.count, further = page["totalCount"], page["pageInfo"]
            if further["hasNextPage"] is not True:
                read.whole = not read.withheld and len(met) == read.count
                return read
            after = further.get("endCursor")
            if not isinstance(after, str) or after in cursors or len(cursors) >= _MOST_PAGES:
                raise Unreachable("the pages of the board lead in a circle", source=self._reader.source)
            cursors.add(after)

    async def _page(self, name: str, board: str, after: str | None) -> tuple[dict[str, Any], tuple[Problem, ...]]:
        """A page of entries; where the host fails on it twice, half of it, and so on."""
        size = self._sizes.get(name, _PAGE)

        def asked(failures: int) -> dict[str, Any]:
            self._sizes[name] = max(size >> max(failures - 1, 0), _LEAST_PAGE)
            return {"board": board, "first": self._sizes[name], "after": after}

        told = await self._graphql.query(_ITEMS, asked, sound=_has_items)
        return told.data["node"]["items"], told.problems


def _board(told: Told) -> dict[str, Any] | None:
    owner = told.data.get("repositoryOwner")
    found = owner.get("projectV2") if isinstance(owner, dict) else None
    return found if isinstance(found, dict) else None


def _is_board(told: Told) -> bool:
    found = _board(told)
    if found is None:  # an unknown owner is null without a word
        return bool(told.problems) or told.data.get("repositoryOwner", "") is None
    fields = found.get("fields")
    return isinstance(found.get("id"), str) and isinstance(fields, dict) and isinstance(fields.get("nodes"), list)


def _has_items(told: Told) -> bool:
    node = told.data.get("node")
    items = node.get("items") if isinstance(node, dict) else None
    return (
        isinstance(items, dict)
        and isinstance(items.get("nodes"), list)
        and type(items.get("totalCount")) is int
        and isinstance(items.get("pageInfo"), dict)
        and "hasNextPage" in items["pageInfo"]
    )


_SCOPE = (
    "give the token read access to projects: the scope `read:project` of a classic one, the organization permission "
    "`Projects: read` of a fine-grained one or of an app"
)
_REASONS = {"NOT_FOUND": "not_found", "FORBIDDEN": "forbidden", "INSUFFICIENT_SCOPES": "forbidden"}
_WAIT = "nothing: it is read again when the host allows; other uses of the same credential share its limit"
_AGAIN = "nothing, if it passes: it is read again in the next pass; else look at the host's status page"
_PARTLY = "a part of the board could not be read, or it changed while it was read; what was read last stands"


def _gap(source: str, name: str, reason: str, detail: str, fix: str) -> Gap:
    return Gap(source=source, container=f"board {name}", reason=reason, detail=detail, fix=fix)


def denied(source: str, name: str, problems: Sequence[Problem]) -> Gap:
    """What to report of a board that the host does not show."""
    first = problems[0] if problems else Problem("", "no reason is given")
    missing = first.type == "NOT_FOUND"
    fix = f"check the owner and the number (github.com/orgs/OWNER/projects/NUMBER); or {_SCOPE}" if missing else _SCOPE
    if "saml" in first.message.lower():
        fix = "authorize the token for single sign-on"
    reason = _REASONS.get(first.type, "unreadable")
    return _gap(source, name, reason, f"the host answered: {first.message}", fix)
