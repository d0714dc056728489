"""Whether a record is the one of its mail that counts: the ledger's word against the record's.

A mail's records are numbered by (generation, step): a replay opens the next generation, each
forward is the next step. The ledger knows which of them is the mail's present one, so that a
repeated request, a record that is read again, or a second replay never becomes a second mail.
"""

from enum import StrEnum

from schemas.ledger import NOBODY, Standing
from schemas.mail_states import MailState


class Verdict(StrEnum):
    """What to do with a record."""

    PROCEED = "proceed"
    DROP = "drop"
    IN_DOUBT = "in_doubt"


#: What a later generation may begin from: anything that has not ended well, or by somebody's will.
_REPLAYABLE = frozenset(
    {
        MailState.RETRY,
        MailState.SCHEDULED,
        MailState.SENDING,
        MailState.DEAD,
        MailState.HELD,
    }
)
#: What becomes of most: members of an enumeration are found slowly.
_PROCEED = Verdict.PROCEED
_WAITING = frozenset({MailState.RETRY, MailState.SCHEDULED})


def judge(standing: Standing | None, generation: int, step: int, owner: bytes) -> Verdict:
    """Decide about the record numbered (generation, step) of a mail of that owner.

    A mail without an entry was never touched, or so long ago that the ledger has forgotten it.
    IN_DOUBT: this very record was being handed to the relay when its worker ended.
    """
    if standing is None or _is_foreign_cancel(standing, owner):
        return _PROCEED
    if generation != standing.generation:
        later = generation > standing.generation and standing.state in _REPLAYABLE
        return Verdict.PROCEED if later else Verdict.DROP
    if step < standing.step:
        return Verdict.DROP
    if standing.state in _WAITING:
        return Verdict.PROCEED
    if standing.state is MailState.SENDING:
        return Verdict.IN_DOUBT
    return Verdict.DROP


def _is_foreign_cancel(standing: Standing, owner: bytes) -> bool:
    """Tell whether a mail that nobody has touched was cancelled by somebody whose it is not."""
    return (
        standing.state is MailState.CANCELLED
        and standing.owner not in (NOBODY, owner)
        and owner != NOBODY
    )
