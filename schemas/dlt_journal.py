"""What is kept of the dead-letter topic's records: what became of each, and whose they are.

The journal topic has three kinds of records, told apart by their keys:

* ``entry/<topic id>/<partition>/<offset>``: an entry, what became of that record (`DltEntry`);
* ``claim/<job>/<partition>/<number>``: records that belong to a job (`Claim`);
* ``job/<job>``: the job itself (`schemas.replay_jobs`).

Without an entry and a claim a record is open. A record without a value takes its key's back.
"""

import sys
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from schemas.body import write_long, write_string
from schemas.errors import Undecodable
from schemas.framing import HEADER_BYTES, framing

ENTRY: Final = "dlt_entry"
CLAIM: Final = "dlt_claim"
NO_EVENT: Final = bytes(16)
_ENTRY_KEY: Final = b"entry/"
_CLAIM_KEY: Final = b"claim/"
_JOB_KEY: Final = b"job/"
_OFFSET_BYTES: Final = 8
_MOST_CLAIMED: Final = 10_000_000


class EntryState(StrEnum):
    """What became of a record. `ended`: over without being sent or dead; the reason says how."""

    REPLAYED = "replayed"
    SENT = "sent"
    DEAD_AGAIN = "dead_again"
    ENDED = "ended"
    DISCARDED = "discarded"


_SYMBOLS: Final = ("unknown", *EntryState)
_STATE_LONGS: Final = {symbol: write_long(number) for number, symbol in enumerate(_SYMBOLS)}


class Position(NamedTuple):
    """A record of the dead-letter topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


def parse_position(text: str) -> Position:
    """Return the position in a text such as `3:1204`.

    Raises:
        ValueError: the text is none.
    """
    partition, colon, offset = text.partition(":")
    if not (colon and _plain(partition) and _plain(offset)):
        raise ValueError(f"{text!r} is no position; write partition:offset, such as 3:1204")
    return Position(int(partition), int(offset))


class DltEntry(NamedTuple):
    """What became of a record. `event_id` and `generation` are those that the replay wrote."""

    state: EntryState
    generation: int
    job: str
    event_id: bytes
    at: int
    by: str = ""
    reason: str = ""


class Mark(NamedTuple):
    """What is kept of an entry in memory."""

    state: EntryState
    generation: int
    job: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Offsets of one partition, ascending, that belong to a job."""

    job: str
    topic_id: str
    offsets: Sequence[int]


class EntryKey(NamedTuple):
    """The key of an entry, taken apart."""

    topic_id: str
    position: Position


class ClaimKey(NamedTuple):
    """The key of a claim, taken apart."""

    job: str
    partition: int
    number: int


class JobKey(NamedTuple):
    """The key of a job, taken apart."""

    job: str


def entry_key(topic_id: str, position: Position) -> bytes:
    """Return the key of a record's entry."""
    return b"%b%b/%d/%d" % (_ENTRY_KEY, topic_id.encode(), position.partition, position.offset)


def claim_key(job: str, partition: int, number: int) -> bytes:
    """Return the key of a job's claim; one partition can have several, numbered from 0."""
    return b"%b%b/%d/%d" % (_CLAIM_KEY, job.encode(), partition, number)


def job_key(job: str) -> bytes:
    """Return the key of a job."""
    return _JOB_KEY + job.encode()


def parse_key(key: bytes | None) -> EntryKey | ClaimKey | JobKey | None:
    """Return what a key of the journal means; None where it means nothing."""
    if key is None:
        return None
    try:
        if key.startswith(_JOB_KEY):
            return JobKey(key[len(_JOB_KEY) :].decode())
        if key.startswith(_CLAIM_KEY):
            _, job, partition, number = key.decode().split("/")
            return ClaimKey(job, int(partition), int(number))
        if not key.startswith(_ENTRY_KEY):
            return None
        # A topic's id is in base64, of which a slash is a letter.
        topic_id, partition, offset = key[len(_ENTRY_KEY) :].decode().rsplit("/", 2)
        return EntryKey(topic_id, Position(int(partition), int(offset)))
    except ValueError:
        return None


def write_dlt_entry(entry: DltEntry) -> bytes:
    """Return the entry as the journal holds it.

    It follows `avro/dlt_entry.v1.avsc` field by field, in a fraction of a general writer's time.
    """
    head = _head(entry.state, entry.generation, entry.job)
    return head + entry.event_id + _tail(entry.at, entry.by, entry.reason)


# The entries of one batch differ in little but the event id.


@lru_cache(maxsize=256)
def _head(state: EntryState, generation: int, job: str) -> bytes:
    parts = (_STATE_LONGS[state], write_long(generation), write_string(job))
    return framing(ENTRY).header + b"".join(parts)


@lru_cache(maxsize=256)
def _tail(at: int, by: str, reason: str) -> bytes:
    return b"".join((write_long(at), write_string(by), write_string(reason)))


def read_dlt_entry(value: bytes | None) -> DltEntry:
    """Return the entry in a value.

    Raises:
        Undecodable: the bytes are no entry, or of a state that this release does not know.
    """
    fields = framing(ENTRY).read(value)
    if fields["state"] == "unknown":
        raise Undecodable("the entry's state is none that this release knows")
    fields["state"] = EntryState(fields["state"])
    return DltEntry(**fields)


def glimpse(value: bytes) -> Mark:
    """Return what is kept of an entry in memory, without reading the rest of it.

    Raises:
        Undecodable: as `read_dlt_entry`.
    """
    if value.startswith(framing(ENTRY).header):
        try:
            state, generation, size = value[HEADER_BYTES : HEADER_BYTES + 3]
            if not (state | generation | size) & 0x81:
                at = HEADER_BYTES + 3
                job = value[at : at + (size >> 1)].decode()
                return Mark(EntryState(_SYMBOLS[state >> 1]), generation >> 1, job)
        except (ValueError, IndexError):
            # Cut short, or of an unknown state: the reader below says so.
            pass
    entry = read_dlt_entry(value)
    return Mark(entry.state, entry.generation, entry.job)


def write_claim(claim: Claim) -> bytes:
    """Return the claim as the journal holds it; it has at least one offset."""
    offsets = claim.offsets
    gaps = _little_endian(array("Q", [later - offset for offset, later in pairwise(offsets)]))
    fields = {
        "job": claim.job,
        "topic_id": claim.topic_id,
        "count": len(offsets),
        "first": offsets[0],
        "gaps": zlib.compress(gaps.tobytes()),
    }
    return framing(CLAIM).write(fields)


def read_claim(value: bytes | None) -> Claim:
    """Return the claim in a value.

    Raises:
        Undecodable: the bytes are no claim.
    """
    fields = framing(CLAIM).read(value)
    count, first = fields["count"], fields["first"]
    if not 0 < count <= _MOST_CLAIMED or first < 0:
        raise Undecodable(f"a claim of {count} records from {first} cannot be")
    most = _OFFSET_BYTES * (count - 1)
    gaps = array("Q")
    try:
        inflater = zlib.decompressobj()
        raw = inflater.decompress(fields["gaps"], most + 1)
        if len(raw) != most:
            raise Undecodable("the claim does not hold as many records as it says")
        gaps.frombytes(raw)
        offsets = array("q", accumulate(_little_endian(gaps), initial=first))
    except (zlib.error, OverflowError) as error:
        raise Undecodable(f"the claim's offsets cannot be read: {error}") from error
    return Claim(fields["job"], fields["topic_id"], offsets)


def _little_endian(numbers: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _plain(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
