"""The view's tables as queries know them; the migrations make and change them."""

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table, Text

METADATA: Final = MetaData()

#: One row a mail. `main_generation` and `ledger_generation` are the highest seen there, None where
#: nothing was; `history` and `cancels` are JSON (see `consumers.status.history`).
MAILS: Final = Table(
    "mails",
    METADATA,
    Column("event_id", LargeBinary(16), primary_key=True),
    Column("mail_id", Text, nullable=False),
    Column("lane", Integer, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("accepted_at", BigInteger),
    Column("updated_at", BigInteger, nullable=False),
    Column("due_at", BigInteger),
    Column("not_before", BigInteger),
    Column("expires_at", BigInteger),
    Column("recipient", Text, nullable=False),
    Column("recipient_hash", LargeBinary(16)),
    Column("reason", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("code", BigInteger),
    Column("enhanced", Text),
    Column("rule", Text, nullable=False),
    Column("cancel_requested_at", BigInteger),
    Column("cancel_requested_by", Text, nullable=False),
    Column("cancels", Text, nullable=False),
    Column("main_generation", BigInteger),
    Column("ledger_generation", BigInteger),
    Column("history", Text, nullable=False),
    Column("history_omitted", BigInteger, nullable=False),
)

#: What was out in a worker when it last told so: JSON (see `consumers.status.outages`). A worker
#: with nothing out has no row.
OUTAGES: Final = Table(
    "outages",
    METADATA,
    Column("worker", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("told", Text, nullable=False),
)

#: What operators have paused; what is resumed has no row.
SWITCHES: Final = Table(
    "switches",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("what", Text, primary_key=True),
    Column("since", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

#: One row a record of the dead-letter topic, by its place there. The topic tells `event_id` (None
#: for no event), `held` (0 or 1) and `died_at`, its journal the rest; what was not told is None.
#: Without a `state` nothing was done about the record.
LETTERS: Final = Table(
    "letters",
    METADATA,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", LargeBinary(16)),
    Column("held", Integer),
    Column("died_at", BigInteger),
    Column("state", Text),
    Column("job", Text),
    Column("by", Text),
    Column("reason", Text),
    Column("changed_at", BigInteger),
    Column("replay_id", LargeBinary(16)),
)

#: One row a replay job. `selection` is in words, `counts` in JSON.
REPLAY_JOBS: Final = Table(
    "replay_jobs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("selection", Text, nullable=False),
    Column("counts", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

#: How far each partition is projected: the offset that comes next.
POSITIONS: Final = Table(
    "positions",
    METADATA,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
)

#: Which topics the view is of; a topic that is made anew has another id.
SOURCES: Final = Table(
    "sources",
    METADATA,
    Column("topic", Text, primary_key=True),
    Column("topic_id", Text, nullable=False),
)

#: One row about the view. (`writer`, `sequence`) is who may write next: every transaction compares
#: and raises it. `projected_at` and `behind` are when that was and how many records were left.
VIEW: Final = Table(
    "view",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("cluster_id", Text),
    Column("made_key", Text, nullable=False),
    Column("key_check", Text),
    Column("writer", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("projected_at", BigInteger),
    Column("behind", BigInteger),
)
#: The id of the only row of `VIEW`.
ONLY: Final = 1


def storable(text: str) -> str:
    """Return a text as both databases can keep it: PostgreSQL knows no NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in text else text
