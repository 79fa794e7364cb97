"""What is wrong with a file that people write: every problem, with the path of its key and what to do."""

import difflib
import types
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Location = tuple[int | str, ...]
_COMPARED = 200


@dataclass(frozen=True)
class Problem:
    """One thing to mend; ``path`` is empty where the file as a whole is meant."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidFile(ValueError):
    """A file that cannot be used; ``problems`` are all that was found. Exit code 3."""

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = list(problems)
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line a problem, beginning with the file's name and the key's path."""
        return [f"{self.file}: {problem}" for problem in self.problems]


def key_path(location: Sequence[int | str]) -> str:
    """``("initiatives", 2, "serves", "OBJ-9")`` as ``initiatives[2].serves.OBJ-9``."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            name = part if part.isprintable() else ascii(part)
            name = name if len(name) <= 100 else name[:97] + "..."
            path += f".{name}" if path else name
    return path


def did_you_mean(word: str, known: Collection[str]) -> str:
    """``did you mean `title`?`` – or nothing, where no known word is near, or too many are known to compare."""
    if len(known) > _COMPARED:
        return ""
    near = difflib.get_close_matches(word[:100], sorted(known), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Every error of a validation as a problem in plain words; no value is ever repeated."""
    return [
        Problem(key_path(location_of(detail, model)), _message(detail, model))
        for detail in error.errors(include_url=False, include_input=False)
    ]


def location_of(detail: ErrorDetails, model: type[BaseModel]) -> Location:
    """Where in the file an error lies: its location without the tags that unions put into it."""
    return tuple(part for part, written, _ in _walk(detail["loc"], model) if written and part != "[key]")


_WORDS = {
    "missing": "is required",
    "string_type": "must be text; put it in quotes",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "recursion_loop": "must not contain itself",
}
_LIMITS = {
    "greater_than": ("gt", "must be more than {}"),
    "greater_than_equal": ("ge", "must be at least {}"),
    "less_than": ("lt", "must be less than {}"),
    "less_than_equal": ("le", "must be at most {}"),
    "string_too_long": ("max_length", "must be at most {} characters long"),
    "too_long": ("max_length", "must have at most {} entries"),
    "literal_error": ("expected", "must be one of {}"),
    "union_tag_invalid": ("expected_tags", "must be one of {}"),
    "value_error": ("error", "{}"),
}


def _message(detail: ErrorDetails, model: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = _keys_beside(detail["loc"], model)
        hint = did_you_mean(str(detail["loc"][-1]), known) or f"known here: {', '.join(sorted(known))}"
        return f"unknown key; {hint}"
    if kind in _WORDS:
        return _WORDS[kind]
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        limit = context[name]
        return words.format(f"{limit:g}" if isinstance(limit, float) else limit)
    return detail["msg"]


def _keys_beside(location: Location, model: type[BaseModel]) -> set[str]:
    steps = list(_walk(location[:-1], model))
    here = steps[-1][2] if steps else [model]
    return {key for one in here for key in _fields(one)}


def _walk(location: Location, model: type[BaseModel]) -> Iterator[tuple[int | str, bool, list[Any]]]:
    """Each part of a location, whether the file has it (a union's tag is ours), and what may stand below it."""
    here: list[Any] = [model]
    for part in location:
        below = [kind for one in here for kind in _below(one, part)]
        chosen = [one for one in here if _tagged(one, part)] if not below and len(here) > 1 else []
        here = chosen or below
        yield part, not chosen, here


def _tagged(kind: Any, part: int | str) -> bool:
    """Whether a union's error names this option: by its name, or by the literal that tells it apart."""
    return part == getattr(kind, "__name__", None) or any(
        get_origin(leaf) is Literal and part in get_args(leaf)
        for annotation in _fields(kind).values()
        for leaf in _leaves(annotation)
    )


def _below(kind: Any, part: int | str) -> list[Any]:
    if isinstance(part, str) and part in (fields := _fields(kind)):
        return _leaves(fields[part])
    arguments = get_args(kind)
    if get_origin(kind) in (list, tuple, set, frozenset) and isinstance(part, int):
        return _leaves(arguments[0])
    if get_origin(kind) is dict and isinstance(part, str):
        return _leaves(arguments[1])
    return []


def _leaves(annotation: Any) -> list[Any]:
    """The kinds that an annotation allows, unions and annotations opened."""
    if get_origin(annotation) is Annotated:
        return _leaves(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [leaf for option in get_args(annotation) for leaf in _leaves(option)]
    return [] if annotation is type(None) else [annotation]


def _fields(kind: Any) -> dict[str, Any]:
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return {}
    return {field.alias or name: field.annotation for name, field in kind.model_fields.items()}


def unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Why a file cannot be read, for a problem."""
    if isinstance(error, UnicodeDecodeError):
        return f"cannot be read: byte {error.start} is no text in UTF-8"
    return f"cannot be read: {(error.strerror or type(error).__name__).lower()}"
