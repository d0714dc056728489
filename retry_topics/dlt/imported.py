"""The rows of an imported file that a job replays, as the journal has them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from retry_topics.dlt.archive import Archive
from retry_topics.dlt.journal import Scribe
from runtime.kafka.records import OutRecord
from runtime.kafka.topics import Span
from schemas.codec import EventCodec
from schemas.dlt_journal import Position
from schemas.dlt_rows import Rows, read_rows, rows_prefix
from schemas.errors import Undecodable
from schemas.events import SignupEvent

#: What one record of the journal holds at most: rows, and bytes of their events.
_MOST_ROWS: Final = 5_000
_MOST_BYTES: Final = 400_000


class Imported:
    """What a job replays, and as what. Fed with the journal, lane by lane; owned by one thread."""

    def __init__(self, job: str, topic_id: str, codec: EventCodec) -> None:
        self._prefix = rows_prefix(job)
        self._topic_id = topic_id
        self._codec = codec
        self._events: dict[int, dict[int, bytes]] = {}
        self._records: dict[bytes, tuple[int, Sequence[int]]] = {}

    def apply(self, partition: int, key: bytes | None, value: bytes | None) -> None:
        """Take in a record of the journal; what is not about the job is passed over."""
        if key is None or not key.startswith(self._prefix):
            return
        self._forget(key)
        if value is None:
            return
        try:
            rows = read_rows(value)
        except Undecodable:
            return
        self._records[key] = partition, rows.offsets
        if rows.topic_id == self._topic_id:
            lane = self._events.setdefault(partition, {})
            lane.update(zip(rows.offsets, rows.events, strict=True))

    def _forget(self, key: bytes) -> None:
        partition, offsets = self._records.pop(key, (0, ()))
        for offset in offsets:
            self._events.get(partition, {}).pop(offset, None)

    def spans(self) -> Mapping[int, Span]:
        """Return from where to where the rows of the lanes that have some reach."""
        return {
            lane: Span(min(offsets), max(offsets) + 1)
            for lane, offsets in self._events.items()
            if offsets
        }

    def has(self, position: Position) -> bool:
        """Tell whether there is a row for a record."""
        return position.offset in self._events.get(position.partition, ())

    def event(self, position: Position) -> SignupEvent | None:
        """Return the event that goes out in a record's place, None for the one that it has."""
        value = self._events.get(position.partition, {}).get(position.offset)
        return self._codec.decode(value) if value else None

    def releases(self, scribe: Scribe) -> Iterator[OutRecord]:
        """Yield what takes the rows out of the journal."""
        return (scribe.release(key, partition) for key, (partition, _) in self._records.items())


def read_imported(archive: Archive, job: str) -> Imported:
    """Return the rows that a job from a file replays.

    Raises:
        KafkaFault: the journal cannot be read.
    """
    topic = archive.topology.dlt_journal
    imported = Imported(job, archive.topic_id, archive.codec)
    for number, messages in archive.log.read(topic, archive.log.spans(topic)):
        for key, value, _ in messages:
            imported.apply(number, key, value)
    return imported


def row_records(
    scribe: Scribe, job: str, rows: Mapping[int, Mapping[int, bytes]]
) -> Iterator[OutRecord]:
    """Yield what puts rows into the journal; `rows` are events by partition and offset."""
    for partition, lane in sorted(rows.items()):
        for number, offsets in enumerate(_chunks(lane)):
            chunk = Rows(job, scribe.topic_id, offsets, [lane[offset] for offset in offsets])
            yield scribe.rows(chunk, partition, number)


def _chunks(lane: Mapping[int, bytes]) -> Iterator[list[int]]:
    """Yield the ascending offsets of a lane, as many at once as one record holds."""
    chunk: list[int] = []
    size = 0
    for offset, event in sorted(lane.items()):
        if chunk and (len(chunk) >= _MOST_ROWS or size + len(event) > _MOST_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(offset)
        size += len(event)
    if chunk:
        yield chunk
