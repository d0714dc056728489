"""Makes the table of what is out in each worker."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "v2"
down_revision: Final = "v1"


def upgrade() -> None:
    """Make it, empty: workers tell what is out again within a minute."""
    op.create_table(
        "outages",
        sa.Column("worker", sa.Text, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("told", sa.Text, nullable=False),
    )
