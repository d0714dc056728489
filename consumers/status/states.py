"""In which state a mail is shown: one that may not be sent yet is `scheduled`, queued or not."""

from sqlalchemy import ColumnElement, and_, or_

from consumers.status.tables import MAILS
from schemas.mail_states import MailState


def shown_as(stored: MailState) -> frozenset[MailState]:
    """Return the states that mails of a stored state may be shown in."""
    if stored is MailState.QUEUED:
        return frozenset({MailState.QUEUED, MailState.SCHEDULED})
    return frozenset({stored})


def in_state(state: MailState, now: int) -> ColumnElement[bool]:
    """Return the condition that a mail is shown in a state."""
    waits = and_(MAILS.c.state == MailState.QUEUED.value, MAILS.c.not_before > now)
    if state is MailState.SCHEDULED:
        return or_(MAILS.c.state == state.value, waits)
    if state is MailState.QUEUED:
        begun = or_(MAILS.c.not_before.is_(None), MAILS.c.not_before <= now)
        return and_(MAILS.c.state == state.value, begun)
    return MAILS.c.state == state.value
