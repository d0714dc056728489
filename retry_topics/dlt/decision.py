"""Whether a letter is replayed: the one rule by which plans count and jobs act."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from retry_topics.dlt.letter import Letter
from retry_topics.dlt.states import RecordState
from schemas.ledger import Standing
from schemas.mail_states import MOVING, MailState

#: How often a mail is replayed before somebody has to insist.
REPLAY_CAP: Final = 3


class Skip(StrEnum):
    """Why a letter is not replayed."""

    REPLAYED = "replayed"
    SENT = "sent"
    DEAD_AGAIN = "dead_again"
    ENDED = "ended"
    DISCARDED = "discarded"
    TAKEN = "taken"
    HELD = "held"
    UNDECODABLE = "undecodable"
    UNKNOWN_TEMPLATE = "unknown_template"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPPRESSED = "suppressed"
    UNDER_WAY = "under_way"
    SUPERSEDED = "superseded"
    REPLAY_CAP = "replay_cap"
    EDIT_REFUSED = "edit_refused"
    TOO_LARGE = "too_large"


#: The reasons in words for people.
SKIP_WORDS: Final = {
    Skip.REPLAYED: "already replayed, and under way",
    Skip.SENT: "already sent",
    Skip.DEAD_AGAIN: "already replayed and dead again: a later record stands for the mail",
    Skip.ENDED: "already replayed, and ended otherwise",
    Skip.DISCARDED: "discarded",
    Skip.TAKEN: "taken by another job",
    Skip.HELD: "held: use `mailcascade held release`",
    Skip.UNDECODABLE: "undecodable: the value is no event",
    Skip.UNKNOWN_TEMPLATE: "the template is unknown",
    Skip.EXPIRED: "expired (--renew-expiry gives them more time)",
    Skip.CANCELLED: "cancelled",
    Skip.SUPPRESSED: "the recipient is suppressed (see `mailcascade unsuppress ADDRESS`)",
    Skip.UNDER_WAY: "on its way without this tool",
    Skip.SUPERSEDED: "a later record stands for the mail",
    Skip.REPLAY_CAP: f"replayed {REPLAY_CAP} times already (--force)",
    Skip.EDIT_REFUSED: "the changed mail is not valid",
    Skip.TOO_LARGE: "too large for the main topic",
}

_BY_STATE: Final = {
    RecordState.REPLAYED: Skip.REPLAYED,
    RecordState.SENT: Skip.SENT,
    RecordState.DEAD_AGAIN: Skip.DEAD_AGAIN,
    RecordState.ENDED: Skip.ENDED,
    RecordState.DISCARDED: Skip.DISCARDED,
    RecordState.TAKEN: Skip.TAKEN,
    RecordState.HELD: Skip.HELD,
}
#: What has ended well or by itself may go out once more, as a new mail.
_REPEATABLE: Final = frozenset({RecordState.OPEN, RecordState.SENT, RecordState.ENDED})
_BY_LEDGER: Final = {
    MailState.SENT: Skip.SENT,
    MailState.EXPIRED: Skip.EXPIRED,
    MailState.CANCELLED: Skip.CANCELLED,
    MailState.SUPPRESSED: Skip.SUPPRESSED,
    MailState.DISCARDED: Skip.DISCARDED,
    MailState.HELD: Skip.HELD,
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What the operator wants: see `schemas.replay_jobs.Edit` and `Pace`."""

    as_new: bool = False
    force: bool = False


class Mail(NamedTuple):
    """The mail as it would go out, after any change: what the decision asks of it."""

    knows_template: bool
    ignores_suppression: bool
    expires_at: int | None


def settled_by(letter: Letter, state: RecordState, terms: Terms) -> Skip | None:
    """Return why a letter is skipped whatever the ledger and the mail say."""
    if terms.as_new:
        if state not in _REPEATABLE:
            return _BY_STATE[state]
    elif state is not RecordState.OPEN:
        return _BY_STATE[state]
    if letter.about is None:
        return Skip.UNDECODABLE
    if letter.replays >= REPLAY_CAP and not terms.force:
        return Skip.REPLAY_CAP
    return None


def decide(
    generation: int,
    mail: Mail,
    standing: Standing | None,
    suppressed: bool,
    now: int,
    terms: Terms,
) -> Skip | None:
    """Return why a letter of this generation that `settled_by` let pass is skipped, or None.

    `standing` is the ledger's last word on the mail, None where it has forgotten the mail or never
    knew it; `suppressed`, whether the recipient is. Instants in milliseconds since the epoch.
    """
    if not terms.as_new and standing is not None:
        by_ledger = _BY_LEDGER.get(standing.state)
        if by_ledger is not None:
            return by_ledger
        if standing.state in MOVING:
            return Skip.UNDER_WAY
        if standing.generation > generation:
            return Skip.SUPERSEDED
    if not mail.knows_template:
        return Skip.UNKNOWN_TEMPLATE
    if mail.expires_at is not None and mail.expires_at <= now:
        return Skip.EXPIRED
    if suppressed and not mail.ignores_suppression:
        return Skip.SUPPRESSED
    return None
