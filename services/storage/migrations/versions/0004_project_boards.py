"""project boards, and what each says of the items on it"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "boards",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("board", sa.String(length=255), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("source", "board", name=op.f("pk_boards")),
    )
    op.create_table(
        "board_items",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("board", sa.String(length=255), nullable=False),
        sa.Column("entry", sa.String(length=255), nullable=False),
        sa.Column("item", sa.String(length=255), nullable=True),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("source", "board", "entry", name=op.f("pk_board_items")),
    )
    op.create_index("ix_board_items_item", "board_items", ["item"], unique=False)
    op.create_index("ix_board_items_source_key", "board_items", ["source", "key"], unique=False)


def downgrade() -> None:
    op.drop_table("board_items")
    op.drop_table("boards")
