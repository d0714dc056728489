"""The group commit: whatever is finished becomes durable in one Kafka transaction after another.

A thread takes all there is, commits it, and takes again; it never waits to fill a batch. Two
producers take turns, so that one transaction's markers are written while the next one begins.
Transactions never overlap: a later one's offsets could otherwise be undone by an earlier one.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, Protocol

from consumers.mailer.completion import Completion
from consumers.mailer.ledger.lane import LaneLedger
from runtime.clock import Clock, Deadline
from runtime.kafka.consumer import GroupMetadata
from runtime.kafka.errors import KafkaFault
from runtime.kafka.records import Partition
from runtime.kafka.transactions import Transaction, TransactionAborted, TransactionInDoubt
from runtime.logs import get_logger

_log = get_logger("committer")

#: Pause before an aborted transaction is repeated: its cause is mostly a rebalance under way.
_ABORT_PAUSE_SECONDS: Final = 0.05
#: Pause before the brokers are asked again what became of a transaction.
_DOUBT_PAUSE_SECONDS: Final = 1.0
#: How long the other producer may take meanwhile, in seconds.
_STIR_SECONDS: Final = 10.0
#: How long one transaction may be tried before its producer is replaced, in seconds.
TRANSACTION_SECONDS: Final = 60.0
#: How long a producer that is not needed any more is waited for, in seconds.
_CLOSE_SECONDS: Final = 2.0
#: How long one transaction may take before the client library is taken to hang, in seconds.
STUCK_SECONDS: Final = 2 * TRANSACTION_SECONDS


class CommitterFailed(Exception):
    """Nothing is committed any more; the worker must be started again."""


class Producer(Protocol):
    """What the committer needs of a transactional producer."""

    def initialise(self, deadline: Deadline) -> None: ...

    def commit(self, transaction: Transaction, deadline: Deadline) -> Mapping[Partition, int]: ...

    def close(self, seconds: float) -> None: ...


@dataclass(slots=True)
class Batch:
    """What is finished of one partition in one assignment.

    The group's offset becomes `next_offset`; completions may be of records behind it. `committed`
    is called once it counts.
    """

    source: Partition
    epoch: int
    next_offset: int
    ledger: LaneLedger
    completions: list[Completion] = field(default_factory=list)
    committed: Callable[[], None] | None = None


def in_order(batches: Iterable[Batch]) -> list[Completion]:
    """Return the batches' completions in the order in which they were made.

    What was said last of a mail must be written last, whichever partition it came from.
    """
    done = [completion for batch in batches for completion in batch.completions]
    return sorted(done, key=attrgetter("made"))


class Ownership:
    """Which assignment of each partition may still commit. Written by the poll thread only.

    Holds the newest group metadata too: a transaction is fenced by what was current at its start.
    """

    def __init__(self) -> None:
        self._epochs: dict[Partition, int] = {}
        self._next = 0
        self.metadata: GroupMetadata | None = None

    @property
    def count(self) -> int:
        """How many partitions are ours; any thread may ask."""
        return len(self._epochs)

    def lanes(self, topic: str) -> list[int]:
        """Return the numbers of a topic's partitions that are ours, ascending. From any thread."""
        # The list is made in one step, whatever is written meanwhile.
        return sorted(number for of, number in list(self._epochs) if of == topic)

    def acquire(self, source: Partition) -> int:
        """Begin an assignment and return its epoch."""
        self._next += 1
        self._epochs[source] = self._next
        return self._next

    def release(self, source: Partition) -> None:
        """End an assignment: nothing of it will be committed from here on."""
        self._epochs.pop(source, None)

    def holds(self, source: Partition, epoch: int) -> bool:
        """Tell whether that assignment is still ours."""
        return self._epochs.get(source) == epoch


class Barrier:
    """A place in the committer's queue; passed once everything before it is settled."""

    def __init__(self) -> None:
        self._passed = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Wait until it is passed; False if it is not within `seconds`."""
        return self._passed.wait(seconds)

    def pass_(self) -> None:
        """Let the one who waits go on."""
        self._passed.set()


CommitObserver = Callable[[list[Batch], float, bool], None]


@dataclass(frozen=True, slots=True)
class CommitterParts:
    """What a committer works with.

    `make_producer(turn)` makes the producer of turn 0 or 1. `committed_tokens` reads the tokens
    beside the group's committed offsets from the broker. `keep` brings what counted into the lanes'
    stores: its batches, and the offset of the last record written to each partition, as far as that
    is known. `observe` is told of every transaction: its batches, how long it took in seconds, and
    whether it counted. `name` is this worker's, part of its tokens. `unread` is a partition that
    the group does not read.
    """

    name: str
    unread: Partition
    make_producer: Callable[[int], Producer]
    committed_tokens: Callable[[Iterable[Partition]], Mapping[Partition, str]]
    keep: Callable[[list[Batch], Mapping[Partition, int]], None]
    observe: CommitObserver
    clock: Clock
    pause: Callable[[float], object]


class Committer:
    """Owns the transactional producers and the thread that uses them."""

    def __init__(self, parts: CommitterParts, ownership: Ownership) -> None:
        self._parts = parts
        self._ownership = ownership
        self._inbox: queue.SimpleQueue[Batch | Barrier | None] = queue.SimpleQueue()
        self._producers: list[Producer] = []
        self._turn = 0
        # Two lives of one worker never share a token.
        self._since = parts.clock.now_ms()
        self._number = 0
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._failure: BaseException | None = None
        self._began: float | None = None
        #: Whether the last transaction was aborted, perhaps for metadata that is too old. Written
        #: by the committer's thread; any thread may read it.
        self.refused = False

    def start(self, deadline: Deadline) -> None:
        """Make the producers ready, then begin to commit.

        Raises:
            KafkaFault: the broker did not answer before the deadline.
        """
        for turn in (0, 1):
            self._producers.append(self._fresh(turn, deadline))
        self._thread.start()

    @property
    def works(self) -> bool:
        """Tell whether what is submitted can still be committed."""
        return self._failure is None and not self._is_stuck()

    @property
    def busy(self) -> bool:
        """Tell whether something that was submitted is not settled; any thread may ask."""
        return self._began is not None or not self._inbox.empty()

    def check(self) -> None:
        """Make sure that the committer works.

        Raises:
            CommitterFailed: its thread ended with an error, or a call into the client library has
                not returned although its time is over.
        """
        if self._failure is not None:
            raise CommitterFailed(f"the committer failed: {self._failure}") from self._failure
        if self._is_stuck():
            raise CommitterFailed(f"a transaction has not ended in {STUCK_SECONDS:g} s")

    def submit(self, batch: Batch) -> None:
        """Hand over a finished prefix; it will be committed with whatever else is there."""
        self._inbox.put(batch)

    def barrier(self) -> Barrier:
        """Return a barrier behind everything that was submitted so far."""
        barrier = Barrier()
        self._inbox.put(barrier)
        return barrier

    def close(self, seconds: float) -> bool:
        """Commit what was submitted and stop; False if that was not done within `seconds`."""
        self._inbox.put(None)
        self._thread.join(seconds)
        done = not self._thread.is_alive()
        if done:
            for producer in self._producers:
                producer.close(_CLOSE_SECONDS)
        return done

    def _run(self) -> None:
        try:
            while self._commit_what_there_is():
                pass
        except Exception as error:  # noqa: BLE001 - a thread's boundary: the poll thread reports it
            self._failure = error
            _log.exception("commit.failed")

    def _is_stuck(self) -> bool:
        began = self._began
        return began is not None and self._parts.clock.monotonic() - began > STUCK_SECONDS

    def _commit_what_there_is(self) -> bool:
        batches: list[Batch] = []
        barriers: list[Barrier] = []
        go_on = True
        item = self._inbox.get()
        while True:
            if item is None:
                go_on = False
            elif isinstance(item, Batch):
                batches.append(item)
            else:
                barriers.append(item)
            try:
                item = self._inbox.get_nowait()
            except queue.Empty:
                break
        self._commit(batches)
        for barrier in barriers:
            barrier.pass_()
        return go_on

    def _commit(self, batches: list[Batch]) -> None:
        """Commit the batches of partitions that are still ours, however often it takes."""
        while batches := [b for b in batches if self._ownership.holds(b.source, b.epoch)]:
            self._began = began = self._parts.clock.monotonic()
            try:
                written = self._transact(batches)
            except TransactionAborted as error:
                _log.warning("commit.aborted", reason=str(error))
                self.refused = True
                self._observe(batches, began, counted=False)
                self._parts.pause(_ABORT_PAUSE_SECONDS)
            except TransactionInDoubt as error:
                _log.warning("commit.in_doubt", reason=str(error))
                self._observe(batches, began, counted=False)
                if self._has_counted(batches):
                    self._counted(batches, {})
                    return
            else:
                self.refused = False
                self._observe(batches, began, counted=True)
                self._counted(batches, written)
                return
        self._began = None

    def _counted(self, batches: list[Batch], written: Mapping[Partition, int]) -> None:
        self._began = None
        self._parts.keep(batches, written)
        for batch in batches:
            if batch.committed is not None:
                batch.committed()

    def _transact(self, batches: list[Batch]) -> Mapping[Partition, int]:
        metadata = self._ownership.metadata
        if metadata is None:
            raise TransactionAborted("the group metadata is not known yet")
        offsets: dict[Partition, int] = {}
        for batch in batches:
            offsets[batch.source] = max(batch.next_offset, offsets.get(batch.source, 0))
        self._number += 1
        transaction = Transaction(
            [record for done in in_order(batches) for record in done.records],
            offsets,
            self._token,
            metadata,
        )
        deadline = Deadline(self._parts.clock, TRANSACTION_SECONDS)
        written = self._producers[self._turn].commit(transaction, deadline)
        self._turn ^= 1
        return written

    @property
    def _token(self) -> str:
        return f"{self._parts.name}.{self._since}.{self._number}"

    def _has_counted(self, batches: list[Batch]) -> bool:
        """Replace the producer, which settles its transaction, and tell what came of it."""
        self._producers[self._turn].close(0)
        while True:
            self._began = self._parts.clock.monotonic()
            try:
                deadline = Deadline(self._parts.clock, TRANSACTION_SECONDS)
                self._producers[self._turn] = self._fresh(self._turn, deadline)
                tokens = self._parts.committed_tokens({batch.source for batch in batches})
            except KafkaFault as error:
                _log.warning("commit.still_in_doubt", reason=str(error))
                self._parts.pause(_DOUBT_PAUSE_SECONDS)
                self._stir()
            else:
                return self._token in tokens.values()

    def _stir(self) -> None:
        """Commit with the producer that is not in doubt, so that its last commit is seen to end.

        A broker that stops as the only one may forget to tell the group of a transaction's end.
        The group's offsets then stay undecided until the same producer ends another one. What it
        commits is the offset of a partition that the group does not read.
        """
        metadata, turn = self._ownership.metadata, self._turn ^ 1
        if metadata is None:
            return
        deadline = Deadline(self._parts.clock, _STIR_SECONDS)
        try:
            self._producers[turn].commit(
                Transaction((), {self._parts.unread: 0}, "", metadata), deadline
            )
        except TransactionAborted as error:
            _log.info("commit.stir_aborted", reason=str(error))
        except TransactionInDoubt as error:
            _log.warning("commit.stir_in_doubt", reason=str(error))
            self._producers[turn].close(0)
            try:
                self._producers[turn] = self._fresh(turn, deadline)
            except KafkaFault as fault:
                _log.warning("commit.still_in_doubt", reason=str(fault))

    def _fresh(self, turn: int, deadline: Deadline) -> Producer:
        producer = self._parts.make_producer(turn)
        producer.initialise(deadline)
        return producer

    def _observe(self, batches: list[Batch], began: float, *, counted: bool) -> None:
        self._parts.observe(batches, self._parts.clock.monotonic() - began, counted)
