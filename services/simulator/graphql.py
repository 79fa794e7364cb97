"""As much of GraphQL as a reader needs: documents are parsed, fields are checked, and only what was asked is answered.

Grammar: GraphQL specification, October 2021, section 2, without directives, mutations and input objects.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

_TOKEN = re.compile(
    r"""[\s,\ufeff]+|\#[^\n]*|(\.\.\.|[{}()\[\]:!$=]|"(?:[^"\\\n]|\\.)*"|-?\d+(?:\.\d+)?|[A-Za-z_]\w*)"""
)
#: Interfaces and unions, with the types that a fragment on them holds for.
ABSTRACT = {
    "ProjectV2Owner": {"Organization", "User"},
    "ProjectV2FieldCommon": {"ProjectV2Field", "ProjectV2SingleSelectField", "ProjectV2IterationField"},
    "ProjectV2FieldConfiguration": {"ProjectV2Field", "ProjectV2SingleSelectField", "ProjectV2IterationField"},
}


class InvalidQuery(Exception):
    """A document that GitHub refuses, with the code that it gives."""

    def __init__(self, message: str, code: str = "parseError") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Variable:
    name: str


@dataclass
class Selection:
    """A field, or a fragment (``on`` is its type) whose name is empty."""

    name: str
    on: str = ""
    alias: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    selections: "list[Selection]" = field(default_factory=list)
    spread: str = ""


@dataclass
class Document:
    selections: list[Selection]
    variables: frozenset[str]
    fragments: dict[str, Selection]


class _Reader:
    """Tokens of a document, one after the other."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.at = 0

    @property
    def next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        found = self.next
        if not found or (wanted and found != wanted):
            raise InvalidQuery(f"Expected {wanted or 'more'}, actual: {found or 'the end'}")
        self.at += 1
        return found

    def took(self, wanted: str) -> bool:
        if self.next != wanted:
            return False
        self.at += 1
        return True

    def selections(self) -> list[Selection]:
        self.take("{")
        found = []
        while not self.took("}"):
            found.append(self._fragment() if self.took("...") else self._field())
        return found

    def _fragment(self) -> Selection:
        if self.took("on"):
            return Selection("", on=self.take(), selections=self.selections())
        return Selection("", spread=self.take())

    def _field(self) -> Selection:
        name, alias = self.take(), ""
        if self.took(":"):
            name, alias = self.take(), name
        arguments = {}
        if self.took("("):
            while not self.took(")"):
                argument = self.take()
                self.take(":")
                arguments[argument] = self._value()
        return Selection(name, "", alias, arguments, self.selections() if self.next == "{" else [])

    def _value(self) -> Any:
        token = self.take()
        if token == "$":  # noqa: S105 - a sign of the grammar
            return Variable(self.take())
        if token == "[":  # noqa: S105
            found = []
            while not self.took("]"):
                found.append(self._value())
            return found
        if token[0] == '"':
            return token[1:-1]
        if token[0] in "-0123456789":
            return float(token) if "." in token else int(token)
        return {"true": True, "false": False, "null": None}.get(token, token)

    def variables(self) -> Iterator[str]:
        if self.took("("):
            while not self.took(")"):
                if self.take() == "$":
                    yield self.take()


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise InvalidQuery(f"Expected a token, actual: {text[at : at + 10]!r}")
        if found[1]:
            yield found[1]
        at = found.end()


def parse(text: str) -> Document:
    """A document of one query and its fragments. Raises InvalidQuery."""
    reader = _Reader(text)
    fragments: dict[str, Selection] = {}
    query: list[Selection] | None = None
    variables: frozenset[str] = frozenset()
    while reader.next:
        kind = reader.take()
        name = "" if reader.next in ("{", "(") else reader.take()
        if kind == "fragment":
            reader.take("on")
            fragments[name] = Selection("", on=reader.take(), selections=reader.selections())
        elif kind == "query" and query is None:
            variables = frozenset(reader.variables())
            query = reader.selections()
        else:
            raise InvalidQuery(f"Expected one query, actual: {kind}")
    if query is None:
        raise InvalidQuery("No operation was given")
    return Document(query, variables, fragments)


class Execution:
    """One document with its variables, over objects: mappings of fields to values, or to functions of arguments.

    ``connections`` becomes the number of connections that would be asked for, as the cost counts them.
    """

    def __init__(self, document: Document, variables: Mapping[str, Any]) -> None:
        self._document = document
        self._given = variables
        missing = document.variables - variables.keys() - {"after"}
        if missing:
            raise InvalidQuery(f"Variable ${min(missing)} was provided invalid value", "variableMismatch")
        self.connections = self._count(document.selections, 1)

    def run(self, root: Mapping[str, Any]) -> dict[str, Any]:
        """The data. Raises InvalidQuery where a field does not exist."""
        return self._object(self._document.selections, root)

    def _count(self, selections: list[Selection], times: int) -> int:
        total = 0
        for one in selections:
            if one.spread:
                one = self._spread(one)
            first = self._argument(one.arguments.get("first"))
            if "first" in one.arguments:
                if not isinstance(first, int) or not 1 <= first <= 100:
                    raise InvalidQuery(
                        f"`first` on the `{one.name}` connection must be from 1 to 100", "EXCESSIVE_PAGINATION"
                    )
                total += times
            total += self._count(one.selections, times * (first if isinstance(first, int) else 1))
        return total

    def _spread(self, one: Selection) -> Selection:
        if one.spread not in self._document.fragments:
            raise InvalidQuery(f"Fragment {one.spread} was used, but not defined", "useAndDefineFragment")
        return self._document.fragments[one.spread]

    def _argument(self, value: Any) -> Any:
        if isinstance(value, Variable):
            if value.name not in self._document.variables:
                raise InvalidQuery(f"Variable ${value.name} is used but not declared", "variableNotDefined")
            return self._given.get(value.name)
        return [self._argument(one) for one in value] if isinstance(value, list) else value

    def _object(self, selections: list[Selection], thing: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        kind = thing["__typename"]
        for one in selections:
            if one.spread:
                one = self._spread(one)
            if one.on:
                if kind == one.on or kind in ABSTRACT.get(one.on, ()):
                    found |= self._object(one.selections, thing)
                continue
            if one.name not in thing:
                raise InvalidQuery(f"Field '{one.name}' doesn't exist on type '{kind}'", "undefinedField")
            value = thing[one.name]
            if callable(value):
                made: Callable[..., Any] = value
                for argument in one.arguments.keys() - signature(made).parameters.keys():
                    message = f"Field '{one.name}' doesn't accept argument '{argument}'"
                    raise InvalidQuery(message, "argumentNotAccepted")
                value = made(**{name: self._argument(given) for name, given in one.arguments.items()})
            found[one.alias or one.name] = self._value(one, value)
        return found

    def _value(self, one: Selection, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(one, each) for each in value]
        if isinstance(value, Mapping):
            if not one.selections:
                raise InvalidQuery(f"Field must have selections (field '{one.name}')", "selectionMismatch")
            return self._object(one.selections, value)
        return value
