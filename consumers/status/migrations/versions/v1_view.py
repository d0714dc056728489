"""Makes the view's tables and the key with which it hashes recipients."""

import secrets
from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "v1"
down_revision: Final = None

_KEY_BYTES: Final = 32
#: Which lists are read from which index; each ends as the lists are ordered.
_INDEXES: Final = {
    "mails_by_state": ("state", "accepted_at", "event_id"),
    "mails_by_tenant": ("tenant", "state", "accepted_at", "event_id"),
    "mails_by_recipient": ("recipient_hash", "accepted_at", "event_id"),
    "mails_by_update": ("updated_at",),
}


def upgrade() -> None:
    """Make everything."""
    _make_mails()
    op.create_table(
        "positions",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "sources",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("topic_id", sa.Text, nullable=False),
    )
    view = op.create_table(
        "view",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("cluster_id", sa.Text),
        sa.Column("made_key", sa.Text, nullable=False),
        sa.Column("key_check", sa.Text),
        sa.Column("writer", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("projected_at", sa.BigInteger),
        sa.Column("behind", sa.BigInteger),
    )
    made_key = secrets.token_hex(_KEY_BYTES)
    row = {"id": 1, "made_key": made_key, "writer": "", "holder": "", "sequence": 0}
    op.bulk_insert(view, [row])


def _make_mails() -> None:
    op.create_table(
        "mails",
        sa.Column("event_id", sa.LargeBinary(16), primary_key=True),
        sa.Column("mail_id", sa.Text, nullable=False),
        sa.Column("lane", sa.Integer, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("template", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("accepted_at", sa.BigInteger),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("not_before", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("recipient_hash", sa.LargeBinary(16)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("code", sa.BigInteger),
        sa.Column("enhanced", sa.Text),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("cancel_requested_at", sa.BigInteger),
        sa.Column("cancel_requested_by", sa.Text, nullable=False),
        sa.Column("cancels", sa.Text, nullable=False),
        sa.Column("main_generation", sa.BigInteger),
        sa.Column("ledger_generation", sa.BigInteger),
        sa.Column("history", sa.Text, nullable=False),
        sa.Column("history_omitted", sa.BigInteger, nullable=False),
    )
    for name, columns in _INDEXES.items():
        op.create_index(name, "mails", columns)
