"""Pure: what an answer's rows say of themselves, whatever shape they came in."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connectors.jira.values import moment

Row = Mapping[str, Any]


def rows_of(value: Any) -> list[Row]:
    """The objects of a list; none where it is no list."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def id_of(row: Any) -> str:
    """A row's id as text; empty where it has none."""
    return str(row.get("id", "")) if isinstance(row, dict) else ""


def time_of(row: Any, field: str) -> datetime | None:
    """The time in one of an issue's fields."""
    fields = row.get("fields") if isinstance(row, dict) else None
    return moment(fields.get(field)) if isinstance(fields, dict) else None
