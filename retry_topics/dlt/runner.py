"""Runs a replay job: a canary first, then batch by batch, each of them one Kafka transaction.

What a batch replays, its entries in the journal and the job's progress count together. So wherever
the process dies, whoever takes the job over goes on with what has no entry.
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from retry_topics.dlt import jobs
from retry_topics.dlt.archive import Archive
from retry_topics.dlt.jobs import NotNow
from retry_topics.dlt.journal import Pen, Scribe
from retry_topics.dlt.listening import Listener
from retry_topics.dlt.outcomes import Awaited
from retry_topics.dlt.plan import Outgoing
from retry_topics.dlt.progress import Progress, load
from retry_topics.dlt.queue import Queue
from retry_topics.dlt.reading import Ahead, Batch, Reading
from retry_topics.dlt.traced import replaying
from runtime.clock import Clock, Deadline
from runtime.kafka.records import OutRecord
from runtime.kafka.transactions import TransactionInDoubt
from runtime.tracing import Tracer
from schemas.dlt_journal import DltEntry, EntryState
from schemas.replay_jobs import JobState, ReplayJob

#: Records of one transaction at most; fewer where a rate is kept, or failures are watched.
BATCH: Final = 5_000
_WATCHED_BATCH: Final = 2_000
#: Records that are read in one go where no rate is kept.
_STRETCH: Final = 50_000
#: What a job that keeps a rate may be late and catch up with, in seconds.
_CATCH_UP_SECONDS: Final = 1.0
_BATCHES_A_SECOND: Final = 4
#: How often a job shows that it lives, in seconds.
BEAT_SECONDS: Final = 5.0
#: Outcomes below which a share of failures says nothing.
_FEWEST_HEARD: Final = 20
_LISTEN_SECONDS: Final = 0.2
_SETTLE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class RunnerParts:
    """What a job runs with.

    `stop` pauses the job when it is set; `told` hears of each step. `wait_ms` is how long, after
    the last replay, outcomes are waited for. `is_gone` tells of an owner if it ended for certain.
    Without a `tracer` no traces are made.
    """

    archive: Archive
    pen: Pen
    outgoing: Outgoing
    clock: Clock
    stop: threading.Event
    told: Callable[[ReplayJob], None]
    is_gone: Callable[[str], bool]
    wait_ms: int
    tracer: Tracer | None = None


class Runner:
    """Runs one job until it has ended, or is paused or stopped. Owned by one thread."""

    def __init__(self, parts: RunnerParts, job: ReplayJob, owner: str) -> None:
        self._parts = parts
        self._job = job
        self._owner = owner
        self._scribe = Scribe(parts.archive.topology, parts.archive.topic_id)
        self._progress = Progress(Queue({}), Counter(), [])
        self._late: Counter[str] = Counter()
        self._listener = Listener(parts.archive.log, parts.archive.topology)
        self._beat = Deadline(parts.clock, BEAT_SECONDS)

    def run(self) -> ReplayJob:
        """Run the job and return it as it is then: finished, waiting, paused or stopped.

        Raises:
            NotNow: somebody else runs it.
            KafkaFault: the brokers are away for too long; the job can be resumed.
        """
        try:
            self._take_over()
            while True:
                try:
                    return self._go()
                except TransactionInDoubt:
                    # Whoever has taken it over has said so by then; else it is still ours, and
                    # what counts is in the journal.
                    self._parts.stop.wait(_SETTLE_SECONDS)
                    self._take_again()
        finally:
            self._listener.close()
            self._parts.pen.put_down()

    def _take_over(self) -> None:
        """Take the job from nobody, or from an owner that is gone."""
        parts = self._parts
        known = self._known()
        jobs.takeable(known, parts.clock.now_ms(), self._is_gone(known.owner))
        parts.pen.take()
        self._job = self._known()
        # Somebody may have come first; he goes on when he finds that the job is still his.
        if self._job.owner not in (known.owner, self._owner):
            raise NotNow(f"{self._job.id}: {self._job.owner} has just begun to run it")
        self._job = jobs.run_by(self._job, self._owner, parts.clock.now_ms())
        parts.pen.write([self._scribe.job(self._job)])

    def _take_again(self) -> None:
        """Go on with a job that is still ours."""
        self._job = self._known()
        if self._job.owner != self._owner:
            who = self._job.owner or "nobody"
            raise NotNow(f"{self._job.id}: was taken over; {who} runs it")
        self._parts.pen.take()

    def _known(self) -> ReplayJob:
        known = self._parts.archive.job(self._job.id)
        if known is None:
            raise NotNow(f"{self._job.id}: there is no such job in the journal")
        return known

    def _is_gone(self, owner: str) -> bool:
        return owner == self._owner or self._parts.is_gone(owner)

    def _go(self) -> ReplayJob:
        parts = self._parts
        self._late = Counter()
        self._progress = load(parts.archive, self._job.id)
        self._listener.begin(self._progress.awaited)
        self._write([])
        queue, pace = self._progress.queue, self._job.pace
        if pace.canary and len(queue) and not self._job.counts.get(jobs.CANARY_PASSED):
            note = self._canary()
            if parts.stop.is_set():
                return self._put_down(JobState.PAUSED, "paused by a person")
            if note:
                return self._put_down(JobState.STOPPED, note)
        return self._replay_rest() or self._finish()

    def _replay_rest(self) -> ReplayJob | None:
        """Replay what is left, batch by batch; return the job where it was paused or stopped."""
        parts, pace = self._parts, self._job.pace
        size = BATCH if pace.stop_at is None else _WATCHED_BATCH
        stretch, due = _STRETCH, 0.0
        if pace.rate is not None:
            size = stretch = max(1, min(size, int(pace.rate / _BATCHES_A_SECOND)))
            # A batch goes out when its last record is due, not its first.
            due = parts.clock.monotonic() + size / pace.rate
        batches = self._reading().batches(self._progress.queue, size, stretch)
        with closing(Ahead(batches)) as coming:
            for batch in coming:
                if pace.rate is not None:
                    # Whatever held it up, it does not make up for more than a moment of it.
                    due = max(due, parts.clock.monotonic() - _CATCH_UP_SECONDS)
                    self._listen_until(due)
                    due += batch.taken / pace.rate
                if parts.stop.is_set():
                    return self._put_down(JobState.PAUSED, "paused by a person")
                if note := self._failing(max(_FEWEST_HEARD, pace.canary)):
                    return self._put_down(JobState.STOPPED, note)
                self._write_batch(batch)
                self._listener.listen(0)
        return None

    def _reading(self) -> Reading:
        parts = self._parts
        return Reading(parts.archive, parts.outgoing, parts.clock, self._job)

    def _canary(self) -> str:
        """Replay the first few and wait for what becomes of them; return why not to go on."""
        pace = self._job.pace
        for batch in self._reading().of(self._progress.queue.take(pace.canary), pace.canary):
            self._write_batch(batch)
        outcomes = self._listener.outcomes
        sent = outcomes.open + outcomes.heard
        deadline = Deadline(self._parts.clock, pace.canary_wait_ms / 1_000)
        while outcomes.silent and not deadline.expired() and not self._parts.stop.is_set():
            self._listen_for(_LISTEN_SECONDS)
        if outcomes.silent:
            return (
                f"{outcomes.silent} of {sent} canary mails had no outcome within "
                f"{pace.canary_wait_ms // 1_000} s: do workers run, and does the relay take mail?"
            )
        if note := self._failing(1):
            return note
        self._job = jobs.counted(self._job, {jobs.CANARY_PASSED: sent})
        self._write([])
        return ""

    def _failing(self, fewest: int) -> str:
        """Return why to stop: too many of those that were replayed fail again."""
        outcomes, stop_at = self._listener.outcomes, self._job.pace.stop_at
        if stop_at is None or outcomes.heard < fewest or outcomes.failing_share < stop_at:
            return ""
        failing = round(outcomes.failing_share * outcomes.heard)
        return (
            f"{failing} of {outcomes.heard} mails failed again, {outcomes.failing_share:.0%}; "
            f"the limit is {stop_at:.0%}"
        )

    def _write_batch(self, batch: Batch) -> None:
        """Write replayed records with their entries, and wait for what becomes of them."""
        now = self._parts.clock.now_ms()
        entries: list[OutRecord] = []
        for position, one in batch.made:
            entry = DltEntry(
                EntryState.REPLAYED, one.generation, self._job.id, one.event_id, now, self._job.by
            )
            entries.append(self._scribe.entry(position, entry))
            self._listener.outcomes.expect(one.event_id, Awaited(position, one.generation))
        self._late += batch.late
        self._progress.counts[jobs.REPLAYED] += len(batch.made)
        made = [one.record for _, one in batch.made]
        with replaying(self._parts.tracer, self._job.id, made) as records:
            self._write([*records, *entries])

    def _listen_until(self, moment: float) -> None:
        while (left := moment - self._parts.clock.monotonic()) > 0:
            if self._parts.stop.is_set():
                return
            self._listen_for(min(left, _LISTEN_SECONDS))

    def _listen_for(self, seconds: float) -> None:
        """Hear what the ledger says, and show now and then that the job lives."""
        self._listener.listen(seconds)
        if self._beat.expired() or self._listener.has_much_to_tell():
            self._write([])

    def _write(self, records: Sequence[OutRecord]) -> None:
        """Write records with what was heard and the job's progress, as one step."""
        now = self._parts.clock.now_ms()
        heard = self._listener.settled()
        told = [
            self._scribe.entry(
                end.position,
                DltEntry(
                    end.state, end.generation, self._job.id, end.event_id, now, reason=end.how
                ),
            )
            for end in heard
        ]
        numbers = self._progress.numbers(self._listener.outcomes) | self._late
        job = jobs.run_by(jobs.counted(self._job, numbers), self._owner, now)
        self._parts.pen.write([*records, *told, self._scribe.job(job)])
        self._job = job
        self._beat = Deadline(self._parts.clock, BEAT_SECONDS)
        self._parts.told(job)

    def _finish(self) -> ReplayJob:
        """Give up what is left, and wait for outcomes as long as somebody wants to."""
        releases = [self._scribe.release(key, lane) for lane, key in self._progress.claims]
        if self._parts.outgoing.imported is not None:
            releases += self._parts.outgoing.imported.releases(self._scribe)
        self._write(releases)
        self._progress.claims.clear()
        outcomes, stop = self._listener.outcomes, self._parts.stop
        deadline = Deadline(self._parts.clock, self._parts.wait_ms / 1_000)
        while outcomes.silent and not deadline.expired() and not stop.is_set():
            self._listen_for(_LISTEN_SECONDS)
        if outcomes.open:
            return self._put_down(JobState.WAITING, jobs.waits_for(outcomes.open))
        return self._put_down(JobState.FINISHED, "")

    def _put_down(self, state: JobState, note: str) -> ReplayJob:
        self._write([])
        job = jobs.put_down(self._job, state, note, self._parts.clock.now_ms())
        self._parts.pen.write([self._scribe.job(job)])
        self._job = job
        self._parts.told(job)
        return job
