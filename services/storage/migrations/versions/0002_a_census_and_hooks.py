"""a census of every container, and an inbox for the trackers' hooks"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checkpoints", sa.Column("census_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "older_answers",
        sa.Column("uid", sa.String(length=255), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("reads", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_older_answers")),
    )
    op.create_table(
        "hook_deliveries",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("delivery", sa.String(length=128), nullable=False),
        sa.Column("event", sa.String(length=128), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("hints", sa.LargeBinary(), nullable=False),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("source", "delivery", name=op.f("pk_hook_deliveries")),
    )
    op.create_index(
        "ix_hook_deliveries_handled_at_received_at", "hook_deliveries", ["handled_at", "received_at"], unique=False
    )


def downgrade() -> None:
    op.drop_index("ix_hook_deliveries_handled_at_received_at", table_name="hook_deliveries")
    op.drop_table("hook_deliveries")
    op.drop_table("older_answers")
    with op.batch_alter_table("checkpoints", schema=None) as batch_op:
        batch_op.drop_column("census_at")
