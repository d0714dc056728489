"""What is asked of a lane: cancel or discard a mail, suppress a recipient or lift that.

A demand has two moments. When it comes, it stops the mail if that is in hand and not on the wire.
When its turn comes, after the records of the same recipient that came before it, it decides about
a mail that nobody has in hand.
"""

from collections.abc import Callable
from typing import assert_never
from uuid import UUID

from msgspec import structs

from consumers.mailer.completion import Completion
from consumers.mailer.endings import Endings
from consumers.mailer.job import Job
from runtime.logs import get_logger
from schemas.control import ControlAction, ControlCommand, read_command
from schemas.errors import Undecodable
from schemas.ledger import NOBODY, Standing, owner_of
from schemas.mail_states import PARKED, SETTLED, MailState

_log = get_logger("commands")


def cancels(command: ControlCommand, standing: Standing | None) -> Standing | None:
    """Return how a mail stands after a demand, None where the demand changes nothing.

    A mail that was never touched is cancelled before it comes; until then nobody knows whose it is,
    so that a second tenant's demand, or the operator's, makes it count for whoever it is. One whose
    end is in doubt is not cancelled: it will be held for a person. A tenant can cancel only what is
    its own.
    """
    owner = owner_of(command.tenant)
    if standing is None:
        cancelled = Standing(MailState.CANCELLED, 0, 0, 0, owner)
        return cancelled if command.action is ControlAction.CANCEL else None
    untouched = standing.state is MailState.CANCELLED and standing.owner not in (NOBODY, owner)
    if untouched and command.action is ControlAction.CANCEL:
        return structs.replace(standing, owner=NOBODY)
    foreign = owner != NOBODY and standing.owner not in (NOBODY, owner)
    if foreign or standing.state in SETTLED or standing.state is MailState.SENDING:
        return None
    if command.action is ControlAction.DISCARD:
        ends = standing.state in PARKED
        return structs.replace(standing, state=MailState.DISCARDED) if ends else None
    return structs.replace(standing, state=MailState.CANCELLED)


class Commands:
    """Obeys the records of the control topic. Lives on the event loop."""

    def __init__(self, endings: Endings) -> None:
        self._endings = endings

    def announced(self, job: Job) -> Callable[[Job], bool] | None:
        """Take note of a demand that came; return which jobs it stops, None for none at all."""
        command = _read(job)
        if command is None or command.action is not ControlAction.CANCEL:
            return None
        event_id = _event_id(command)
        if event_id is None:
            return None
        job.ledger.want(event_id, command)
        return lambda other: (
            other.subject is not None
            and other.subject.event_id == event_id
            and may_stop(command, other.subject.owner)
        )

    def process(self, job: Job) -> Completion:
        """Return what a demand causes once its turn has come."""
        command = _read(job)
        if command is None:
            return self._endings.dropped(job)
        match command.action:
            case ControlAction.CANCEL | ControlAction.DISCARD:
                return self._decide(job, command)
            case ControlAction.SUPPRESS:
                record, change = self._endings.suppression(
                    job, command.address or "", command.reason, command.by
                )
            case ControlAction.UNSUPPRESS:
                record, change = self._endings.no_suppression(job, command.address or "")
            case _:
                assert_never(command.action)
        return Completion(job.source, job.record.offset, (record,), suppression=change)

    def _decide(self, job: Job, command: ControlCommand) -> Completion:
        event_id = _event_id(command)
        if event_id is None:
            return self._endings.dropped(job)
        job.ledger.forget_want(event_id)
        standing = cancels(command, job.ledger.standing(event_id))
        if standing is None:
            return self._endings.dropped(job)
        return self._endings.commanded(job, event_id, standing, command)


def may_stop(command: ControlCommand, owner: bytes) -> bool:
    """Tell whether whoever asks may stop a mail of this owner."""
    return owner_of(command.tenant) in (NOBODY, owner)


def _read(job: Job) -> ControlCommand | None:
    try:
        return read_command(job.record.value)
    except Undecodable as error:
        _log.warning("command.undecodable", offset=job.record.offset, reason=str(error))
        return None


def _event_id(command: ControlCommand) -> bytes | None:
    try:
        return UUID(command.event_id or "").bytes
    except ValueError:
        _log.warning("command.without_mail", action=command.action)
        return None
