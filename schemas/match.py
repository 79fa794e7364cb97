"""Which work a rule of the strategy file speaks of: the tree under every ``match`` key."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainValidator,
    PrivateAttr,
    WithJsonSchema,
    model_validator,
)

from schemas.expressions import compile_expression

Wanted = str | float | bool
"""A value that a field may be asked for."""


def _texts(value: object) -> tuple[str, ...]:
    """Text or a list of texts, as a tuple."""
    values = value if isinstance(value, list | tuple) else [value]
    if not values:
        raise ValueError("is an empty list, which nothing can match")
    for one in values:
        if not isinstance(one, str):
            raise ValueError("has no value" if one is None else "must be text, or a list of texts; use quotes")
        if not one:
            raise ValueError("must not be empty text")
    return tuple(values)


def _kinds(value: object) -> tuple[str, ...]:
    kinds = _texts(value)
    if not set(kinds) <= {"issue", "pull_request"}:
        raise ValueError("must be 'issue' or 'pull_request'")
    return kinds


def _wanted(value: object) -> dict[str, tuple[Wanted, ...]]:
    """``{Goal: growth}`` or ``{Goal: [growth, trust]}`` as names with tuples of values."""
    if not isinstance(value, Mapping) or not value:
        raise ValueError("must name a field and its value, such as {Goal: growth}")
    return {str(name): _values(str(name), wanted) for name, wanted in value.items()}


def _values(name: str, wanted: object) -> tuple[Wanted, ...]:
    values = wanted if isinstance(wanted, list | tuple) else [wanted]
    if not values:
        raise ValueError(f"{name} is an empty list, which nothing can match")
    for one in values:
        if one is None:
            raise ValueError(f"{name} has no value, and an empty field never matches")
        if not isinstance(one, str | int | float) or (isinstance(one, float) and not math.isfinite(one)):
            raise ValueError(f"{name} must be text, a number, true or false, or a list of them")
    return tuple(values)


def _expression(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a CEL expression, in quotes")
    compile_expression(value)  # its error is a ValueError, and becomes the problem
    return value


def _given(value: object) -> object:
    if value is None:
        raise ValueError("has no value")
    return value


_TEXT_OR_LIST: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
    ]
}
_KIND: dict[str, Any] = {"enum": ["issue", "pull_request"]}
_KINDS: dict[str, Any] = {"anyOf": [_KIND, {"type": "array", "items": _KIND, "minItems": 1}]}
_SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean"]}
_FIELDS: dict[str, Any] = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR, "minItems": 1}]},
}
Texts = Annotated[tuple[str, ...] | None, PlainValidator(_texts), WithJsonSchema(_TEXT_OR_LIST)]
Kinds = Annotated[tuple[str, ...] | None, PlainValidator(_kinds), WithJsonSchema(_KINDS)]
Fields = Annotated[dict[str, tuple[Wanted, ...]] | None, PlainValidator(_wanted), WithJsonSchema(_FIELDS)]
Expression = Annotated[str | None, PlainValidator(_expression), WithJsonSchema({"type": "string", "minLength": 1})]


class Match(BaseModel):
    """All keys must hold; a list means any of its values. `keys` are those given, in the order of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    item: Texts = None
    field: Fields = None
    label: Texts = None
    ancestor: Texts = None
    milestone: Texts = None
    component: Texts = None
    type: Texts = None
    kind: Kinds = None
    team: Texts = None
    project: Texts = None
    source: Texts = None
    when: Expression = None
    any_: Annotated[tuple["Match", ...] | None, BeforeValidator(_given), Field(min_length=1)] = Field(
        default=None, alias="any"
    )
    not_: Annotated["Match | None", BeforeValidator(_given)] = Field(default=None, alias="not")

    _keys: tuple[str, ...] = PrivateAttr(default=())

    @property
    def keys(self) -> tuple[str, ...]:
        return self._keys

    @model_validator(mode="wrap")
    @classmethod
    def _keep_order(cls, data: Any, handler: ModelWrapValidatorHandler["Match"]) -> "Match":
        match = handler(data)
        if isinstance(data, Mapping):
            match._keys = tuple(str(key) for key in data)
        if not set(match._keys) - {"not"}:
            raise ValueError(
                "needs a key beside `not`, or it would hold for nearly everything"
                if match._keys
                else "is empty, and would hold for everything"
            )
        return match
