"""The poll thread: owns the consumer, the lanes and their offsets, and hands work out and back.

    poll -> lanes -> engine -> reports -> what is finished -> committer

Every turn of the loop is short, so that the group hears of us and a rebalance is answered at once.
"""

import queue
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from consumers.delivery.breaker import Outage
from consumers.mailer import pace
from consumers.mailer.committer import Batch, Committer, Ownership
from consumers.mailer.engine import Engine
from consumers.mailer.job import Finished, Intended, Report
from consumers.mailer.lanes import Assigned, Lane, Lanes
from consumers.mailer.ledger.desk import Fetched, LedgerDesk
from consumers.mailer.ledger.restore import RestoreFailed
from consumers.mailer.telemetry import Telemetry
from runtime.clock import Clock, Deadline
from runtime.kafka.consumer import GroupMetadata, Polled, RebalanceListener
from runtime.kafka.records import Partition
from runtime.logs import get_logger
from schemas.switches import Switches

_log = get_logger("poller")

_POLL_MOST: Final = 500
_POLL_BUSY_SECONDS: Final = 0.005
_POLL_IDLE_SECONDS: Final = 0.05
#: With enough in memory, polling waits this long for room before it pauses partitions instead.
_POLL_PATIENCE_SECONDS: Final = 0.5
#: Records in memory that are enough.
_BUFFER_ENOUGH: Final = 1_000
#: With enough in memory and half of what may be in the engine there, what ends in so many looks is
#: taken in and committed at once: each of that takes the interpreter's lock from the event loop.
_GATHER_LOOKS: Final = 5
_GATHER_SECONDS: Final = 0.004
#: For so many seconds the group's metadata serves, if no transaction is refused for it: to ask the
#: client holds up all threads.
_METADATA_SECONDS: Final = 0.25
_BEAT_SECONDS: Final = 5.0
_DRAIN_TURN_SECONDS: Final = 0.02
#: How long the event loop may take to close a lane's ledger, in seconds.
_CLOSE_SECONDS: Final = 5.0


class Consumer(Protocol):
    """What the poll thread needs of the group's consumer."""

    def subscribe(self, topics: Sequence[str]) -> None: ...
    def poll(self, most: int, timeout: float) -> Polled: ...
    def pause(self, partitions: Sequence[Partition]) -> None: ...
    def resume(self, partitions: Sequence[Partition]) -> None: ...
    def metadata(self) -> GroupMetadata: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class PollerParts:
    """What the poll thread works with.

    `outage` tells why nothing may begin, None while all is well, `switches` what an operator has
    paused. `beat` is called every few seconds to tell that the loop turns.
    `max_in_flight` bounds the records in the engine. `drain_seconds` is the budget for finishing,
    when lanes go and when we stop.
    """

    make_consumer: Callable[[RebalanceListener], Consumer]
    topics: Sequence[str]
    lanes: Lanes
    engine: Engine
    desk: LedgerDesk
    reports: "queue.SimpleQueue[Report | Fetched]"
    committer: Committer
    ownership: Ownership
    outage: Callable[[], Outage | None]
    switches: Callable[[], Switches]
    beat: Callable[[], object]
    telemetry: Telemetry
    clock: Clock
    max_in_flight: int
    drain_seconds: float


class Poller:
    """Runs on its own thread; `stop` may be called from any other."""

    def __init__(self, parts: PollerParts) -> None:
        self._parts = parts
        self._consumer = parts.make_consumer(self)
        self._running = 0
        #: Whether there was more to begin than the engine may have in hand.
        self._is_full = False
        self._made = 0
        #: When something was handed to the committer last, and how many had ended by then.
        self._submitted = (parts.clock.monotonic(), 0)
        self._dirty: set[Partition] = set()
        self._polled_at = parts.clock.monotonic()
        #: When the group's metadata was asked for last, None where it has to be asked for again.
        self._asked_at: float | None = None
        self._beat = Deadline(parts.clock, 0)
        self._stopping = threading.Event()
        self._ending: Deadline | None = None
        parts.telemetry.watch_lanes(parts.lanes.lanes)

    def stop(self) -> None:
        """Ask the loop to finish what is in hand and to leave the group."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop`, then drain inside the deadline and leave the group.

        Raises:
            KafkaFault: the consumer cannot go on.
            CommitterFailed: the committer cannot go on.
            RestoreFailed: a lane's ledger cannot be had on this host.
        """
        self._consumer.subscribe(self._parts.topics)
        try:
            while not self._stopping.is_set():
                self._turn()
            self._ending = Deadline(self._parts.clock, self._parts.drain_seconds)
            self._finish([assigned.source for assigned in self._parts.lanes])
        finally:
            self._consumer.close()

    def _turn(self) -> None:
        if self._beat.expired():
            self._beat = Deadline(self._parts.clock, _BEAT_SECONDS)
            self._parts.beat()
        self._collect()
        if not self._is_full or self._is_due() or self._parts.committer.refused:
            self._submit()
        self._parts.lanes.heed(self._parts.switches())
        self._begin()
        self._regulate()
        if self._enough_in_memory():
            if self._running * 2 >= self._parts.max_in_flight:
                gather(self._parts.reports.qsize, self._parts.max_in_flight // 4, self._stopping)
            else:
                self._await_report(_POLL_BUSY_SECONDS)
            return
        self._polled_at = self._parts.clock.monotonic()
        polled = self._consumer.poll(_POLL_MOST, self._poll_seconds())
        if polled.records:
            self._parts.telemetry.read(polled.records)
        self._dirty.update(self._parts.lanes.push(polled))

    def _begin(self) -> None:
        parts = self._parts
        credits_ = parts.max_in_flight - self._running
        self._is_full = credits_ <= 0
        if self._is_full:
            return
        now = parts.clock.now_ms()
        # With nothing in hand nobody would ask whether the outage is over.
        commands_only = parts.outage() is not None and self._running > 0
        begun = parts.lanes.begin(credits_, now, commands_only=commands_only)
        if not begun:
            return
        for _, wake in begun:
            if wake:
                parts.telemetry.taken_up(now - wake)
        self._running += len(begun)
        self._is_full = len(begun) == credits_
        parts.telemetry.in_flight(self._running)
        parts.engine.dispatch([job for job, _ in begun])

    def _collect(self) -> None:
        """Take in all reports."""
        while True:
            try:
                self._account(self._parts.reports.get_nowait())
            except queue.Empty:
                break

    def _await_report(self, seconds: float) -> None:
        try:
            self._account(self._parts.reports.get(timeout=seconds))
        except queue.Empty:
            pass

    def _account(self, report: Report | Fetched) -> None:
        if isinstance(report, Fetched):
            self._take_over(report)
            return
        job = report.job
        assigned = self._parts.lanes.of(job.source, job.epoch)
        if isinstance(report, Intended):
            if assigned is not None:
                self._commit_intended(assigned, report)
            return
        self._running -= 1
        if assigned is None:
            return
        if isinstance(report, Finished):
            completion = report.completion
            completion.made = self._next_made()
            assigned.tracker.finish(job.record.offset, completion, ahead=completion.ahead)
            self._dirty.add(job.source)
        else:
            assigned.tracker.give_up(job.record.offset)

    def _commit_intended(self, assigned: Assigned, intended: Intended) -> None:
        # What ended before goes first: it may be about the same mail.
        self._submit()
        job, completion = intended.job, intended.completion
        completion.made = self._next_made()
        position, epoch = assigned.position, assigned.epoch
        batch = Batch(job.source, epoch, position, job.ledger, [completion], intended.committed)
        self._parts.committer.submit(batch)

    def _next_made(self) -> int:
        """Count the completions: their reports come in the order in which they were made."""
        self._made += 1
        return self._made

    def _take_over(self, fetched: Fetched) -> None:
        """Let a lane run whose ledger is there, unless the lane went meanwhile."""
        ours = (lane for lane in self._parts.lanes.lanes() if lane is fetched.asker)
        lane = next(ours, None)
        if isinstance(fetched.result, RestoreFailed):
            if lane is not None:
                raise fetched.result
        elif lane is None:
            self._parts.desk.let_go(fetched.result, _CLOSE_SECONDS)
        else:
            lane.ledger, lane.restoring = fetched.result, None
            self._dirty.update(lane.sources)

    def _is_due(self) -> bool:
        at, made = self._submitted
        return pace.is_due(self._parts.clock.monotonic() - at, self._made - made)

    def _submit(self) -> None:
        """Hand what may be committed to the committer."""
        self._submitted = (self._parts.clock.monotonic(), self._made)
        self._parts.committer.check()
        if self._dirty or self._parts.committer.busy:
            # Even with nothing to submit: a transaction may be refused until it is fresh.
            self._refresh_metadata()
        if not self._dirty:
            return
        for source in self._dirty:
            assigned = self._parts.lanes.current(source)
            ledger = assigned.lane.ledger if assigned is not None else None
            if assigned is None or ledger is None or (ready := assigned.take()) is None:
                continue
            next_offset, done = ready
            self._parts.committer.submit(Batch(source, assigned.epoch, next_offset, ledger, done))
        self._dirty.clear()
        self._parts.telemetry.in_flight(self._running)

    def _refresh_metadata(self) -> None:
        now = self._parts.clock.monotonic()
        if self._parts.committer.refused:
            self._asked_at = None
        if self._asked_at is None or now - self._asked_at >= _METADATA_SECONDS:
            self._asked_at = now
            self._parts.ownership.metadata = self._consumer.metadata()

    def _regulate(self) -> None:
        pause, resume = [], []
        for assigned in self._parts.lanes.fed():
            if assigned.feed.wants_pause():
                assigned.feed.paused = True
                pause.append(assigned.source)
            elif assigned.runs and assigned.feed.wants_resume():
                assigned.feed.paused = False
                resume.append(assigned.source)
        if pause:
            self._consumer.pause(pause)
        if resume:
            self._consumer.resume(resume)

    def _enough_in_memory(self) -> bool:
        """Tell whether to wait for the engine instead of reading on.

        Pausing a partition throws away what the client fetched ahead, so a short jam is waited
        out; in a long one polling goes on, and the partitions that fill up are paused.
        """
        parts = self._parts
        if parts.lanes.waiting_now(parts.clock.now_ms()) < _BUFFER_ENOUGH:
            return False
        return parts.clock.monotonic() - self._polled_at < _POLL_PATIENCE_SECONDS

    def _poll_seconds(self) -> float:
        if self._running:
            return _POLL_BUSY_SECONDS
        wake = self._parts.lanes.next_wake()
        if wake is None:
            return _POLL_IDLE_SECONDS
        return min(_POLL_IDLE_SECONDS, max(0.001, (wake - self._parts.clock.now_ms()) / 1000))

    def assigned(self, partitions: Sequence[Partition]) -> None:
        """Begin with partitions that are ours from here on: first their lanes' ledgers.

        They are read meanwhile, as far as there is room. Paused now and resumed in a moment, the
        client might ask twice where to begin, and read them again from there.
        """
        self._asked_at = None
        lanes = self._parts.lanes
        for source in partitions:
            lanes.add(source, self._parts.ownership.acquire(source))
        for lane in lanes.to_restore():
            lane.asked_at = self._parts.clock.now_ms()
            lane.restoring = self._parts.desk.fetch(lane.number, lane, self._parts.reports.put)
        self._parts.telemetry.rebalanced("assigned", lanes.numbers)

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """Finish what is in hand of partitions that go, commit it, and forget them."""
        if self._parts.committer.works:
            self._finish(partitions)
        else:
            self._parts.engine.abandon(set(partitions))
        self._forget(partitions, "revoked")

    def lost(self, partitions: Sequence[Partition]) -> None:
        """Forget partitions that are somebody else's; nothing of them is committed."""
        self._parts.engine.abandon(set(partitions))
        self._forget(partitions, "lost")

    def _forget(self, partitions: Sequence[Partition], change: str) -> None:
        paused = [
            source
            for source in partitions
            if (assigned := self._parts.lanes.current(source)) and assigned.feed.paused
        ]
        if paused and change == "revoked":
            self._consumer.resume(paused)
        for source in partitions:
            self._parts.ownership.release(source)
        for lane in self._parts.lanes.remove(partitions):
            self._leave(lane)
        self._parts.telemetry.rebalanced(change, self._parts.lanes.numbers)

    def _leave(self, lane: Lane) -> None:
        """Let go of a lane's ledger, so that its next owner on this host can have it."""
        if lane.restoring is not None:
            lane.restoring.cancel()
        if lane.ledger is not None and not self._parts.desk.let_go(lane.ledger, _CLOSE_SECONDS):
            _log.warning("lane.not_closed", lane=lane.number)

    def _finish(self, partitions: Sequence[Partition]) -> None:
        """Let running deliveries of these partitions end and commit them, inside one deadline."""
        deadline = self._ending or Deadline(self._parts.clock, self._parts.drain_seconds)
        going = [a for s in partitions if (a := self._parts.lanes.current(s)) is not None]
        sources = {assigned.source for assigned in going}
        while (left := _running(going)) and not deadline.expired():
            self._parts.engine.drain(sources)
            self._await_report(min(_DRAIN_TURN_SECONDS, deadline.remaining()))
        if left:
            _log.warning("drain.unfinished", records=left)
            self._parts.engine.abandon(sources)
        self._asked_at = None
        self._collect()
        self._submit()
        if not self._parts.committer.barrier().wait(max(1.0, deadline.remaining())):
            _log.warning("drain.uncommitted")


def gather(ended: Callable[[], int], enough: int, stopping: threading.Event) -> None:
    """Wait until enough records have ended in the engine, or for 20 ms, or until it stops."""
    for _ in range(_GATHER_LOOKS):
        if ended() >= enough or stopping.wait(_GATHER_SECONDS):
            return


def _running(going: Collection[Assigned]) -> int:
    return sum(assigned.tracker.running for assigned in going)
