"""Many rows in one statement: compiled once, and given to the driver without a dictionary a row.

SQLite takes tuples through ``executemany``; PostgreSQL takes a column an array, and unnests them. Both read each
row in the order in which it was given.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ARRAY,
    Delete,
    Dialect,
    Insert,
    String,
    Table,
    Text,
    and_,
    bindparam,
    column,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.tables import ADAPTED

#: What becomes of a row whose key is taken, by column; none: it stays as it is.
Changes = Mapping[str, Literal["replace", "add"]]
_Names = tuple[str, ...]
_OnConflict = tuple[tuple[str, str], ...] | None


class Rows(NamedTuple):
    """Rows of a table: the names of the columns, and a tuple of their values a row, in that order."""

    names: _Names
    values: Sequence[tuple[Any, ...]]


def rows_of(mappings: Sequence[Mapping[str, Any]]) -> Rows:
    """Rows that all name the same columns; the first says in which order."""
    names = tuple(mappings[0]) if mappings else ()
    return Rows(names, [tuple([row[name] for name in names]) for row in mappings])


async def insert_rows(connection: AsyncConnection, table: Table, rows: Rows, changes: Changes | None = None) -> None:
    """Insert rows. Without ``changes`` a key that is taken is an error."""
    if not rows.values:
        return
    if defaults := _defaults(table, rows.names):
        further = tuple(defaults.values())
        rows = Rows((*rows.names, *defaults), [(*row, *further) for row in rows.values])
    on_conflict = None if changes is None else tuple(changes.items())
    if connection.dialect.name == "sqlite":
        await _execute_many(connection, _insert_values(table, rows.names, on_conflict), rows)
    else:
        if changes is not None and len(rows.values) > 1:
            # One statement may not touch a row twice; the last one would have stood.
            key = [rows.names.index(one.name) for one in table.primary_key.columns]
            rows = rows._replace(values=list({tuple([row[at] for at in key]): row for row in rows.values}.values()))
        await connection.execute(_insert_arrays(table, rows.names, on_conflict), _columns(rows))


async def delete_rows(connection: AsyncConnection, table: Table, rows: Rows) -> None:
    """Delete what equals any of these rows in the columns that they name."""
    if not rows.values:
        return
    if connection.dialect.name == "sqlite":
        await _execute_many(connection, _delete_values(table, rows.names), rows)
    else:
        await connection.execute(_delete_arrays(table, rows.names), _columns(rows))


@lru_cache(maxsize=256)
def _defaults(table: Table, names: _Names) -> dict[str, Any]:
    """The values of columns that the rows leave out and the table has a default for."""
    unnamed: list[Any] = [one for one in table.columns if one.name not in names and one.default is not None]
    return {one.name: one.default.arg for one in unnamed}


def _columns(rows: Rows) -> dict[str, list[Any]]:
    return dict(zip(rows.names, map(list, zip(*rows.values, strict=True)), strict=True))


async def _execute_many(connection: AsyncConnection, statement: Insert | Delete, rows: Rows) -> None:
    sql, order = _compiled(statement, rows.names, connection.dialect)
    values = rows.values if order is None else list(map(order, rows.values))
    await connection.exec_driver_sql(sql, values)  # any sequence will do for the driver


@lru_cache(maxsize=256)
def _compiled(
    statement: Insert | Delete, names: _Names, dialect: Dialect
) -> tuple[str, Callable[[tuple[Any, ...]], tuple[Any, ...]] | None]:
    """A statement's text, and what puts a row into the order of its parameters, where that is another one.

    Raises TypeError for a column whose values the driver does not take as they are.
    """
    compiled: Any = statement.compile(dialect=dialect)
    for name in names:
        type_ = compiled.binds[name].type
        needed = type_.dialect_impl(dialect).bind_processor(dialect) is not None
        if needed and not isinstance(type_, ADAPTED):
            raise TypeError(f"{name}: a {type_!r} needs to be made the driver's own first")
    parameters = tuple(compiled.positiontup)
    return str(compiled), None if parameters == names else itemgetter(*map(names.index, parameters))


@lru_cache(maxsize=256)
def _insert_values(table: Table, names: _Names, on_conflict: _OnConflict) -> Insert:
    values = {name: bindparam(name, type_=table.c[name].type) for name in names}
    statement: Insert = _on_conflict(sqlite_insert(table).values(values), table, on_conflict)
    return statement


@lru_cache(maxsize=256)
def _delete_values(table: Table, names: _Names) -> Delete:
    return table.delete().where(*(table.c[name] == bindparam(name, type_=table.c[name].type) for name in names))


@lru_cache(maxsize=256)
def _insert_arrays(table: Table, names: _Names, on_conflict: _OnConflict) -> Insert:
    given = _unnested(table, names)
    ordered = select(*(given.c[name] for name in names)).order_by(given.c.ordinality)
    statement: Insert = _on_conflict(postgresql_insert(table).from_select(list(names), ordered), table, on_conflict)
    return statement


@lru_cache(maxsize=256)
def _delete_arrays(table: Table, names: _Names) -> Delete:
    given = _unnested(table, names)
    return table.delete().where(and_(*(table.c[name] == given.c[name] for name in names)))


def _unnested(table: Table, names: _Names) -> Any:
    # A cast to a shorter text would cut it without a word; the column itself refuses it.
    types = {name: Text() if isinstance(table.c[name].type, String) else table.c[name].type for name in names}
    arrays = [bindparam(name, type_=ARRAY(types[name])) for name in names]
    columns = [column(name, types[name]) for name in names]
    return func.unnest(*arrays).table_valued(*columns, with_ordinality="ordinality").render_derived(name="given")


def _on_conflict(statement: Any, table: Table, changes: _OnConflict) -> Any:
    if changes is None:
        return statement
    key = list(table.primary_key.columns)
    new = {
        name: statement.excluded[name] if what == "replace" else table.c[name] + statement.excluded[name]
        for name, what in changes
    }
    if not new:
        return statement.on_conflict_do_nothing(index_elements=key)
    return statement.on_conflict_do_update(index_elements=key, set_=new)
