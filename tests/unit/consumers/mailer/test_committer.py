"""The committer: everything there is in one transaction, aborted ones repeated, doubts settled."""

import queue
import threading
from collections.abc import Iterable, Mapping

import pytest

from consumers.mailer.committer import (
    STUCK_SECONDS,
    Batch,
    Committer,
    CommitterFailed,
    CommitterParts,
    Ownership,
)
from consumers.mailer.completion import Completion, Ending
from runtime.clock import Clock, Deadline, SystemClock
from runtime.kafka.consumer import GroupMetadata
from runtime.kafka.records import OutRecord, Partition
from runtime.kafka.transactions import TransactionAborted, TransactionInDoubt
from tests.support.clock import ManualClock

LANE, OTHER = Partition("t", 0), Partition("t", 1)


class Ledger:
    """What a broker would hold: the committed transactions, and what to say to the next ones."""

    def __init__(self) -> None:
        self.transactions: list[tuple[list[OutRecord], dict[Partition, int]]] = []
        self.answers: queue.SimpleQueue[Exception] = queue.SimpleQueue()
        self.offsets: dict[Partition, int] = {}
        self.producers = 0
        self.hold = threading.Event()
        self.hold.set()
        self.entered = threading.Event()

    def committed(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        return {p: self.offsets[p] for p in partitions if p in self.offsets}


class FakeProducer:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        ledger.producers += 1

    def initialise(self, deadline: Deadline) -> None:
        pass

    def commit(
        self,
        records: list[OutRecord],
        offsets: Mapping[Partition, int],
        metadata: GroupMetadata,
        deadline: Deadline,
    ) -> None:
        self._ledger.entered.set()
        self._ledger.hold.wait(5)
        if not self._ledger.answers.empty():
            raise self._ledger.answers.get()
        self._ledger.transactions.append((list(records), dict(offsets)))
        self._ledger.offsets |= offsets

    def close(self) -> None:
        pass


def start(ledger: Ledger, clock: Clock | None = None) -> tuple[Committer, Ownership]:
    ownership = Ownership()
    ownership.metadata = GroupMetadata(b"")
    clock = clock or SystemClock()
    parts = CommitterParts(
        make_producer=lambda turn: FakeProducer(ledger),
        committed_offsets=ledger.committed,
        observe=lambda batches, seconds, counted: None,
        clock=clock,
        pause=lambda seconds: None,
    )
    committer = Committer(parts, ownership)
    committer.start(Deadline(clock, 5))
    return committer, ownership


def batch(source: Partition, epoch: int, upto: int, forward: bytes | None = None) -> Batch:
    out = OutRecord("t.dlt", b"k", forward, (), source.number) if forward else None
    ending = Ending.DEAD if forward else Ending.SENT
    return Batch(source, epoch, upto, [Completion(source, upto - 1, ending, out)])


def test_what_gathers_during_a_transaction_is_committed_together() -> None:
    """The committer never waits to fill, and takes all there is."""
    ledger = Ledger()
    committer, ownership = start(ledger)
    lane, other = ownership.acquire(LANE), ownership.acquire(OTHER)
    ledger.hold.clear()
    committer.submit(batch(LANE, lane, 1))
    assert ledger.entered.wait(5)
    committer.submit(batch(LANE, lane, 2, b"x"))
    committer.submit(batch(OTHER, other, 7))
    committer.submit(batch(LANE, lane, 3))
    barrier = committer.barrier()
    ledger.hold.set()
    assert barrier.wait(5)
    assert committer.close(5)
    assert [offsets for _, offsets in ledger.transactions] == [{LANE: 1}, {LANE: 3, OTHER: 7}]
    assert [record.value for record in ledger.transactions[1][0]] == [b"x"]


def test_an_aborted_transaction_is_repeated_whole() -> None:
    """A fault that did nothing costs nothing."""
    ledger = Ledger()
    committer, ownership = start(ledger)
    epoch = ownership.acquire(LANE)
    ledger.answers.put(TransactionAborted("rebalance"))
    ledger.answers.put(TransactionAborted("rebalance"))
    committer.submit(batch(LANE, epoch, 1, b"x"))
    assert committer.close(5)
    assert [(len(records), offsets) for records, offsets in ledger.transactions] == [(1, {LANE: 1})]


def test_nothing_of_a_lost_assignment_is_committed() -> None:
    """The epoch rule: a partition that was lost, even if it came back, commits nothing old."""
    ledger = Ledger()
    committer, ownership = start(ledger)
    old = ownership.acquire(LANE)
    kept = ownership.acquire(OTHER)
    ownership.release(LANE)
    ownership.acquire(LANE)
    committer.submit(batch(LANE, old, 1, b"x"))
    committer.submit(batch(OTHER, kept, 1))
    assert committer.close(5)
    assert [offsets for _, offsets in ledger.transactions] == [{OTHER: 1}]


def test_a_doubt_that_turns_out_committed_is_not_repeated() -> None:
    """The group's offsets were part of the transaction, so they tell that it counted."""
    ledger = Ledger()
    committer, ownership = start(ledger)
    epoch = ownership.acquire(LANE)
    ledger.answers.put(TransactionInDoubt("fenced"))
    ledger.offsets[LANE] = 1
    committer.submit(batch(LANE, epoch, 1, b"x"))
    assert committer.close(5)
    assert ledger.transactions == []
    assert ledger.producers == 3


def test_a_doubt_that_turns_out_aborted_is_repeated_with_a_new_producer() -> None:
    """Offsets that did not move tell that nothing of it counted."""
    ledger = Ledger()
    committer, ownership = start(ledger)
    epoch = ownership.acquire(LANE)
    ledger.answers.put(TransactionInDoubt("fenced"))
    committer.submit(batch(LANE, epoch, 1, b"x"))
    assert committer.close(5)
    assert [offsets for _, offsets in ledger.transactions] == [{LANE: 1}]


def test_a_fault_that_nobody_expected_is_kept_for_the_poll_thread() -> None:
    """The committer does not go on after a fault of its own."""
    ledger = Ledger()
    committer, ownership = start(ledger)
    epoch = ownership.acquire(LANE)
    ledger.answers.put(ZeroDivisionError())
    committer.submit(batch(LANE, epoch, 1))
    assert committer.close(5)
    assert not committer.works
    with pytest.raises(CommitterFailed):
        committer.check()


def test_a_call_that_never_returns_is_noticed() -> None:
    """A client library that hangs stops the worker instead of holding its mails in silence."""
    ledger = Ledger()
    clock = ManualClock()
    committer, ownership = start(ledger, clock)
    ledger.hold.clear()
    committer.submit(batch(LANE, ownership.acquire(LANE), 1))
    assert ledger.entered.wait(5)
    committer.check()
    clock.advance(STUCK_SECONDS + 1)
    with pytest.raises(CommitterFailed, match="not ended"):
        committer.check()
    ledger.hold.set()
    assert committer.close(5)
    assert committer.works
