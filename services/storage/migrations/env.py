"""Alembic runs inside a connection that `services.storage.migrate` hands it."""

from typing import Any, Literal

from alembic import context

from services.storage.tables import Moment, metadata


def _render(kind: str, value: Any, _context: Any) -> str | Literal[False]:
    """Our column types as plain SQLAlchemy ones, so that old migrations never depend on new code."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(value, Moment) else False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=False,
    render_item=_render,
)
with context.begin_transaction():
    context.run_migrations()
