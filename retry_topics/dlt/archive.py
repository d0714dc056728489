"""The dead-letter topic with what its journal says of it.

Lanes are read side by side, as many as have few records together: beginning to read takes as long
as reading some thousands. Whatever the size of the topic, there is one shelf's journal in memory at
a time, in some four bytes a record that something was done about.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from retry_topics.dlt.letter import Letter, LetterReader
from retry_topics.dlt.log import Log
from retry_topics.dlt.selection import Check
from retry_topics.dlt.states import LaneStates, RecordState, Standing
from retry_topics.topology import Topology
from runtime.kafka.records import Partition, Record
from runtime.kafka.sweep import Scanned
from runtime.kafka.topics import Span
from schemas.codec import EventCodec
from schemas.dlt_journal import JobKey, Position, job_key, parse_key
from schemas.errors import Undecodable
from schemas.replay_jobs import ReplayJob, read_job

#: Told of the key and the value of a record of the journal.
Heard = Callable[[bytes | None, bytes | None], None]

#: The partition of the journal in which all jobs are kept.
JOBS_LANE: Final = 0
#: Lanes of a shelf have so many records together at most; one lane may have more.
SHELF: Final = 200_000
_FOLLOWED: Final = 500
_FOLLOW_SECONDS: Final = 0.5


class Found(NamedTuple):
    """A letter, what it is, and the message that it was read from."""

    letter: Letter
    standing: Standing
    message: Scanned


@dataclass(slots=True)
class Lane:
    """One partition of the dead-letter topic as far as it is looked at.

    Its journal is read up to `read_to`.
    """

    number: int
    span: Span
    states: LaneStates
    read_to: int = 0


#: Lanes that are read side by side, by their numbers.
Shelf: TypeAlias = Mapping[int, Lane]


class Archive:
    """Reads letters and their states. Owned by one thread; the `log` may be shared within it."""

    def __init__(self, log: Log, topology: Topology, codec: EventCodec) -> None:
        self.log = log
        self.topology = topology
        self.codec = codec
        self._reader = LetterReader(codec)
        self._topic_id = ""

    @property
    def topic_id(self) -> str:
        """The id of the dead-letter topic."""
        if not self._topic_id:
            self._topic_id = self.log.topic_id(self.topology.dlt)
        return self._topic_id

    def ends(self) -> dict[int, int]:
        """Return, by partition, where the dead-letter topic ends at this moment."""
        return {number: span.end for number, span in self.log.spans(self.topology.dlt).items()}

    def shelves(
        self,
        ends: Mapping[int, int] | None = None,
        numbers: Collection[int] | None = None,
        heard: Heard | None = None,
    ) -> Iterator[Shelf]:
        """Yield all lanes (or these) up to where they end, or to `ends`, with their journals read.

        A lane that `ends` does not name came later and is left out. Only one shelf that was yielded
        should be kept at a time. `heard` is told of each record of the journals, each lane's in
        order.
        """
        shelf: dict[int, Lane] = {}
        size = 0
        for number, span in self.log.spans(self.topology.dlt).items():
            if numbers is not None and number not in numbers:
                continue
            end = span.end if ends is None else min(span.end, ends.get(number, span.start))
            if shelf and size + end - span.start > SHELF:
                yield self._with_journals(shelf, heard)
                shelf, size = {}, 0
            size += end - span.start
            shelf[number] = Lane(number, Span(span.start, end), LaneStates(self.topic_id, number))
        if shelf:
            yield self._with_journals(shelf, heard)

    def found(
        self, shelf: Shelf, check: Check, within: Mapping[int, Span] | None = None
    ) -> Iterator[Found]:
        """Yield what is selected of a shelf, each lane's in order; `within` narrows the offsets."""
        spans = {number: lane.span for number, lane in shelf.items()}
        if within is not None:
            spans = {n: span for n in spans if (span := _both(spans[n], within.get(n)))}
        read = self._reader.read
        for number, messages in self.log.scan(self.topology.dlt, spans):
            of = shelf[number].states.of
            for message in messages:
                letter = read(number, message)
                standing = of(message.offset)
                if letter.is_held and standing.state is RecordState.OPEN:
                    standing = Standing(RecordState.HELD, "")
                if check(letter, standing.state):
                    yield Found(letter, standing, message)

    def letters(self, wanted: Mapping[int, Sequence[int]]) -> Iterator[tuple[Letter, Scanned]]:
        """Yield the letters at these ascending offsets by lane; those that are gone are left out.

        Each lane's come in order.
        """
        spans = {n: Span(offsets[0], offsets[-1] + 1) for n, offsets in wanted.items() if offsets}
        chosen = {number: frozenset(wanted[number]) for number in spans}
        read = self._reader.read
        for number, messages in self.log.scan(self.topology.dlt, spans):
            offsets = chosen[number]
            for message in messages:
                if message.offset in offsets:
                    yield read(number, message), message

    def at(self, position: Position) -> Found | None:
        """Return what is at a position; None where there is nothing, or not any more."""
        partition, offset = position
        for shelf in self.shelves(numbers=(partition,)):
            for found in self.found(shelf, _anything, {partition: Span(offset, offset + 1)}):
                return found
        return None

    def follow(self) -> Iterator[Found]:
        """Yield what dies from now on, for ever; each is taken for open."""
        spans = {
            Partition(self.topology.dlt, number): Span(span.end, span.end)
            for number, span in self.log.spans(self.topology.dlt).items()
        }
        following = self.log.follow(spans)
        try:
            while True:
                for record in following.take(_FOLLOWED, _FOLLOW_SECONDS).records:
                    message = scanned(record)
                    letter = self._reader.read(record.partition, message)
                    state = RecordState.HELD if letter.is_held else RecordState.OPEN
                    yield Found(letter, Standing(state, ""), message)
        finally:
            following.close()

    def jobs(self) -> dict[str, ReplayJob]:
        """Return every replay job by its id; one that cannot be read is left out."""
        values: dict[str, bytes | None] = {}
        for key, value in self._jobs_lane():
            parsed = parse_key(key)
            if isinstance(parsed, JobKey):
                values[parsed.job] = value
        found = {}
        for name, value in values.items():
            try:
                found[name] = read_job(value)
            except Undecodable:
                continue
        return found

    def job(self, name: str) -> ReplayJob | None:
        """Return a replay job, None where there is none of this id."""
        key, value = job_key(name), None
        for found, told in self._jobs_lane():
            if found == key:
                value = told
        return None if value is None else read_job(value)

    def _jobs_lane(self) -> Iterator[tuple[bytes | None, bytes | None]]:
        topic = self.topology.dlt_journal
        spans = {JOBS_LANE: self.log.spans(topic)[JOBS_LANE]}
        for _, messages in self.log.read(topic, spans):
            for key, value, _ in messages:
                yield key, value

    def _with_journals(self, shelf: Shelf, heard: Heard | None) -> Shelf:
        topic = self.topology.dlt_journal
        every = self.log.spans(topic)
        spans = {number: every[number] for number in shelf}
        for number, messages in self.log.read(topic, spans):
            apply = shelf[number].states.apply
            for key, value, _ in messages:
                apply(key, value)
                if heard is not None:
                    heard(key, value)
        for number, lane in shelf.items():
            lane.read_to = spans[number].end
        return shelf


def _both(span: Span, other: Span | None) -> Span | None:
    """Return what is in both spans; None where nothing can be."""
    if other is None:
        return None
    return Span(max(span.start, other.start), min(span.end, other.end))


def scanned(record: Record) -> Scanned:
    """Return a record as a scan has it."""
    return Scanned(
        record.key, record.value, record.offset, record.timestamp_ms, list(record.headers)
    )


def _anything(letter: Letter, state: RecordState) -> bool:
    return True
