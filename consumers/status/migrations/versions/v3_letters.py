"""Makes the tables of dead-lettered records and of replay jobs."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "v3"
down_revision: Final = "v2"


def upgrade() -> None:
    """Make them, empty: their topics are then read from the beginning."""
    op.create_table(
        "letters",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.LargeBinary(16)),
        sa.Column("held", sa.Integer),
        sa.Column("died_at", sa.BigInteger),
        sa.Column("state", sa.Text),
        sa.Column("job", sa.Text),
        sa.Column("by", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("changed_at", sa.BigInteger),
        sa.Column("replay_id", sa.LargeBinary(16)),
    )
    op.create_index("letters_by_event", "letters", ("event_id",))
    op.create_index("letters_by_death", "letters", ("died_at",))
    op.create_table(
        "replay_jobs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("selection", sa.Text, nullable=False),
        sa.Column("counts", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
