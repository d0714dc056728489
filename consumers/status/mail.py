"""One mail's row, and how each record about the mail changes it.

Every topic's records come in their order, but nothing orders the topics: an entry of the ledger may
come before the mail itself. So what a row becomes depends on each topic's order alone:

* a mail's first record on the main topic tells what it is; the ledger fills only what is empty;
* the last entry of the ledger tells the state, unless the main topic has a later generation: then
  the mail is queued again;
* the first cancellation counts that the mail's own tenant, or an operator, asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import msgspec

from consumers.status.changes import Accepted, CancelAsked, MailChange, Noted
from consumers.status.history import StoredItem, bound, read_history, write_history
from consumers.status.tables import MAILS, storable
from schemas.ledger import TEXT_CHARACTERS, LedgerEntry
from schemas.mail_states import MailState
from schemas.privacy import mask_addresses

#: Of so many tenants a mail keeps the demand to cancel it, until its own tenant is known.
_MOST_CANCELS: Final = 8


class _Cancel(msgspec.Struct, array_like=True, frozen=True):
    at: int
    by: str
    tenant: str


_CANCELS: Final = msgspec.json.Decoder(list[_Cancel])


@dataclass(slots=True)
class Mail:
    """A row of the view, field by field as `MAILS` has them."""

    event_id: bytes
    mail_id: str = ""
    lane: int = 0
    tenant: str = ""
    template: str = ""
    state: str = MailState.QUEUED.value
    generation: int = 0
    step: int = 0
    attempts: int = 0
    accepted_at: int | None = None
    updated_at: int = 0
    due_at: int | None = None
    not_before: int | None = None
    expires_at: int | None = None
    recipient: str = ""
    recipient_hash: bytes | None = None
    reason: str = ""
    text: str = ""
    code: int | None = None
    enhanced: str | None = None
    rule: str = ""
    cancel_requested_at: int | None = None
    cancel_requested_by: str = ""
    cancels: str = ""
    main_generation: int | None = None
    ledger_generation: int | None = None
    history: str = "[]"
    history_omitted: int = 0

    def apply(self, change: MailChange) -> None:
        """Change the row as a record says."""
        match change:
            case Noted():
                self._note(change)
            case Accepted():
                self._accept(change)
            case CancelAsked():
                self._ask(change)
        if self.cancels:
            self._resolve_cancels()

    def _accept(self, mail: Accepted) -> None:
        if self.main_generation is None:
            self.mail_id = mail.mail_id
            self.lane = mail.lane
            self.tenant = mail.tenant or self.tenant
            self.template = mail.template or self.template
            self.accepted_at = mail.accepted_at
            self.not_before = mail.not_before
            self.expires_at = mail.expires_at
            self.recipient = mail.recipient
            self.recipient_hash = mail.recipient_hash
        elif mail.generation <= self.main_generation:
            return
        self.main_generation = mail.generation
        if self.ledger_generation is None or mail.generation > self.ledger_generation:
            self._queue(mail)

    def _queue(self, mail: Accepted) -> None:
        self.state = MailState.QUEUED.value
        self.generation = mail.generation
        self.updated_at = mail.at
        self.step = self.attempts = 0
        self.due_at = self.code = self.enhanced = None
        self.reason = self.text = self.rule = ""

    def _note(self, noted: Noted) -> None:
        entry = noted.entry
        item = _item(entry)
        items = read_history(self.history)
        items.append(item)
        self.history_omitted += bound(items)
        self.history = write_history(items)
        self.tenant = self.tenant or storable(entry.tenant)
        self.template = self.template or storable(entry.template)
        if self.ledger_generation is None or entry.generation > self.ledger_generation:
            self.ledger_generation = entry.generation
        if self.main_generation is None:
            self.lane = noted.lane
        elif self.main_generation > self.ledger_generation:
            return
        self.state = item.state
        self.generation = entry.generation
        self.step = entry.step
        self.attempts = entry.attempts
        self.updated_at = entry.at
        self.due_at = entry.due_at
        self.reason, self.text, self.rule = item.reason, item.text, item.rule
        self.code, self.enhanced = item.code, item.enhanced

    def _ask(self, asked: CancelAsked) -> None:
        cancels = _CANCELS.decode(self.cancels) if self.cancels else []
        known = any(cancel.tenant == asked.tenant for cancel in cancels)
        if not known and len(cancels) < _MOST_CANCELS:
            cancels.append(_Cancel(asked.at, asked.by, asked.tenant))
            self.cancels = msgspec.json.encode(cancels).decode()
        if self.main_generation is None and self.ledger_generation is None:
            self.lane = asked.lane
            self.updated_at = asked.at

    def _resolve_cancels(self) -> None:
        self.cancel_requested_at, self.cancel_requested_by = None, ""
        for cancel in _CANCELS.decode(self.cancels):
            if not cancel.tenant or cancel.tenant == self.tenant:
                self.cancel_requested_at, self.cancel_requested_by = cancel.at, cancel.by
                return


#: A mail's values in the order of the columns.
row_of: Final[Callable[[Mail], tuple[object, ...]]] = attrgetter(*MAILS.columns.keys())


def mail_of(row: Sequence[Any]) -> Mail:
    """Return the mail in a row that was read in the order of the columns."""
    return Mail(*row)


def _item(entry: LedgerEntry) -> StoredItem:
    return StoredItem(
        entry.at,
        entry.state.value,
        entry.generation,
        entry.attempts,
        entry.due_at,
        storable(entry.worker),
        storable(entry.reason),
        storable(mask_addresses(entry.text)[:TEXT_CHARACTERS]),
        storable(entry.phase),
        storable(entry.rule),
        entry.code,
        None if entry.enhanced is None else storable(entry.enhanced),
    )
