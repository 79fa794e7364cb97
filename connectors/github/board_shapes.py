"""Pure: a project board's JSON, as GraphQL gives it, into our shapes.

API facts: GitHub's GraphQL schema, ``ProjectV2``, ``ProjectV2FieldConfiguration``, ``ProjectV2ItemFieldValue``.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import msgspec

from connectors.github.translate import moment
from connectors.text import clean
from schemas.boards import BoardItem
from schemas.work import FieldValue, Milestone, item_uid, milestone_uid

#: The number field of one of these names is the estimate; an entry of `fields` of that name says which one instead.
ESTIMATES = ("Estimate", "Points", "Story Points")
STATUS = "Status"
#: Of the three options that every new board has, those that say that work was begun. Other names mean nothing to us;
#: and what is "Done" on the board is done once it is closed.
BEGUN = frozenset({"in progress", "done"})
_LONGEST_VALUE = 1024
_LONGEST_ITERATION_DAYS = 3_660


class Field(msgspec.Struct, frozen=True):
    """A field of a board. ``options`` are the names of a single select's options by id."""

    id: str
    name: str
    type: str
    options: dict[str, str] = {}


class Shape(msgspec.Struct, frozen=True):
    """Which fields of a board mean what; each by its immutable id."""

    fields: dict[str, str]  #: our name -> field id
    team: str | None
    status: str | None
    estimate: str | None
    iterations: tuple[str, ...]
    by_id: dict[str, Field]
    missing: tuple[str, ...]  #: configured names that the board has no field for

    def remembered(self) -> dict[str, str]:
        """The configured names with the ids they led to, so that a field that is renamed is found again."""
        return dict(self.fields) | ({"": self.team} if self.team else {})


def rows(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; nothing where it is none."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def fields_of(nodes: Any) -> list[Field]:
    """The fields of a board that have an id and a name."""
    found = []
    for row in rows(nodes):
        id_, name = row.get("id"), row.get("name")
        if isinstance(id_, str) and id_ and isinstance(name, str):
            options = {
                option["id"]: clean(option.get("name")) for option in rows(row.get("options"))
                if isinstance(option.get("id"), str)
            }  # fmt: skip
            found.append(Field(id_, clean(name), str(row.get("dataType") or ""), options))
    return found


def shape(fields: Sequence[Field], named: Mapping[str, str], team: str | None, known: Mapping[str, str]) -> Shape:
    """What the configured names lead to: an id, a name whatever its case, or the field that last had the name."""
    by_id = {one.id: one for one in fields}
    by_name = {one.name.casefold(): one for one in reversed(fields)}

    def found(ours: str, name: str) -> str | None:
        if name in by_id:
            return name
        one = by_name.get(clean(name).casefold())
        return one.id if one is not None else known[ours] if known.get(ours) in by_id else None

    chosen = {ours: id_ for ours, name in named.items() if (id_ := found(ours, name)) is not None}
    numbers = [by_id[chosen[ours]] for ours in ESTIMATES if ours in chosen]
    numbers += [by_name[name.casefold()] for name in ESTIMATES if name.casefold() in by_name]
    status = by_name.get(STATUS.casefold())
    team_id = found("", team) if team else None
    return Shape(
        fields=chosen,
        team=team_id,
        status=status.id if status is not None and status.type == "SINGLE_SELECT" else None,
        estimate=next((one.id for one in numbers if one.type == "NUMBER"), None),
        iterations=tuple(one.id for one in fields if one.type == "ITERATION"),
        by_id=by_id,
        missing=tuple(
            [name for ours, name in named.items() if ours not in chosen] + ([team] if team and team_id is None else [])
        ),
    )


def iterations_of(nodes: Any, source: str, url: str, today: date) -> Iterator[Milestone]:
    """The iterations of a board's iteration fields, those that are over too. The last day is the one before the next.

    Their ids are unique within a field only: a copied board has the same ones.
    """
    for row in rows(nodes):
        configuration = row.get("configuration")
        if not isinstance(configuration, Mapping) or not isinstance(row.get("id"), str):
            continue
        for over, key in ((False, "iterations"), (True, "completedIterations")):
            for one in rows(configuration.get(key)):
                if not isinstance(one.get("id"), str) or not isinstance(one.get("title"), str):
                    continue
                start, last = _days(one)
                yield Milestone(
                    uid=iteration_uid(source, row["id"], one["id"]),
                    source=source,
                    external_id=one["id"],
                    kind="iteration",
                    title=clean(one["title"]),
                    state="done" if over else "planned" if start is not None and start > today else "active",
                    start_date=start,
                    due_date=last,
                    url=url,
                )


def iteration_uid(source: str, field: str, iteration: str) -> str:
    """The uid of an iteration: its field's id, a dot, and its own."""
    return milestone_uid(source, "iteration", f"{clean(field, 120)}.{clean(iteration, 60)}")


def _days(row: Mapping[str, Any]) -> tuple[date | None, date | None]:
    """First and last day."""
    try:
        start = date.fromisoformat(row["startDate"])
        days = row.get("duration")
        if isinstance(days, bool) or not isinstance(days, int) or not 0 < days <= _LONGEST_ITERATION_DAYS:
            return start, None
        return start, start + timedelta(days=days - 1)
    except (KeyError, ValueError, TypeError, OverflowError):
        return None, None


def board_item(row: Any, shape: Shape, source: str) -> BoardItem | None:
    """One entry of a board; None for a draft, for what we may not see, and for what is no entry."""
    content = row.get("content") if isinstance(row, Mapping) else None
    if not isinstance(content, Mapping) or not isinstance(row.get("id"), str):
        return None
    kind, number, home = content.get("__typename"), content.get("number"), content.get("repository")
    name = home.get("nameWithOwner") if isinstance(home, Mapping) else None
    id_ = _id(content.get("fullDatabaseId", content.get("databaseId")))
    if kind not in ("Issue", "PullRequest") or type(number) is not int or not isinstance(name, str):
        return None
    if not 0 < number < 2**31:
        return None
    if kind == "Issue" and id_ is None:
        return None
    values = _values(row)
    status = _option(values.get(shape.status or ""), shape)
    team = _value(values.get(shape.team or ""), shape)
    return BoardItem(
        id=clean(row["id"]),
        uid=item_uid(source, "issue", id_) if kind == "Issue" and id_ is not None else None,
        key=f"{clean(name, 200)}#{number}",
        archived=row.get("isArchived") is True,
        updated_at=moment(row.get("updatedAt")),
        status=status,
        status_at=moment(values[shape.status].get("updatedAt")) if status is not None and shape.status else None,
        begun=status is not None and status.casefold() in BEGUN,
        fields={ours: _value(values.get(field), shape) for ours, field in sorted(shape.fields.items())},
        team=team if isinstance(team, str) and team else None,
        estimate=_number(values.get(shape.estimate or "")),
        iterations=tuple(
            sorted(
                iteration_uid(source, field, values[field]["iterationId"])
                for field in shape.iterations
                if isinstance(values.get(field, {}).get("iterationId"), str)
            )
        ),
    )


def _id(value: Any) -> int | None:
    """A database id: a number, or its digits, as a BigInt is written."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _values(row: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The values of an entry by the ids of their fields."""
    values = row.get("fieldValues")
    found: dict[str, Mapping[str, Any]] = {}
    for one in rows(values.get("nodes") if isinstance(values, Mapping) else None):
        field = one.get("field")
        if isinstance(field, Mapping) and isinstance(field.get("id"), str):
            found.setdefault(field["id"], one)
    return found


def _option(value: Mapping[str, Any] | None, shape: Shape) -> str | None:
    """The name of a chosen option as the board has it now, whatever it was when it was chosen."""
    if value is None or not isinstance(value.get("field"), Mapping):
        return None
    field = shape.by_id.get(value["field"].get("id"))
    option = value.get("optionId")
    named = field.options.get(option) if field is not None and isinstance(option, str) else None
    return (named if named is not None else clean(value.get("name"))) or None


def _value(value: Mapping[str, Any] | None, shape: Shape) -> FieldValue:
    """A value as rules see it: an option and an iteration are their names, a day is its text."""
    if value is None:
        return None
    if "optionId" in value:
        return _option(value, shape)
    if "number" in value:
        number = value["number"]
        plain = isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
        return float(number) if plain else None
    for key in ("text", "date", "title"):
        if key in value:
            return clean(value[key], _LONGEST_VALUE) or None
    return None


def _number(value: Mapping[str, Any] | None) -> float | None:
    """A finite number of at least nought."""
    found = value.get("number") if value is not None else None
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if math.isfinite(found) and 0 <= found <= 1e6 else None
