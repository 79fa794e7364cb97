"""Project boards (GitHub Projects v2) of the simulated world: fields, entries, and what people do to them."""

from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from services.simulator.model import Item
    from services.simulator.world import World

FieldKind = Literal["SINGLE_SELECT", "NUMBER", "TEXT", "DATE", "ITERATION"]
#: The options of the field that every new board has, with the ids that they have on every board.
STATUSES = {"f75ad846": "Todo", "47fc9ee4": "In Progress", "98236657": "Done"}


@dataclass(slots=True, eq=False)
class Iteration:
    id: str
    title: str
    start: date
    days: int = 14


@dataclass(slots=True, eq=False)
class BoardField:
    """``options`` are names by id; ``iterations`` are those of an iteration field, whenever they are."""

    id: str
    name: str
    kind: FieldKind
    options: dict[str, str] = field(default_factory=dict)
    iterations: list[Iteration] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Entry:
    """An item on a board, or a draft. Values are by the ids of fields: an option's id, a number, a text, an
    iteration's id; with the time when each was set."""

    id: str
    item: int | None
    updated: datetime
    archived: bool = False
    values: dict[str, Any] = field(default_factory=dict)
    set_at: dict[str, datetime] = field(default_factory=dict)


@dataclass(eq=False)
class ProjectBoard:
    """One board. ``entries`` are in the order that people see."""

    world: "World"
    owner: str
    number: int
    fields: list[BoardField] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    ids: "count[int]" = field(default_factory=lambda: count(1))

    @property
    def id(self) -> str:
        return f"PVT_{self.owner}{self.number}"

    def add_field(self, name: str, kind: FieldKind, *, options: tuple[str, ...] = ()) -> BoardField:
        found = BoardField(f"PVTF_{self.owner}{self.number}_{next(self.ids)}", name, kind)
        found.options = {f"{next(self.ids):08x}": option for option in options}
        self.fields.append(found)
        return found

    def add_iteration(self, title: str, start: date, days: int = 14, name: str = "Iteration") -> Iteration:
        found = Iteration(f"{next(self.ids):08x}", title, start, days)
        self.field(name).iterations.append(found)
        return found

    def field(self, name: str) -> BoardField:
        """The field of this name. Raises StopIteration."""
        return next(one for one in self.fields if one.name == name)

    def entry(self, item: "Item") -> Entry:
        """The entry of an item. Raises StopIteration."""
        return next(one for one in self.entries if one.item == item.id)

    def put(self, item: "Item | None", **values: Any) -> Entry:
        """Put an item on the board, or change its values there; names of fields with ``_`` for a space.

        Options and iterations are given by their names; None clears a value. The item itself is not touched.
        """
        with self.world.lock:
            now = self.world.now.replace(microsecond=0)
            found = next((one for one in self.entries if item is not None and one.item == item.id), None)
            if found is None:
                found = Entry(f"PVTI_{self.owner}{self.number}_{next(self.ids)}", item.id if item else None, now)
                self.entries.append(found)
            for name, value in values.items():
                where = self.field(name.replace("_", " "))
                found.values.pop(where.id, None)
                if value is not None:
                    found.values[where.id] = _stored(where, value)
                    found.set_at[where.id] = now
            found.updated = now
            return found

    def archive(self, item: "Item", *, archived: bool = True) -> None:
        with self.world.lock:
            found = self.entry(item)
            found.archived, found.updated = archived, self.world.now.replace(microsecond=0)

    def remove(self, item: "Item") -> None:
        with self.world.lock:
            self.entries.remove(self.entry(item))

    def raise_to_top(self, item: "Item") -> None:
        """Drag an entry to the top, which changes nothing but the order."""
        with self.world.lock:
            found = self.entry(item)
            self.entries.remove(found)
            self.entries.insert(0, found)


def _stored(where: BoardField, value: Any) -> Any:
    if where.kind == "SINGLE_SELECT":
        return next(id_ for id_, name in where.options.items() if name == value)
    if where.kind == "ITERATION":
        return next(one.id for one in where.iterations if one.title == value)
    return value


def add_board(world: "World", owner: str, number: int) -> ProjectBoard:
    """A new board, with the field that each has."""
    found = ProjectBoard(world, owner, number)
    found.add_field("Status", "SINGLE_SELECT").options = dict(STATUSES)
    world.boards[owner.lower(), number] = found
    return found
