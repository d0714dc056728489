"""The states that a mail can be in; the words of the ledger, the status view and its users.

(queued) -> retry | scheduled | sending -> sent
    |            ^------- replay ------ dead, held
    +--> cancelled | suppressed | expired | discarded
"""

from enum import StrEnum
from typing import Final


class MailState(StrEnum):
    """One state. `queued` is never written: it is what an accepted mail without an entry is."""

    QUEUED = "queued"
    RETRY = "retry"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    HELD = "held"
    SENT = "sent"
    DEAD = "dead"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPPRESSED = "suppressed"
    DISCARDED = "discarded"


#: The mail is on its way, without anybody's help.
MOVING: Final = frozenset(
    {MailState.QUEUED, MailState.RETRY, MailState.SCHEDULED, MailState.SENDING}
)
#: Over for good: not even a replay sends such a mail.
SETTLED: Final = frozenset(
    {
        MailState.SENT,
        MailState.EXPIRED,
        MailState.CANCELLED,
        MailState.SUPPRESSED,
        MailState.DISCARDED,
    }
)
#: Over unless a person decides otherwise: a replay or a release runs the mail again.
PARKED: Final = frozenset({MailState.DEAD, MailState.HELD})
