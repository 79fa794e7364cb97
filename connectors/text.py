"""Tracker text made safe to keep: normal form, no control characters, bounded."""

import unicodedata
from collections.abc import Iterable
from typing import Any

LONGEST_TITLE = 1024
LONGEST_NAME = 255
MOST_NAMES = 200


def clean(text: Any, longest: int = LONGEST_NAME) -> str:
    """The text in NFC without control characters, NUL and lone surrogates, cut to a length; "" for what is no text."""
    if not isinstance(text, str):
        return ""
    text = text[: longest * 4]
    kept = "".join(" " if _breaks(sign) else sign for sign in text if not 0xD800 <= ord(sign) <= 0xDFFF)
    return " ".join(unicodedata.normalize("NFC", kept).split())[:longest]


def _breaks(sign: str) -> bool:
    return unicodedata.category(sign) == "Cc"


def names(values: Iterable[Any]) -> tuple[tuple[str, ...], bool]:
    """Distinct clean names, sorted; and whether some were left out because there are too many."""
    found = sorted({name for value in values if (name := clean(value))})
    return tuple(found[:MOST_NAMES]), len(found) > MOST_NAMES
