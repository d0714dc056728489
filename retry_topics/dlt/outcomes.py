"""What becomes of replayed mails, as the ledger tells it while a job runs."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from schemas.dlt_journal import EntryState, Position
from schemas.ledger import Standing
from schemas.mail_states import SETTLED, MailState


class Outcome(StrEnum):
    """What is heard of a replayed mail. `retrying`: an attempt failed, and another one comes."""

    SENT = "sent"
    DEAD_AGAIN = "dead_again"
    ENDED = "ended"
    RETRYING = "retrying"


_ENTRIES: Final = {
    Outcome.SENT: EntryState.SENT,
    Outcome.DEAD_AGAIN: EntryState.DEAD_AGAIN,
    Outcome.ENDED: EntryState.ENDED,
}


class Awaited(NamedTuple):
    """A replayed mail whose end is not known yet."""

    position: Position
    generation: int


@dataclass(frozen=True, slots=True)
class Settled:
    """How a replayed mail ended. `how` is the ledger's word where it was neither sent nor dead."""

    position: Position
    event_id: bytes
    generation: int
    state: EntryState
    how: str


def outcome_of(standing: Standing, generation: int) -> Outcome | None:
    """Return what the ledger's word on a mail means for its replay as this generation.

    An entry of an earlier generation means something only if the mail is over by it for good: then
    the workers drop the replayed record.
    """
    if standing.generation < generation:
        return Outcome.ENDED if standing.state in SETTLED else None
    match standing.state:
        case MailState.SENT:
            return Outcome.SENT
        case MailState.DEAD:
            return Outcome.DEAD_AGAIN
        case MailState.RETRY:
            return Outcome.RETRYING
        case MailState.QUEUED | MailState.SCHEDULED | MailState.SENDING:
            return None
        case _:
            return Outcome.ENDED


class Outcomes:
    """Waits for the ends of replayed mails, some 250 bytes for each. Owned by one thread."""

    def __init__(self) -> None:
        self._awaited: dict[bytes, Awaited] = {}
        self._failing: set[bytes] = set()
        self._ended: Counter[Outcome] = Counter()
        self._failed_once = 0

    def expect(self, event_id: bytes, awaited: Awaited) -> None:
        """Wait for a mail that is about to be replayed."""
        self._awaited[event_id] = awaited

    def forget(self, event_ids: Iterable[bytes]) -> None:
        """Wait no longer for mails that were not replayed after all."""
        for event_id in event_ids:
            self._awaited.pop(event_id, None)

    def hear(self, event_id: bytes, standing: Standing) -> Settled | None:
        """Take in an entry of the ledger; return how its mail ended, if it is ours and did."""
        awaited = self._awaited.get(event_id)
        if awaited is None:
            return None
        outcome = outcome_of(standing, awaited.generation)
        if outcome is None:
            return None
        if outcome is Outcome.RETRYING:
            self._fail(event_id)
            return None
        if outcome is Outcome.DEAD_AGAIN:
            self._fail(event_id)
        self._ended[outcome] += 1
        self._failing.discard(event_id)
        del self._awaited[event_id]
        how = "" if outcome is not Outcome.ENDED else standing.state.value
        position, generation = awaited
        return Settled(position, event_id, generation, _ENTRIES[outcome], how)

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """How many ended how, and how many had a failed attempt and may have another."""
        return {**self._ended, Outcome.RETRYING: len(self._failing)}

    @property
    def silent(self) -> int:
        """How many were replayed of which nothing was heard yet."""
        return len(self._awaited) - len(self._failing)

    @property
    def open(self) -> int:
        """How many have not ended."""
        return len(self._awaited)

    @property
    def heard(self) -> int:
        """Of how many something was heard."""
        return sum(self._ended.values()) + len(self._failing)

    @property
    def failing_share(self) -> float:
        """The share, of those of which something was heard, that had a failed attempt."""
        return self._failed_once / self.heard if self.heard else 0.0

    def awaited(self) -> Mapping[bytes, Awaited]:
        """Return the mails whose end is not known yet, by their event ids."""
        return self._awaited

    def _fail(self, event_id: bytes) -> None:
        if event_id not in self._failing:
            self._failing.add(event_id)
            self._failed_once += 1
