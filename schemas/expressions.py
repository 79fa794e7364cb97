"""CEL expressions over one item: the only place that knows which engine runs them.

The language is the Common Expression Language (cel.dev, "Language definition"): it always ends and changes nothing.
Engine: common-expression-language 0.10, whose errors come as Python exceptions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

#: The engine recurses into long chains such as ``a.a.a``; this many characters stay far from the end of its stack.
MAX_LENGTH = 2_000


class InvalidExpression(ValueError):
    """Text that is no CEL expression."""


@dataclass(frozen=True)
class Expression:
    """A compiled expression. `holds` says True, False, or None where it fails or answers neither."""

    text: str
    _execute: Callable[[Any], Any]

    def holds(self, context: object) -> bool | None:
        try:
            answer = self._execute(context)
        except Exception:  # the engine raises KeyError, TypeError, RuntimeError … as the expression goes wrong
            return None
        return answer if isinstance(answer, bool) else None


@lru_cache(maxsize=2_048)
def compile_expression(text: str) -> Expression:
    """The expression, compiled once. Raises InvalidExpression with what is wrong and where."""
    if len(text) > MAX_LENGTH:
        raise InvalidExpression(f"is longer than {MAX_LENGTH:,} characters")
    import cel  # a native library; only files with `when` pay for loading it

    try:
        program = cel.compile(text)
    except ValueError as error:
        raise InvalidExpression(f"is not valid CEL: {_reason(str(error))}") from None
    if "item" not in program.variables():
        raise InvalidExpression("must look at `item`, such as item.type == 'Bug'")
    return Expression(text, program.execute)


def item_context(item: Mapping[str, Any]) -> object:
    """What expressions see: the variable ``item``. Built once for an item, shared by all its expressions."""
    import cel

    return cel.Context({"item": dict(item)})


def _reason(message: str) -> str:
    """The parser's first complaint, without the expression itself."""
    _, _, complaint = message.partition("ERROR: ")
    first = complaint.splitlines()[0] if complaint else "it does not parse"
    return first.removeprefix("<input>:").strip()
