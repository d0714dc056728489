"""Which recipients are suppressed, out of the topic's records, and which stand in a wrong lane.

The newest record of a recipient counts, and a record without a value lifts the suppression. With
more partitions a recipient's lane may be another one: its suppression is then moved there, and only
there it counts for the workers. What is left behind is taken away with a record without a value,
so such a record says nothing about a recipient except in the recipient's own lane.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from runtime.kafka.partitioner import partition_of
from runtime.kafka.records import OutRecord, Record
from schemas.errors import Undecodable
from schemas.identity import LANE_KEY_BYTES
from schemas.instants import parse_instant, write_instant
from schemas.privacy import ADDRESS_HASH_BYTES
from schemas.suppressions import Suppression, read_suppression, write_suppression


@dataclass(frozen=True, slots=True)
class Suppressed:
    """One suppressed recipient, by the hash of its address."""

    address_hash: bytes
    suppression: Suppression


@dataclass(frozen=True, slots=True)
class Survey:
    """What the topic holds. `unreadable` counts records that are no suppression.

    `moves` put suppressions into their lanes, `removals` take them out of others; the moves must be
    written before the removals.
    """

    suppressed: tuple[Suppressed, ...]
    moves: tuple[OutRecord, ...]
    removals: tuple[OutRecord, ...]
    unreadable: int


class _Standing(msgspec.Struct, frozen=True):
    """The newest record of a recipient in one partition."""

    partition: int
    timestamp_ms: int
    suppression: Suppression | None
    value: bytes | None


def survey(records: Iterable[Record], topic: str, partitions: int) -> Survey:
    """Return what the records of the topic say; each partition's come in order."""
    newest: dict[bytes, dict[int, _Standing]] = defaultdict(dict)
    unreadable = 0
    for record in records:
        try:
            suppression = None if record.value is None else read_suppression(record.value)
        except Undecodable:
            unreadable += 1
            continue
        newest[record.key or b""][record.partition] = _Standing(
            record.partition, record.timestamp_ms, suppression, record.value
        )
    suppressed: list[Suppressed] = []
    moves: list[OutRecord] = []
    removals: list[OutRecord] = []
    for key, by_partition in newest.items():
        lane = _lane(by_partition.values(), partitions)
        if lane is None:
            continue
        misplaced = [s for s in by_partition.values() if s.suppression and s.partition != lane]
        removals += [OutRecord(topic, key, None, (), standing.partition) for standing in misplaced]
        own = [by_partition[lane]] if lane in by_partition else []
        counts = max(misplaced + own, key=lambda s: (s.timestamp_ms, s.partition == lane))
        if counts.suppression is not None:
            suppressed.append(Suppressed(key, counts.suppression))
            if counts.partition != lane:
                moves.append(OutRecord(topic, key, counts.value, (), lane))
    suppressed.sort(key=lambda one: (one.suppression.at, one.address_hash))
    return Survey(tuple(suppressed), tuple(moves), tuple(removals), unreadable)


def _lane(standings: Iterable[_Standing], partitions: int) -> int | None:
    """Return the lane of a recipient, None where no record says it: then none is suppressed."""
    keys = (s.suppression.lane_key for s in standings if s.suppression is not None)
    key = next(keys, None)
    return None if key is None else partition_of(key, partitions)


def to_json(suppressed: Sequence[Suppressed]) -> str:
    """Return suppressions as JSON that `from_json` reads; no address can be told from it."""
    rows = [
        {
            "address_hash": one.address_hash.hex(),
            "lane_key": one.suppression.lane_key.hex(),
            "masked": one.suppression.masked,
            "at": write_instant(one.suppression.at),
            "reason": one.suppression.reason,
            "by": one.suppression.by,
        }
        for one in suppressed
    ]
    return msgspec.json.format(msgspec.json.encode(rows)).decode()


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    address_hash: str
    lane_key: str
    masked: str
    at: str
    reason: str = ""
    by: str = ""


_ROWS: Final[Any] = msgspec.json.Decoder(list[_Row])


def from_json(text: str) -> list[Suppressed]:
    """Return the suppressions in a text that `to_json` made.

    Raises:
        ValueError: it holds something else; the message says what.
    """
    rows: list[_Row] = _ROWS.decode(text)
    return [_suppressed(row, number) for number, row in enumerate(rows, start=1)]


def _suppressed(row: _Row, number: int) -> Suppressed:
    try:
        address_hash, key = bytes.fromhex(row.address_hash), bytes.fromhex(row.lane_key)
        if len(address_hash) != ADDRESS_HASH_BYTES or len(key) != LANE_KEY_BYTES:
            raise ValueError("address_hash has 32 hexadecimal digits, lane_key has 8")
        at = parse_instant(row.at)
    except ValueError as error:
        raise ValueError(f"suppression {number} cannot be read: {error}") from error
    return Suppressed(address_hash, Suppression(key, row.masked, at, row.reason, row.by))


def to_record(one: Suppressed, topic: str, partitions: int) -> OutRecord:
    """Return the record that keeps a suppression in its recipient's lane."""
    lane = partition_of(one.suppression.lane_key, partitions)
    return OutRecord(topic, one.address_hash, write_suppression(one.suppression), (), lane)
