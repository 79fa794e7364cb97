"""The part of JQL that a connector sends, read as Jira reads it and turned into a test of items."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from services.simulator.model import CATEGORIES, Container, Item
from services.simulator.world import World

Test = Callable[[Item], bool]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TOKENS = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<sign>!=|<=|>=|!~|[=<>~(),])|(?P<word>[^\s=<>!~(),"']+))"""
)
_RELATIVE = re.compile(r"([+-]?\d+)([mhdw])")
_SPANS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FORMATS = ("%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M", "%Y-%m-%d", "%Y/%m/%d")
_TIMES = ("created", "updated")
_ORDERS = {"created": "created", "updated": "updated", "id": "id", "key": "key", "issuekey": "key", "rank": "id"}
_CATEGORY_NAMES = {"to do": "new", "in progress": "indeterminate", "done": "done"}


class InvalidJql(Exception):
    """A query that Jira answers with 400; the text is what it says."""


class Order(NamedTuple):
    field: str  #: created, updated, id or key
    descending: bool


@dataclass(frozen=True)
class Query:
    """A query that can be asked: which items it holds for, and their order.

    ``projects`` are the containers it is restricted to, ``since`` and ``before`` the range of its first order's
    field in milliseconds, as far as they could be told; both only make a search cheaper.
    """

    holds: Test
    order: tuple[Order, ...]
    bounded: bool
    projects: frozenset[int] | None = None
    since: int | None = None
    before: int | None = None


def milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


Epoch = Callable[[int], int] | None


def parse(
    text: str,
    *,
    world: World,
    zone: ZoneInfo,
    updated: Callable[[Item], datetime],
    epoch: Epoch = lambda number: number,
) -> Query:
    """The query of a text, with relative times before the world's now and literals in the account's time zone.

    ``updated`` says when the search index believes that an item was updated; ``epoch`` what moment, in milliseconds,
    a bare number is taken for, None where it is no date. Raises InvalidJql.
    """
    return _Reader(text, world, zone, updated, epoch).query()


@dataclass
class _Clause:
    """A part of the query: its test, and what it says for certain when it stands in a conjunction."""

    holds: Test
    projects: frozenset[int] | None = None
    ranges: tuple[tuple[str, int | None, int | None], ...] = ()


class _Reader:
    def __init__(
        self, text: str, world: World, zone: ZoneInfo, updated: Callable[[Item], datetime], epoch: Epoch
    ) -> None:
        self._epoch = epoch
        self._world = world
        self._zone = zone
        self._updated = updated
        self._tokens = list(_tokens(text))
        self._at = 0

    def query(self) -> Query:
        bounded = self._peek() not in ("", "order")
        clause = self._any() if bounded else _Clause(lambda item: True)
        order = self._order()
        if self._peek():
            raise InvalidJql(f"Error in the JQL Query: Expecting either 'OR' or 'AND' but got '{self._next()}'.")
        since = [low for name, low, _ in clause.ranges if name == order[0].field and low is not None]
        before = [high for name, _, high in clause.ranges if name == order[0].field and high is not None]
        return Query(
            holds=clause.holds,
            order=order,
            bounded=bounded,
            projects=clause.projects,
            since=max(since, default=None),
            before=min(before, default=None),
        )

    # -- grammar -----------------------------------------------------------------------------------------------

    def _peek(self) -> str:
        return self._tokens[self._at].lower() if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        if self._at >= len(self._tokens):
            raise InvalidJql("Error in the JQL Query: Expecting more, but the query ended.")
        self._at += 1
        return self._tokens[self._at - 1]

    def _any(self) -> _Clause:
        parts = [self._all()]
        while self._peek() in ("or", "||"):
            self._next()
            parts.append(self._all())
        if len(parts) == 1:
            return parts[0]
        return _Clause(lambda item: any(part.holds(item) for part in parts))

    def _all(self) -> _Clause:
        parts = [self._one()]
        while self._peek() in ("and", "&&"):
            self._next()
            parts.append(self._one())
        if len(parts) == 1:
            return parts[0]
        projects = [part.projects for part in parts if part.projects is not None]
        return _Clause(
            lambda item: all(part.holds(item) for part in parts),
            frozenset.intersection(*projects) if projects else None,
            tuple(one for part in parts for one in part.ranges),
        )

    def _one(self) -> _Clause:
        word = self._next()
        if word == "(":
            inside = self._any()
            self._expect(")")
            return inside
        if word.lower() == "not":
            inside = self._one()
            return _Clause(lambda item: not inside.holds(item))
        return self._compare(_unquoted(word).lower())

    def _expect(self, sign: str) -> None:
        if self._next().lower() != sign:
            raise InvalidJql(f"Error in the JQL Query: Expecting '{sign}'.")

    def _compare(self, name: str) -> _Clause:
        sign = self._next().lower()
        if sign == "is":
            empty = self._peek() != "not"
            if not empty:
                self._next()
            if self._next().lower() not in ("empty", "null"):
                raise InvalidJql("Error in the JQL Query: Expecting 'EMPTY' after 'IS'.")
            values = self._values_of(name)
            return _Clause(lambda item: bool(values(item)) is not empty)
        if sign == "not":
            self._expect("in")
            sign = "not in"
        if name in _TIMES:
            return self._time(name, sign)
        if sign not in ("=", "!=", "in", "not in"):
            raise InvalidJql(f"The operator '{sign}' is not supported by the '{name}' field.")
        return self._membership(name, sign in ("=", "in"), self._list() if sign.endswith("in") else [self._next()])

    def _list(self) -> list[str]:
        self._expect("(")
        values = [self._next()]
        while self._peek() == ",":
            self._next()
            values.append(self._next())
        self._expect(")")
        return values

    def _order(self) -> tuple[Order, ...]:
        found: list[Order] = []
        if self._peek() == "order":
            self._next()
            self._expect("by")
            while True:
                name = _unquoted(self._next())
                if name.lower() not in _ORDERS:
                    raise InvalidJql(f"Not able to sort using field '{name}'.")
                descending = self._peek() == "desc"
                if self._peek() in ("asc", "desc"):
                    self._next()
                found.append(Order(_ORDERS[name.lower()], descending))
                if self._peek() != ",":
                    break
                self._next()
        if len(found) > 7:
            raise InvalidJql("The maximum number of ORDER BY fields is 7.")
        return tuple(found) or (Order("created", True),)

    # -- meaning -----------------------------------------------------------------------------------------------

    def _time(self, name: str, sign: str) -> _Clause:
        when = self._moment(self._next(), name)
        of = self._updated if name == "updated" else _created
        match sign:
            case ">=":
                return _Clause(lambda item: milliseconds(of(item)) >= when, ranges=((name, when, None),))
            case ">":
                return _Clause(lambda item: milliseconds(of(item)) > when, ranges=((name, when + 1, None),))
            case "<":
                return _Clause(lambda item: milliseconds(of(item)) < when, ranges=((name, None, when),))
            case "<=":
                return _Clause(lambda item: milliseconds(of(item)) <= when, ranges=((name, None, when + 1),))
        raise InvalidJql(f"The operator '{sign}' is not supported by the '{name}' field.")

    def _moment(self, token: str, name: str) -> int:
        text = _unquoted(token)
        if relative := _RELATIVE.fullmatch(text):
            span = timedelta(**{_SPANS[relative[2]]: int(relative[1])})
            return milliseconds(self._world.now + span)
        if text.isdigit() and self._epoch is not None:
            return self._epoch(int(text))
        if text.lower() == "now" and self._peek() == "(":
            self._next()
            self._expect(")")
            return milliseconds(self._world.now)
        for form in _FORMATS:
            try:
                local = datetime.strptime(text, form)  # noqa: DTZ007 - the account's zone is added below
            except ValueError:
                continue
            return milliseconds(local.replace(tzinfo=self._zone))
        raise InvalidJql(
            f"Date value '{text}' for field '{name}' is invalid. Valid formats include: 'yyyy/MM/dd HH:mm', "
            "'yyyy-MM-dd HH:mm', 'yyyy/MM/dd', 'yyyy-MM-dd', or a period format e.g. '-5d', '4w 2d'."
        )

    def _membership(self, name: str, wanted: bool, tokens: list[str]) -> _Clause:
        texts = [_unquoted(token) for token in tokens]
        if name == "project":
            ids = frozenset(self._project(text).id for text in texts)
            return _Clause(lambda item: (item.container in ids) is wanted, ids if wanted else None)
        if name in ("id", "key", "issue", "issuekey"):
            items = frozenset(one for text in texts if (one := self._item(text)) is not None)
            return _Clause(lambda item: (item.id in items) is wanted)
        folded = frozenset(text.lower() for text in texts)
        values = self._values_of(name)
        return _Clause(lambda item: (not folded.isdisjoint(values(item))) is wanted)

    def _project(self, text: str) -> Container:
        for one in self._world.containers.values():
            known = (str(one.id), one.key.lower(), one.title.lower(), *(key.lower() for key in one.former_keys))
            if one.tracker == "jira" and one.state in ("live", "archived") and text.lower() in known:
                return one
        raise InvalidJql(f"The value '{text}' does not exist for the field 'project'.")

    def _item(self, text: str) -> int | None:
        if text.isdigit():
            return int(text)
        project, _, number = text.rpartition("-")
        if project and number.isdigit():
            for one in self._world.containers.values():
                if project.upper() in (one.key, *one.former_keys) and (item := self._world.find(one.id, int(number))):
                    return item.id
        raise InvalidJql(f"An issue with key '{text}' does not exist for field 'key'.")

    def _values_of(self, name: str) -> Callable[[Item], set[str]]:
        """What an item holds under a field, in lower case."""
        match name:
            case "status":
                return lambda item: {item.status.lower()}
            case "statuscategory":
                return lambda item: (
                    {word for word, key in _CATEGORY_NAMES.items() if key == CATEGORIES[item.status]}
                    | {CATEGORIES[item.status]}
                )
            case "issuetype" | "type":
                return lambda item: {(item.type or "").lower()}
            case "labels":
                return lambda item: {label.lower() for label in item.labels}
            case "component":
                return lambda item: {component.lower() for component in item.components}
            case "resolution":
                return lambda item: {item.resolution.lower()} if item.resolution else set()
            case "fixversion":
                return lambda item: {self._world.milestones[one].title.lower() for one in item.milestones}
            case "parent":
                return lambda item: {str(item.parent)} if item.parent else set()
        raise InvalidJql(f"Field '{name}' does not exist or you do not have permission to view it.")


def _created(item: Item) -> datetime:
    return item.created


def _tokens(text: str) -> Iterator[str]:
    at = 0
    text = text.strip()
    while at < len(text):
        found = _TOKENS.match(text, at)
        if found is None or found.end() == at:
            raise InvalidJql(f"Error in the JQL Query: The character '{text[at]}' is a reserved JQL character.")
        yield found.group(found.lastgroup or 0)
        at = found.end()


def _unquoted(token: str) -> str:
    if len(token) > 1 and token[0] in "\"'" and token[-1] == token[0]:
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    return token
