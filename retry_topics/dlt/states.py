"""What the journal says of the records of one partition of the dead-letter topic."""

from array import array
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from schemas.dlt_journal import (
    ClaimKey,
    EntryKey,
    EntryState,
    glimpse,
    parse_key,
    read_claim,
)
from schemas.errors import Undecodable

_PAGE_BITS: Final = 10
_PAGE: Final = 1 << _PAGE_BITS
_IN_PAGE: Final = _PAGE - 1
_STATE_BITS: Final = 3
_STATE_MASK: Final = (1 << _STATE_BITS) - 1


class RecordState(StrEnum):
    """What a record of the dead-letter topic is.

    `open` waits for somebody, `held` for a decision by `mailcascade held`, `taken` belongs to a job
    that has not replayed it yet. All others are settled: `replayed` and under way, `sent` or
    `dead_again` after that (then a later record stands for the mail), `ended` in another way,
    `discarded`.
    """

    OPEN = "open"
    HELD = "held"
    TAKEN = "taken"
    REPLAYED = "replayed"
    SENT = "sent"
    DEAD_AGAIN = "dead_again"
    ENDED = "ended"
    DISCARDED = "discarded"


#: Nobody has done anything about such a record.
UNSETTLED: Final = frozenset({RecordState.OPEN, RecordState.HELD, RecordState.TAKEN})

#: The states that entries have, by what is kept of them; nothing is 0.
_CODES: Final = {state: number for number, state in enumerate(EntryState, start=1)}
_STATES: Final = (RecordState.OPEN, *(RecordState(state.value) for state in EntryState))


class Standing(NamedTuple):
    """A record's state and the job that it is about, "" for none."""

    state: RecordState
    job: str


_OPEN: Final = Standing(RecordState.OPEN, "")


class LaneStates:
    """The states of one partition's records, in four bytes each, and who has claimed which.

    Fed with the partition of the journal in order, again and again as it grows. Owned by one
    thread. What the journal says of a dead-letter topic of another id is passed over.
    """

    def __init__(self, topic_id: str, partition: int) -> None:
        self._topic_id = topic_id
        self._partition = partition
        self._jobs: list[str] = [""]
        self._numbers = {"": 0}
        self._entries = _Offsets()
        self._claims: dict[bytes, tuple[int, Sequence[int]]] = {}
        self._claimed: _Offsets | None = None
        self._untouched = True
        self.unreadable = 0

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take in a record of the journal; one that cannot be read is counted."""
        parsed = parse_key(key)
        try:
            match parsed:
                case EntryKey(topic_id, (partition, offset)):
                    if topic_id == self._topic_id and partition == self._partition:
                        self._entries.put(offset, self._code(value))
                        self._untouched = False
                case ClaimKey() if key is not None:
                    self._claim(key, value)
                case _:
                    pass
        except Undecodable:
            self.unreadable += 1

    def of(self, offset: int) -> Standing:
        """Return what the record at an offset is; `held` is not the journal's to say."""
        if self._untouched:
            return _OPEN
        entry = self._entries.get(offset)
        owner = self._claims_by_offset().get(offset)
        if owner and owner != entry >> _STATE_BITS:
            return Standing(RecordState.TAKEN, self._jobs[owner])
        if not entry:
            return _OPEN
        return Standing(_STATES[entry & _STATE_MASK], self._jobs[entry >> _STATE_BITS])

    def is_untouched(self) -> bool:
        """Tell whether nothing was ever said of any record."""
        return self._untouched

    def left(self, job: str) -> "array[int]":
        """Return the offsets that belong to a job and that it has not settled, ascending."""
        number = self._numbers.get(job)
        found = array("q")
        if number is not None:
            for owner, offsets in self._claims.values():
                if owner == number:
                    found.extend(o for o in offsets if self._entries.get(o) >> _STATE_BITS != owner)
        return array("q", sorted(found))

    def claims(self, job: str) -> Iterator[bytes]:
        """Yield the keys of a job's claims in this partition."""
        number = self._numbers.get(job)
        return (key for key, (owner, _) in self._claims.items() if owner == number)

    def claimants(self) -> set[str]:
        """Return the jobs that have claims in this partition."""
        return {self._jobs[owner] for owner, _ in self._claims.values()}

    def _code(self, value: bytes | None) -> int:
        if value is None:
            return 0
        mark = glimpse(value)
        return self._number(mark.job) << _STATE_BITS | _CODES[mark.state]

    def _claim(self, key: bytes, value: bytes | None) -> None:
        self._claimed = None
        if value is None:
            self._claims.pop(key, None)
            return
        claim = read_claim(value)
        if claim.topic_id == self._topic_id:
            self._claims[key] = self._number(claim.job), claim.offsets
            self._untouched = False

    def _number(self, job: str) -> int:
        number = self._numbers.get(job)
        if number is None:
            number = self._numbers[job] = len(self._jobs)
            self._jobs.append(job)
        return number

    def _claims_by_offset(self) -> "_Offsets":
        claimed = self._claimed
        if claimed is None:
            claimed = self._claimed = _Offsets()
            for owner, offsets in self._claims.values():
                for offset in offsets:
                    claimed.put(offset, owner)
        return claimed


class _Offsets:
    """A number for each offset, 0 where none was put; pages are made where they are needed."""

    def __init__(self) -> None:
        self._pages: dict[int, array[int]] = {}

    def get(self, offset: int) -> int:
        page = self._pages.get(offset >> _PAGE_BITS)
        return 0 if page is None else page[offset & _IN_PAGE]

    def put(self, offset: int, number: int) -> None:
        page = self._pages.get(offset >> _PAGE_BITS)
        if page is None:
            if not number:
                return
            page = self._pages[offset >> _PAGE_BITS] = array("I", bytes(4 * _PAGE))
        page[offset & _IN_PAGE] = number
