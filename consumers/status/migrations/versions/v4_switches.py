"""Makes the table of what operators have paused."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "v4"
down_revision: Final = "v3"


def upgrade() -> None:
    """Make it, empty: the projector reads the switches' topic from its beginning."""
    op.create_table(
        "switches",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("what", sa.Text, primary_key=True),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
