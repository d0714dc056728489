"""What a tenant is told of its mails: everything but which operator did something, and why."""

from dataclasses import replace
from typing import Final, TypeVar

from consumers.status.letters import LetterState, LetterStatus
from consumers.status.reader import HistoryItem, MailStatus
from schemas.mail_states import MailState

#: Who asks, in a command that came over HTTP.
BY_API: Final = "api"
#: States in which the entry's reason is who asked for it, and its text why.
_DEMANDED: Final = frozenset({MailState.CANCELLED, MailState.DISCARDED})

Told = TypeVar("Told", MailStatus, HistoryItem)


def for_tenant(mail: MailStatus) -> MailStatus:
    """Return a mail as its tenant may see it."""
    letters = tuple(map(_letter, mail.letters))
    return replace(
        _impersonal(mail), letters=letters, history=tuple(map(_impersonal, mail.history))
    )


def _impersonal(told: Told) -> Told:
    if told.state not in _DEMANDED or told.reason == BY_API:
        return told
    return replace(told, reason="", text="")


def _letter(letter: LetterStatus) -> LetterStatus:
    # Of one that ended otherwise, the reason is in which way.
    reason = letter.reason if letter.state is LetterState.ENDED else ""
    return replace(letter, by="", reason=reason)
