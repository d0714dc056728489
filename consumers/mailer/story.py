"""One log line for each turn that a mail takes other than out: the ids come with the task's lines.

Mails that are sent, or wait until they are due, have none: they are what a worker does all day.
What a relay said is not in it, for it may quote a recipient; the ledger has it.
"""

from typing import Final

from consumers.mailer.completion import Completion
from runtime.logs import get_logger
from schemas.instants import write_instant
from schemas.ledger import LedgerEntry
from schemas.mail_states import MailState

_log = get_logger("mailer")
#: States that are not worth a line.
UNTOLD: Final = frozenset({None, MailState.SENT, MailState.SENDING, MailState.SCHEDULED})
_LOUD: Final = frozenset({MailState.DEAD, MailState.HELD})
_WORDS: Final = ("template", "reason", "scope", "kind", "phase", "rule", "code", "enhanced")


def tell(completion: Completion) -> None:
    """Write the line of a completion whose state is told."""
    entry = completion.entry
    if entry is None:
        return
    write = _log.warning if entry.state in _LOUD else _log.info
    write(f"mail.{entry.state}", attempts=entry.attempts, **_fields(entry))


def _fields(entry: LedgerEntry) -> dict[str, str | int]:
    fields = {name: value for name in _WORDS if (value := getattr(entry, name))}
    if entry.generation:
        fields["generation"] = entry.generation
    if entry.due_at is not None:
        fields["due_at"] = write_instant(entry.due_at)
    return fields
