"""Making dead-lettered records somebody's: a job's to replay, or nobody's any more by discarding.

Everything here is written with the one transactional id for claims (see `journal`).
"""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from retry_topics.dlt.archive import Archive
from retry_topics.dlt.jobs import NotNow, with_claims
from retry_topics.dlt.journal import Pen, Scribe
from retry_topics.dlt.plan import Choice
from retry_topics.dlt.states import LaneStates, RecordState
from runtime.kafka.errors import KafkaFault
from runtime.kafka.topics import Span
from runtime.kafka.transactions import TransactionInDoubt
from schemas.dlt_journal import DltEntry, Position
from schemas.replay_jobs import JobState, ReplayJob

T = TypeVar("T")

#: How often others may come in between before it is given up.
_TRIES: Final = 20
#: Entries of one transaction.
_BATCH: Final = 5_000


class Claims:
    """Claims and discards records, each of which is then nobody else's. Owned by one thread."""

    def __init__(self, archive: Archive, pen: Pen, pause: Callable[[int], None]) -> None:
        """`pause` waits before a try (numbered from 1) after others came in between."""
        self._archive = archive
        self._scribe = Scribe(archive.topology, archive.topic_id)
        self._pen = pen
        self._pause = pause

    def claim(self, job: ReplayJob, lanes: Mapping[int, Choice]) -> ReplayJob:
        """Make the chosen records the job's and write the job; return it with what it got.

        What somebody else got in between is left out and counted as taken. One transaction: all of
        it counts, or none. A job claims once in its life: what it has only ever becomes less.

        Raises:
            NotNow: somebody else began the job, or called it off.
            KafkaFault: it cannot be done, or others come in between all the time.
        """

        def attempt() -> ReplayJob:
            self._nobody_began(job)
            got = self._still_free(job.id, lanes)
            begun = with_claims(job, sum(map(len, got.values())))
            records = [self._scribe.job(begun)]
            for lane, offsets in got.items():
                records += self._scribe.claims(job.id, lane, offsets)
            self._pen.write(records)
            return begun

        return self._alone(attempt)

    def discard(self, entry: DltEntry, lanes: Mapping[int, Choice]) -> int:
        """Settle the chosen records by this entry; return how many that were.

        What somebody else settles or claims in between is left out.

        Raises:
            KafkaFault: it cannot be done; what was written by then counts.
        """
        done = 0

        def attempt() -> None:
            nonlocal done
            for lane, free in self._still_free("", lanes).items():
                choice = lanes[lane]
                for batch in _batches(free, _BATCH):
                    self._pen.write(
                        [self._scribe.entry(Position(lane, offset), entry) for offset in batch]
                    )
                    done += len(batch)
                    # What is written is left out of the next try.
                    choice.offsets = array("q", (o for o in choice.offsets if o > batch[-1]))

        self._alone(attempt)
        return done

    def _nobody_began(self, job: ReplayJob) -> None:
        known = self._archive.job(job.id)
        if known is None or known.state is JobState.PLANNED or known.owner == job.owner:
            return
        who = f" by {known.owner}" if known.owner else ""
        raise NotNow(f"{job.id}: was begun or called off meanwhile; it is {known.state}{who}")

    def _alone(self, attempt: Callable[[], T]) -> T:
        """Do something as the only one who claims, from the beginning where others come in."""
        try:
            for number in range(1, _TRIES + 1):
                self._pen.take()
                try:
                    return attempt()
                except TransactionInDoubt:
                    self._pause(number)
        finally:
            self._pen.put_down()
        raise KafkaFault(
            f"others claimed dead-lettered records {_TRIES} times in between; try again later"
        )

    def _still_free(self, job: str, lanes: Mapping[int, Choice]) -> "dict[int, array[int]]":
        """Return what is free of choices, by what the journal says since they were made.

        What was free and is mentioned since then is not: it was claimed or settled, but by an
        earlier try of this very job.
        """
        topic = self._archive.topology.dlt_journal
        every = self._archive.log.spans(topic)
        spans = {n: Span(choice.read_to, every[n].end) for n, choice in lanes.items()}
        since = {number: LaneStates(self._archive.topic_id, number) for number in lanes}
        for number, messages in self._archive.log.read(topic, spans):
            for key, value, _ in messages:
                since[number].apply(key, value)
        return {n: _free(job, choice.offsets, since[n]) for n, choice in lanes.items()}


def _free(job: str, offsets: "array[int]", since: LaneStates) -> "array[int]":
    if since.is_untouched():
        return offsets
    free = array("q")
    for offset in offsets:
        state, owner = since.of(offset)
        if state is RecordState.OPEN or (state is RecordState.TAKEN and owner == job):
            free.append(offset)
    return free


def _batches(offsets: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(offsets), size):
        yield offsets[start : start + size]
