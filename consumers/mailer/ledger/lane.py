"""What the worker knows of one lane's mails: the stored ledger, and what is not committed yet.

Owned by the event loop, except the store, which the committer writes. A completion counts for later
records from the moment it is made; should it never be committed, the lane is given up with it.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from consumers.mailer.completion import Change, Completion, SuppressionChange
from consumers.mailer.ledger.store import Changes
from schemas.control import ControlCommand
from schemas.ledger import Standing
from schemas.mail_states import MailState

#: Looked up once: of an enumeration, members are found slowly.
_SENT: Final = MailState.SENT
#: One record of a mail: event id, generation, step.
RecordKey = tuple[bytes, int, int]


class Store(Protocol):
    """The stored part; see `consumers.mailer.ledger.store.LaneStore`."""

    def get(self, event_id: bytes) -> Standing | None: ...
    def suppression(self, address_hash: bytes) -> bool: ...
    def size(self) -> tuple[int, int]: ...
    def apply(self, changes: Changes) -> None: ...
    def prune(self, today: int) -> None: ...
    def close(self) -> None: ...


class Acceptances(Protocol):
    """Where acceptances are written down at once; see `consumers.mailer.ledger.journal`."""

    def append(
        self, lane: int, event_id: bytes, generation: int, step: int, reply: str
    ) -> None: ...
    def settled(self, lane: int, keys: Sequence[RecordKey]) -> None: ...


class LaneLedger:
    """One lane in one assignment. Made when its store is restored, closed when the lane goes."""

    def __init__(
        self,
        lane: int,
        store: Store,
        journal: Acceptances | None,
        accepted: Mapping[RecordKey, str],
    ) -> None:
        """`accepted` are the acceptances that journals of this host tell of."""
        self.lane = lane
        self.store = store
        #: Set once nobody is to use the ledger any more.
        self.gone = False
        self._journal = journal
        self._accepted = dict(accepted)
        self._changes: dict[bytes, Standing] = {}
        self._suppressions: dict[bytes, bool] = {}
        self._wanted: dict[bytes, ControlCommand] = {}

    def standing(self, event_id: bytes) -> Standing | None:
        """Return how a mail stands, None where the ledger does not know it."""
        return self._changes.get(event_id) or self.store.get(event_id)

    def is_suppressed(self, address_hash: bytes) -> bool:
        """Tell whether a recipient gets no more mail."""
        known = self._suppressions.get(address_hash)
        return self.store.suppression(address_hash) if known is None else known

    def made(self, completion: Completion) -> None:
        """Take note of what a record caused; it will be committed."""
        change, suppression = completion.change, completion.suppression
        if change is not None:
            self._changes[change.event_id] = change.standing
        if suppression is not None:
            self._suppressions[suppression.address_hash] = suppression.suppressed

    def committed(
        self, changes: Sequence[Change], suppressions: Sequence[SuppressionChange]
    ) -> None:
        """Forget what the store has by now."""
        done = []
        for change in changes:
            if self._changes.get(change.event_id) is change.standing:
                del self._changes[change.event_id]
            if change.standing.state is _SENT:
                standing = change.standing
                done.append((change.event_id, standing.generation, standing.step))
        for suppression in suppressions:
            if self._suppressions.get(suppression.address_hash) is suppression.suppressed:
                del self._suppressions[suppression.address_hash]
        if done and self._journal is not None:
            self._journal.settled(self.lane, done)

    def note_acceptance(self, key: RecordKey, reply: str) -> None:
        """Write down that the relay took a mail, before anything else happens."""
        if self._journal is not None:
            self._journal.append(self.lane, *key, reply)

    def accepted_before(self, key: RecordKey) -> str | None:
        """Return the relay's reply where a journal tells that this very record was accepted."""
        return self._accepted.get(key) if self._accepted else None

    def want(self, event_id: bytes, command: ControlCommand) -> None:
        """Take note of a demand that has come but not had its turn."""
        self._wanted[event_id] = command

    def wanted(self, event_id: bytes) -> ControlCommand | None:
        """Return the demand for a mail that has come but not had its turn."""
        return self._wanted.get(event_id)

    def forget_want(self, event_id: bytes) -> None:
        """The demand had its turn."""
        self._wanted.pop(event_id, None)
