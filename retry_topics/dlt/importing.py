"""Checks the rows of a corrected file against the dead-letter topic, all of them before any counts.

A row names its record by its position, and may have another template, recipient, locale, data,
`not_before` or `expires_at` in its event. Everything else in it is for reading only.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from retry_topics.dlt.archive import Archive
from retry_topics.dlt.edit import Editor, EditRefused, encode_like, event_from
from runtime.kafka.sweep import Scanned
from schemas.codec import EventCodec, encode
from schemas.dlt_journal import Position
from schemas.errors import Undecodable
from schemas.events import SignupEvent

#: What is kept in memory of one import: rows, and bytes of changed events; more is refused.
MOST_ROWS: Final = 500_000
MOST_BYTES: Final = 64 * 2**20
#: The largest changed event, in bytes: the journal must take it.
MOST_EVENT_BYTES: Final = 1_000_000
#: Rows that are compared at once, and problems that are told at most.
_CHUNK: Final = 1_000
_TOLD: Final = 20


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: its line (from 1), and what it says.

    `event` are the fields of `retry_topics.dlt.edit.event_fields`, None where there is no event;
    `value` the record's bytes, None where the row does not have them.
    """

    line: int
    position: Position
    event: Mapping[str, object] | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line that is no row, and why."""

    line: int
    reason: str


class ImportRefused(ValueError):
    """The file cannot be used; the message has a line for each row that is wrong, or the first."""

    def __init__(self, problems: Sequence[str]) -> None:
        more = "\nand maybe more; nothing was written" if len(problems) >= _TOLD else ""
        super().__init__("\n".join(problems) + (more or "\nnothing was written"))


@dataclass(slots=True)
class CheckedRows:
    """The events that go out, by partition and offset: b"" for those that go out as they are."""

    lanes: dict[int, dict[int, bytes]] = field(default_factory=dict)
    changed: int = 0
    size: int = 0

    def __len__(self) -> int:
        return sum(map(len, self.lanes.values()))

    def put(self, position: Position, event: bytes) -> bool:
        """Add a row; return False where the position has one already."""
        lane = self.lanes.setdefault(position.partition, {})
        if position.offset in lane:
            return False
        lane[position.offset] = event
        self.changed += bool(event)
        self.size += len(event)
        return True


class RowChecker:
    """Checks rows, in bounded memory. Owned by one thread."""

    def __init__(self, archive: Archive, editor: Editor, now: int) -> None:
        """`editor` has the changes that are made beside the rows' own."""
        self._archive = archive
        self._editor = editor
        self._now = now
        self._problems: list[str] = []

    def check(self, rows: Iterable[Row | BadRow]) -> CheckedRows:
        """Return what the rows ask for.

        Raises:
            ImportRefused: a row is wrong, there is none, or there are too many.
            KafkaFault: the topic cannot be read.
        """
        checked = CheckedRows()
        for chunk in _chunks(rows, _CHUNK):
            self._check(chunk, checked)
            if len(checked) > MOST_ROWS or checked.size > MOST_BYTES:
                self._problems.append(
                    f"an import has at most {MOST_ROWS} rows and {MOST_BYTES >> 20} MiB of changed "
                    "events: split the file"
                )
            if len(self._problems) >= _TOLD:
                break
        if not len(checked) and not self._problems:
            self._problems.append("there are no rows in the file")
        if self._problems:
            raise ImportRefused(self._problems[:_TOLD])
        return checked

    def _check(self, chunk: Sequence[Row | BadRow], checked: CheckedRows) -> None:
        found = self._found([row for row in chunk if isinstance(row, Row)])
        for row in chunk:
            if isinstance(row, BadRow):
                self._problems.append(f"line {row.line}: {row.reason}")
                continue
            message = found.get(row.position)
            try:
                if message is None:
                    raise EditRefused("there is no such record on the dead-letter topic")
                if not checked.put(row.position, self._outcome(row, message)):
                    raise EditRefused("an earlier row has the same position")
            except EditRefused as error:
                self._problems.append(f"line {row.line}: {row.position}: {error}")

    def _found(self, chunk: Sequence[Row]) -> dict[Position, Scanned]:
        spans = self._archive.log.spans(self._archive.topology.dlt)
        lanes: dict[int, set[int]] = {}
        for row in chunk:
            partition, offset = row.position
            span = spans.get(partition)
            if span is not None and span.start <= offset < span.end:
                lanes.setdefault(partition, set()).add(offset)
        return {
            letter.position: message
            for letter, message in self._archive.letters(
                {partition: sorted(offsets) for partition, offsets in lanes.items()}
            )
        }

    def _outcome(self, row: Row, message: Scanned) -> bytes:
        """Return what goes out for a row, b"" for the record as it is."""
        if row.value is not None and row.value != (message.value or b""):
            raise EditRefused("the record has another value than the row: is it of this topic?")
        codec = self._archive.codec
        event = _event(message, codec)
        if row.event is None:
            if event is not None:
                raise EditRefused("the row has no event, and the record has one")
            return b""
        if event is None:
            raise EditRefused("the record is no event, so there is nothing to correct")
        changed = event_from(event, row.event)
        editor = self._editor.with_row(lambda position: changed)
        encode_like(editor.apply(event, row.position, self._now), event, b"", codec)
        if changed == event:
            return b""
        encoded = encode(changed)
        if len(encoded) > MOST_EVENT_BYTES:
            raise EditRefused(f"the event has {len(encoded)} bytes, above {MOST_EVENT_BYTES}")
        return encoded


def _event(message: Scanned, codec: EventCodec) -> SignupEvent | None:
    try:
        return codec.decode(message.value or b"")
    except Undecodable:
        return None


def _chunks(rows: Iterable[Row | BadRow], size: int) -> Iterator[list[Row | BadRow]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
