"""YAML that people write, read safely: bounded, without surprises, and with every doubled key named.

Scalars follow the core schema of YAML 1.2.2 (section 10.3.2), so that ``no``, ``12:30`` and ``2026-10-01`` stay
text; merge keys (``<<``) work as in YAML 1.1.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from schemas.problems import Location, Problem, key_path

MAX_BYTES = 5_000_000
MAX_DEPTH = 50
#: How many values aliases may stand for, all together.
MAX_ALIASED = 100_000

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,400}|0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "map", "seq", "int", "float", "bool", "null"))
_STRING = "tag:yaml.org,2002:str"
_MERGE = "<<"


def read_yaml(text: str) -> tuple[dict[str, Any], list[Problem]]:
    """The mapping that a file holds, and every problem of the text itself.

    A problem that leaves nothing to read gives an empty mapping. Aliases share one object: do not change what
    you get.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return {}, [Problem("", "is not text in UTF-8")]
    if size > MAX_BYTES:
        return {}, [Problem("", f"is larger than {MAX_BYTES // 1_000_000} MB; split it or remove what is not needed")]
    reader = _Reader()
    try:
        for event in _events(text.removeprefix("\ufeff")):
            reader.take(event)
    except yaml.YAMLError as error:
        return {}, [Problem("", _syntax(error))]
    except _Refused as refused:
        return {}, [refused.problem]
    if reader.root is None:
        return {}, [*reader.problems, Problem("", "is empty")]
    if not isinstance(reader.root, dict):
        return {}, [*reader.problems, Problem("", "must be a mapping of keys to values")]
    return reader.root, reader.problems


def _events(text: str) -> Iterator[Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    yield from yaml.parse(text, Loader=loader)


def _syntax(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or "a character that YAML does not allow"
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    return f"{where}not valid YAML: {what}"


class _Refused(Exception):
    def __init__(self, path: Location, message: str) -> None:
        self.problem = Problem(key_path(path), message)
        super().__init__(message)


@dataclass
class _Open:
    """A mapping or list whose end has not come yet."""

    value: dict[str, Any] | list[Any]
    path: Location
    anchor: str | None
    key: str | None = None
    size: int = 1
    lines: dict[str, int] = field(default_factory=dict)
    merged: list[dict[str, Any]] = field(default_factory=list)


class _Reader:
    """Builds the document from the parser's events: no recursion, so no depth can overflow the stack."""

    def __init__(self) -> None:
        self.root: Any = None
        self.problems: list[Problem] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._aliased = 0
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise _Refused((), f"{_line(event)}: a second document begins; keep one in a file")
            case yaml.ScalarEvent():
                self._check_tag(event)
                if self._awaits_key:
                    self._name(event)
                else:
                    self._place(_scalar(event), 1, event.anchor)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._check_tag(event)
                self._begin({} if isinstance(event, yaml.MappingStartEvent) else [], event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._end()
            case _:
                pass

    @property
    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].key is None

    def _path(self) -> Location:
        if not self._open:
            return ()
        top = self._open[-1]
        if isinstance(top.value, list):
            return (*top.path, len(top.value))
        return top.path if top.key is None else (*top.path, top.key)

    def _check_tag(self, event: Any) -> None:
        if event.tag not in (None, "!") and event.tag not in _TAGS:
            raise _Refused(self._path(), f"{_line(event)}: tags are not supported")

    def _name(self, event: Any) -> None:
        top, key = self._open[-1], event.value
        line = event.start_mark.line + 1
        if key in top.lines and key != _MERGE:
            self.problems.append(
                Problem(key_path((*top.path, key)), f"given twice, in lines {top.lines[key]} and {line}; keep one")
            )
        top.lines[key] = line
        top.key = key
        if event.anchor:
            self._anchors[event.anchor] = (key, 1)

    def _begin(self, value: dict[str, Any] | list[Any], event: Any) -> None:
        if self._awaits_key:
            raise _Refused(self._path(), f"{_line(event)}: a key must be plain text")
        if len(self._open) >= MAX_DEPTH:
            raise _Refused(self._path()[:4], f"{_line(event)}: nested more than {MAX_DEPTH} levels deep")
        self._anchors.pop(event.anchor or "", None)
        self._open.append(_Open(value, self._path(), event.anchor))

    def _end(self) -> None:
        ended = self._open.pop()
        if isinstance(ended.value, dict):
            for source in ended.merged:
                for key, value in source.items():
                    ended.value.setdefault(key, value)
        self._place(ended.value, ended.size, ended.anchor)

    def _alias(self, event: yaml.AliasEvent) -> None:
        if event.anchor not in self._anchors:
            raise _Refused(self._path(), f"{_line(event)}: an alias must follow the end of what it stands for")
        value, size = self._anchors[event.anchor]
        if self._awaits_key:
            raise _Refused(self._path(), f"{_line(event)}: a key must be plain text")
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            raise _Refused(self._path()[:4], f"{_line(event)}: aliases stand for more than {MAX_ALIASED:,} values")
        self._place(value, size, None)

    def _place(self, value: Any, size: int, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = (value, size)
        if not self._open:
            self.root = value
            return
        top = self._open[-1]
        top.size += size
        if isinstance(top.value, list):
            top.value.append(value)
            return
        key, top.key = top.key, None
        assert key is not None  # a value follows its key
        if key != _MERGE:
            top.value[key] = value
            return
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources):
            self.problems.append(Problem(key_path((*top.path, key)), "only mappings can be merged"))
        else:
            top.merged.extend(sources)


def _line(event: Any) -> str:
    return f"line {event.start_mark.line + 1}"


def _scalar(event: yaml.ScalarEvent) -> Any:
    text: str = event.value
    plain = event.implicit[0] and event.style in (None, "")
    if not plain or event.tag == _STRING:
        return text
    if text in _NULL:
        return None
    if text in _TRUTH:
        return _TRUTH[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text.startswith("0") and text[1:2] in ("o", "x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", ""))
    return text
