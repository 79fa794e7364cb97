"""Pure: single values as Jira writes them; what is none is None, and never an error."""

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from connectors.text import clean
from schemas.work import FieldValue


def moment(text: Any) -> datetime | None:
    """A time as Jira writes it: ISO 8601 with any form of zone, or epoch seconds or milliseconds; else None."""
    try:
        if isinstance(text, int | float) and not isinstance(text, bool):
            return datetime.fromtimestamp(text / 1000 if text > 1e11 else text, UTC)
        if isinstance(text, str):
            if text.isdigit():
                return moment(int(text))
            found = datetime.fromisoformat(text)
            return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError, OSError):
        return None
    return None


def day(text: Any) -> date | None:
    """A plain date; None for anything else."""
    try:
        return date.fromisoformat(text) if isinstance(text, str) and len(text) == 10 else None
    except ValueError:
        return None


def number(value: Any) -> float | None:
    """A finite number of at least nought, given as one or as its digits; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) and 0 <= found <= 1e6 else None


def seconds(value: Any) -> int | None:
    """Whole seconds of at least nought; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        found = int(value)
    except ValueError:
        return None
    return found if 0 <= found < 2**40 else None


def field_value(value: Any) -> FieldValue:
    """A custom field as rules see it: an option is its value, several are a list."""
    if isinstance(value, Mapping):
        for key in ("value", "name", "title", "key", "id"):
            if isinstance(value.get(key), str):
                return clean(value[key], 1024)
        return None
    if isinstance(value, list):
        found = [field_value(one) for one in value]
        return [str(one) for one in found if isinstance(one, str | float | int)][:200]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    return clean(value, 1024) if isinstance(value, str) else None
