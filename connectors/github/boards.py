"""Project boards, read whole in each pass: their fields, then all their entries, archived ones too."""

from collections.abc import Coroutine, Mapping
from datetime import date
from math import ceil
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from connectors.base import Board, Check, ConnectorError, RateLimited, Unreachable
from connectors.github import board_gaps
from connectors.github.board_queries import ENTRIES, FIELDS, NEWER
from connectors.github.board_shapes import Shape, board_item, fields_of, iterations_of, shape
from connectors.github.graphql import HOUR_S, Denied, Exhausted, GraphQL, Problem, Told
from connectors.github.listing import Refused
from schemas.boards import BoardItem
from schemas.work import Milestone

if TYPE_CHECKING:
    from connectors.github.sync import GitHubConnector

T = TypeVar("T")
_PAGE = 100
#: A board of more entries than this is none: GitHub allows 50,000.
_MOST_PAGES = 10_000
_LEAST_PAGE = 5
#: So many passes in a row in which a board's count does not fit its entries are no accident.
_OFTEN = 3

_NODES = ("node", "items", "nodes")


class Known(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered of a board: the ids of its fields by our names, the name of the one that is the estimate,
    how many entries it had, and how often in a row it could not be proven that these are all."""

    fields: dict[str, str] = {}
    estimate: str | None = None
    count: int = 0
    unproven: int = 0


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


class _Header(msgspec.Struct, frozen=True):
    """A board without its entries. ``whole`` where all of its fields were told."""

    id: str
    shape: Shape
    iterations: tuple[Milestone, ...]
    whole: bool


class Boards:
    """The boards of one host."""

    def __init__(self, reader: "GitHubConnector") -> None:
        self._reader = reader
        self._config = reader.config
        self._source = reader.config.name
        self._graphql = GraphQL(reader.client)
        self._smaller: dict[str, tuple[int, float]] = {}  #: pages that a board needed, and when it last failed
        self._unknown: dict[str, tuple[str, str]] = {}  #: of `NEWER`, what this host does not know

    async def read(self, known: Mapping[str, bytes]) -> list[Board]:
        """See `connectors.base.Connector.boards`."""
        missing: list[tuple[str, ...]] = []
        boards = [await self._read(name, known.get(name), missing) for name in self._config.project_boards]
        lacking = board_gaps.without_field(self._source, boards, missing)
        if lacking is not None and boards[0].gap is None:
            boards[0] = msgspec.structs.replace(boards[0], gap=lacking)
        return boards

    async def check(self) -> list[Check]:
        """A line a board: whether it can be read, and which of its fields are used for what."""
        checks, missing = list[Check](), list[tuple[str, ...]]()
        for name in self._config.project_boards:
            found = await self._despite(name, self._header(name, {}))
            if isinstance(found, _Header):
                missing.append(found.shape.missing)
                checks.append(board_gaps.line(self._source, name, found.shape))
            elif found.gap is not None:
                checks.append(board_gaps.line(self._source, name, found.gap))
        boards = [Board(name=name) for name in self._config.project_boards]
        lacking = board_gaps.without_field(self._source, boards, missing)
        return [*checks, *([board_gaps.line(self._source, boards[0].name, lacking)] if lacking is not None else [])]

    async def _read(self, name: str, known: bytes | None, missing: list[tuple[str, ...]]) -> Board:
        before = _KNOWN.decode(known) if known else Known()
        points = 1 + ceil(before.count / self._size(name))
        if not self._graphql.affordable(points):
            return Board(name=name)
        if (lacking := self._graphql.shortage(points)) is not None:
            return Board(name=name, gap=board_gaps.limited(self._source, name, lacking))
        return await self._despite(name, self._whole(name, before, missing))

    async def _despite(self, name: str, asked: Coroutine[Any, Any, T]) -> T | Board:
        """What is asked for; where it fails, a board that is nothing but a gap: the rest of the source goes on."""
        source = self._source
        try:
            return await asked
        except Denied as error:
            return Board(name=name, gap=board_gaps.denied(source, name, error.problems))
        except Refused as error:
            kind = "FORBIDDEN" if error.status in (403, 451) else "UNKNOWN"
            return Board(name=name, gap=board_gaps.denied(source, name, [Problem(kind, error.said)]))
        except (Exhausted, RateLimited) as error:
            return Board(name=name, gap=board_gaps.limited(source, name, str(error)))
        except ConnectorError as error:  # REST was just answered: if it is the credential, that will say so
            return Board(name=name, gap=board_gaps.unreadable(source, name, str(error)))

    async def _header(self, name: str, known: Mapping[str, str]) -> _Header:
        """A board's fields. Raises Denied where there is no such board."""
        owner, _, number = name.partition("/")
        told = await self._graphql.query(FIELDS, lambda _: {"owner": owner, "number": int(number)}, sound=_is_board)
        board = _board(told)
        if board is None:
            raise Denied(told.problems or [Problem("NOT_FOUND", f"there is no board {name}")], self._source)
        nodes, url = board["fields"]["nodes"], board.get("url")
        today: date = self._reader._now().date()
        iterations = iterations_of(nodes, self._source, url if isinstance(url, str) else "", today)
        return _Header(
            id=board["id"],
            shape=shape(fields_of(nodes), self._config.fields, self._config.team_field, known),
            iterations=tuple({one.uid: one for one in iterations}.values()),
            whole=not told.problems and board["fields"].get("pageInfo") == {"hasNextPage": False},
        )

    async def _whole(self, name: str, before: Known, missing: list[tuple[str, ...]]) -> Board:
        header = await self._header(name, before.fields)
        if not header.whole:
            return Board(name=name, gap=board_gaps.incomplete(self._source, name, withheld=True))
        meant = header.shape
        missing.append(meant.missing)
        read = await self._items(name, header.id, meant)
        if not read.whole and not read.withheld:
            read = await self._items(name, header.id, meant)  # somebody sorted the board meanwhile
        unproven = 0 if read.whole or read.withheld else before.unproven + 1
        doubtful = read.withheld or unproven >= _OFTEN
        known = Known(
            fields=meant.remembered(),
            estimate=meant.by_id[meant.estimate].name if meant.estimate else None,
            count=read.count,
            unproven=unproven,
        )
        return Board(
            name=name,
            items=tuple(read.found.values()),
            unseen=tuple(sorted(read.unseen)),
            milestones=header.iterations,
            complete=read.whole,
            gap=board_gaps.incomplete(self._source, name, withheld=read.withheld) if doubtful else None,
            known=msgspec.Raw(msgspec.json.encode(known)),
        )

    async def _items(self, name: str, board: str, meant: Shape) -> "_Read":
        """All entries, and whether they are proven to be all."""
        read, met, cursors = _Read(), set[str](), set[str]()
        after: str | None = None
        while True:
            page, problems = await self._page(name, board, after)
            read.withheld = read.withheld or bool(problems)
            damaged = {one.path[3] for one in problems if len(one.path) > 3 and one.path[:3] == _NODES}
            for place, row in enumerate(page["nodes"]):
                if not isinstance(row, dict) or not isinstance(row.get("id"), str):
                    read.withheld = True
                    continue
                met.add(row["id"])
                if place in damaged:
                    read.unseen.add(row["id"])
                else:
                    read.take(row, board_item(row, meant, self._source))
            read.count, further = page["totalCount"], page["pageInfo"]
            if further["hasNextPage"] is not True:
                read.whole = not read.withheld and len(met) == read.count
                return read
            after = further.get("endCursor")
            if not isinstance(after, str) or after in cursors or len(cursors) >= _MOST_PAGES:
                raise Unreachable("the pages of the board lead in a circle", source=self._source)
            cursors.add(after)

    def _size(self, name: str) -> int:
        """How many entries a page may have: as many as GitHub allows, but for an hour after that was too many."""
        size, failed_at = self._smaller.get(name, (_PAGE, 0.0))
        return size if self._reader.client.pacer.clock.monotonic() - failed_at < HOUR_S else _PAGE

    async def _page(self, name: str, board: str, after: str | None) -> tuple[dict[str, Any], tuple[Problem, ...]]:
        """A page of entries; where the host fails on it twice, half of it, and so on."""
        size = self._size(name)

        def asked(failures: int) -> dict[str, Any]:
            first = max(size >> max(failures - 1, 0), _LEAST_PAGE)
            if first < size:
                self._smaller[name] = first, self._reader.client.pacer.clock.monotonic()
            return {"board": board, "first": first, "after": after}

        while True:
            text = ENTRIES
            for new, old in self._unknown.values():
                text = text.replace(new, old)
            try:
                told = await self._graphql.query(text, asked, sound=_has_items)
            except Denied as error:
                fresh = {one.type for one in error.problems} & NEWER.keys() - self._unknown.keys()
                if not fresh:
                    raise
                self._unknown |= {code: NEWER[code] for code in fresh}
                continue
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
