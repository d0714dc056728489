"""The record on the main topic that a letter becomes when it is replayed."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from retry_topics.dlt.letter import Letter
from retry_topics.headers import (
    ATTEMPT,
    DEAD_AT,
    DEAD_REASON,
    DEAD_TEXT,
    DUE_AT,
    GENERATION,
    HISTORY,
    REPLAY_COUNT,
    REPLAY_JOB,
    REPLAY_OF,
    STEP,
)
from retry_topics.topic_specs import MAIN_MESSAGE_BYTES
from retry_topics.topology import Topology
from runtime.kafka.partitioner import partition_of
from runtime.kafka.records import OutRecord
from runtime.kafka.sweep import Scanned
from schemas.identity import lane_key

_EVENT_ID: Final = "ce_id"
#: Written anew, or over with what was: attempts are cleared, the history is kept.
_REPLACED: Final = frozenset(
    {
        ATTEMPT,
        STEP,
        GENERATION,
        DUE_AT,
        DEAD_AT,
        DEAD_REASON,
        DEAD_TEXT,
        REPLAY_OF,
        REPLAY_JOB,
        REPLAY_COUNT,
    }
)
#: What a batch and a record have beside their parts, and lengths of headers, generously.
_OVERHEAD: Final = 512
_PER_HEADER: Final = 10


class TooLarge(ValueError):
    """The record does not fit into the main topic, even without its history."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A changed mail: its bytes, whom it is for, and its id where that is a new one."""

    value: bytes
    address: str
    new_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """The record, and the event and generation by which the ledger tells what becomes of it."""

    record: OutRecord
    event_id: bytes
    generation: int


def replayed(
    letter: Letter, message: Scanned, rewritten: Rewritten | None, job: str, topology: Topology
) -> Replayed:
    """Return the replayed record: on the main topic, in the lane of its recipient.

    Key, value and foreign headers stay as they are, the generation is one higher, attempts are
    cleared, the history of them is kept (but where the record would be too large with it), and what
    it is a replay of is told. Without a timestamp of its own it gets a fresh one, which retention
    counts from. The letter is decodable.

    Raises:
        TooLarge: the record would not fit.
    """
    about = letter.about
    if about is None:
        raise ValueError("a letter that is no event cannot be replayed")
    new_id = None if rewritten is None else rewritten.new_id
    generation = 0 if new_id is not None else letter.generation + 1
    headers = [item for item in message.headers if item[0] not in _REPLACED]
    if new_id is not None:
        headers = [_identified(item, new_id) for item in headers]
    headers += (
        (ATTEMPT, b"0"),
        (GENERATION, b"%d" % generation),
        (STEP, b"0"),
        (REPLAY_OF, str(letter.position).encode()),
        (REPLAY_JOB, job.encode()),
        (REPLAY_COUNT, b"%d" % (letter.replays + 1)),
    )
    value = message.value if rewritten is None else rewritten.value
    address = about.address if rewritten is None else rewritten.address
    key = letter.lane_key if address == about.address else lane_key(address)
    if not _fits(key, value, headers):
        headers = [item for item in headers if item[0] != HISTORY]
        if not _fits(key, value, headers):
            raise TooLarge(str(letter.position))
    number = partition_of(key, topology.partitions)
    event_id = about.event_id if new_id is None else new_id.bytes
    record = OutRecord(topology.main, key, value, tuple(headers), number)
    return Replayed(record, event_id, generation)


def _identified(header: tuple[str, bytes | None], new_id: UUID) -> tuple[str, bytes | None]:
    return (_EVENT_ID, str(new_id).encode()) if header[0] == _EVENT_ID else header


def _fits(key: bytes, value: bytes | None, headers: list[tuple[str, bytes | None]]) -> bool:
    size = len(key) + len(value or b"") + _OVERHEAD
    for name, text in headers:
        size += len(name) + _PER_HEADER
        if text:
            size += len(text)
    return size <= MAIN_MESSAGE_BYTES
