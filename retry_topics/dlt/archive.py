"""The dead-letter topic with what its journal says of it, read lane by lane.

Whatever the size of the topic, there is one lane's journal in memory at a time, in some four bytes
a record that something was done about.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from retry_topics.dlt.letter import Letter, LetterReader
from retry_topics.dlt.log import Log
from retry_topics.dlt.selection import Check
from retry_topics.dlt.states import LaneStates, RecordState, Standing
from retry_topics.topology import Topology
from runtime.kafka.bulk import Scanned
from runtime.kafka.records import Partition, Record
from runtime.kafka.topics import Span
from schemas.codec import EventCodec
from schemas.dlt_journal import JobKey, Position, job_key, parse_key
from schemas.errors import Undecodable
from schemas.replay_jobs import ReplayJob, read_job

#: Told of the key and the value of a record of the journal.
Heard = Callable[[bytes | None, bytes | None], None]

#: The partition of the journal in which all jobs are kept.
JOBS_LANE: Final = 0
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
    read_to: int


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

    def lanes(
        self,
        ends: Mapping[int, int] | None = None,
        numbers: Collection[int] | None = None,
        heard: Heard | None = None,
    ) -> Iterator[Lane]:
        """Yield each lane (or these) up to where it ends, or to `ends`, with its journal read.

        A lane that `ends` does not name came later and is left out. Only one lane that was yielded
        should be kept at a time. `heard` is told of each record of the journals, in order.
        """
        for number, span in self.log.spans(self.topology.dlt).items():
            if numbers is not None and number not in numbers:
                continue
            end = span.end if ends is None else min(span.end, ends.get(number, span.start))
            lane = Lane(number, Span(span.start, end), LaneStates(self.topic_id, number), 0)
            yield self._with_journal(lane, heard)

    def found(self, lane: Lane, check: Check, within: Span | None = None) -> Iterator[Found]:
        """Yield what is selected in a lane, in order; `within` narrows the offsets."""
        span, of, read = lane.span, lane.states.of, self._reader.read
        if within is not None:
            span = Span(max(span.start, within.start), min(span.end, within.end))
        for messages in self.log.scan(self.topology.dlt, lane.number, span):
            for message in messages:
                letter = read(lane.number, message)
                standing = of(message.offset)
                if letter.is_held and standing.state is RecordState.OPEN:
                    standing = Standing(RecordState.HELD, "")
                if check(letter, standing.state):
                    yield Found(letter, standing, message)

    def letters(self, partition: int, offsets: Sequence[int]) -> Iterator[tuple[Letter, Scanned]]:
        """Yield the letters at these ascending offsets; those that are gone are left out."""
        if not offsets:
            return
        wanted = frozenset(offsets)
        span = Span(offsets[0], offsets[-1] + 1)
        for messages in self.log.scan(self.topology.dlt, partition, span):
            for message in messages:
                if message.offset in wanted:
                    yield self._reader.read(partition, message), message

    def at(self, position: Position) -> Found | None:
        """Return what is at a position; None where there is nothing, or not any more."""
        partition, offset = position
        for lane in self.lanes(numbers=(partition,)):
            for found in self.found(lane, _anything, Span(offset, offset + 1)):
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
        span = self.log.spans(self.topology.dlt_journal)[JOBS_LANE]
        values: dict[str, bytes | None] = {}
        for messages in self.log.read(self.topology.dlt_journal, JOBS_LANE, span):
            for key, value, _ in messages:
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
        span = self.log.spans(self.topology.dlt_journal)[JOBS_LANE]
        key, value = job_key(name), None
        for messages in self.log.read(self.topology.dlt_journal, JOBS_LANE, span):
            for found, told, _ in messages:
                if found == key:
                    value = told
        return None if value is None else read_job(value)

    def _with_journal(self, lane: Lane, heard: Heard | None) -> Lane:
        topic = self.topology.dlt_journal
        span = self.log.spans(topic)[lane.number]
        apply = lane.states.apply
        for messages in self.log.read(topic, lane.number, span):
            for key, value, _ in messages:
                apply(key, value)
                if heard is not None:
                    heard(key, value)
        lane.read_to = span.end
        return lane


def scanned(record: Record) -> Scanned:
    """Return a record as a scan has it."""
    return Scanned(
        record.key, record.value, record.offset, record.timestamp_ms, list(record.headers)
    )


def _anything(letter: Letter, state: RecordState) -> bool:
    return True
