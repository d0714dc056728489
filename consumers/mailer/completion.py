"""Everything that the end of one record causes, to be made durable in one transaction."""

from msgspec import Struct

from runtime.kafka.records import OutRecord, Partition
from schemas.ledger import LedgerEntry, Standing
from schemas.mail_states import MailState


class Change(Struct, frozen=True, gc=False):
    """A mail stands differently once its entry is committed; `event_id` has the UUID's 16 bytes."""

    event_id: bytes
    standing: Standing


class SuppressionChange(Struct, frozen=True, gc=False):
    """A recipient is suppressed, or is not any more, once its record is committed."""

    address_hash: bytes
    suppressed: bool


class Completion(Struct):
    """A record is finished here: its offset may be committed together with what it causes.

    `records` are the ledger's entry, the forward, a suppression. Where it changes nothing that is
    kept, its record cannot be told when it is read again, so what it causes waits for its offset.
    `entry` is what the ledger's record says. `made` orders the completions of a worker, since one
    mail's come from several partitions; the poll thread sets it when it hears of the end. Nothing
    else changes, but for the headers of `records` where traces are made.
    """

    source: Partition
    offset: int
    records: tuple[OutRecord, ...] = ()
    change: Change | None = None
    suppression: SuppressionChange | None = None
    made: int = 0
    entry: LedgerEntry | None = None

    @property
    def ahead(self) -> bool:
        """Tell whether its records may be committed before its offset."""
        return self.change is not None or self.suppression is not None

    @property
    def state(self) -> MailState | None:
        """The state that the mail is in, None where nothing about it changed."""
        return self.change.standing.state if self.change else None
