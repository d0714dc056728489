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
from consumers.mailer.completion import Completion
from consumers.mailer.ledger.lane import LaneLedger
from runtime.clock import Clock, Deadline, SystemClock
from runtime.kafka.consumer import GroupMetadata
from runtime.kafka.errors import KafkaFault
from runtime.kafka.records import OutRecord, Partition
from runtime.kafka.transactions import Transaction, TransactionAborted, TransactionInDoubt
from tests.support.clock import ManualClock
from tests.support.ledgers import MemoryStore

LANE, OTHER = Partition("t", 0), Partition("t", 1)
UNREAD = Partition("t.ledger", 0)


class Broker:
    """What a broker would hold: the committed transactions, and what to say to the next ones."""

    def __init__(self) -> None:
        self.transactions: list[tuple[list[OutRecord], dict[Partition, int]]] = []
        self.answers: queue.SimpleQueue[Exception] = queue.SimpleQueue()
        self.counts_in_doubt = False
        self.undecided = False
        self.tokens: dict[Partition, str] = {}
        self.kept: list[tuple[list[Batch], dict[Partition, int]]] = []
        self.producers = 0
        self.hold = threading.Event()
        self.hold.set()
        self.entered = threading.Event()

    def committed(self, partitions: Iterable[Partition]) -> Mapping[Partition, str]:
        if self.undecided:
            raise KafkaFault("the group's offsets are not decided")
        return {p: self.tokens[p] for p in partitions if p in self.tokens}

    def keep(self, batches: list[Batch], written: Mapping[Partition, int]) -> None:
        self.kept.append((batches, dict(written)))

    def commit(self, transaction: Transaction) -> Mapping[Partition, int]:
        self.transactions.append((list(transaction.records), dict(transaction.offsets)))
        self.tokens |= dict.fromkeys(transaction.offsets, transaction.token)
        if UNREAD in transaction.offsets:
            self.undecided = False
        return {Partition(record.topic, record.partition or 0): 9 for record in transaction.records}


class FakeProducer:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        broker.producers += 1

    def initialise(self, deadline: Deadline) -> None:
        pass

    def commit(self, transaction: Transaction, deadline: Deadline) -> Mapping[Partition, int]:
        self._broker.entered.set()
        self._broker.hold.wait(5)
        if not self._broker.answers.empty():
            answer = self._broker.answers.get()
            if isinstance(answer, TransactionInDoubt) and self._broker.counts_in_doubt:
                self._broker.commit(transaction)
            raise answer
        return self._broker.commit(transaction)

    def close(self, seconds: float) -> None:
        pass


def start(broker: Broker, clock: Clock | None = None) -> tuple[Committer, Ownership]:
    ownership = Ownership()
    ownership.metadata = GroupMetadata(b"")
    clock = clock or SystemClock()
    parts = CommitterParts(
        name="w",
        unread=UNREAD,
        make_producer=lambda turn: FakeProducer(broker),
        committed_tokens=broker.committed,
        keep=broker.keep,
        observe=lambda batches, seconds, counted: None,
        clock=clock,
        pause=lambda seconds: None,
    )
    committer = Committer(parts, ownership)
    committer.start(Deadline(clock, 5))
    return committer, ownership


LEDGER = LaneLedger(0, MemoryStore(), None, {})


def batch(source: Partition, epoch: int, upto: int, forward: bytes | None = None) -> Batch:
    records = (OutRecord("t.dlt", b"k", forward, (), source.number),) if forward else ()
    return Batch(source, epoch, upto, LEDGER, [Completion(source, upto - 1, records)])


def test_what_gathers_during_a_transaction_is_committed_together() -> None:
    """The committer never waits to fill, and takes all there is."""
    broker = Broker()
    committer, ownership = start(broker)
    lane, other = ownership.acquire(LANE), ownership.acquire(OTHER)
    broker.hold.clear()
    committer.submit(batch(LANE, lane, 1))
    assert broker.entered.wait(5)
    committer.submit(batch(LANE, lane, 2, b"x"))
    committer.submit(batch(OTHER, other, 7))
    committer.submit(batch(LANE, lane, 3))
    barrier = committer.barrier()
    broker.hold.set()
    assert barrier.wait(5)
    assert committer.close(5)
    assert [offsets for _, offsets in broker.transactions] == [{LANE: 1}, {LANE: 3, OTHER: 7}]
    assert [record.value for record in broker.transactions[1][0]] == [b"x"]


def test_an_aborted_transaction_is_repeated_whole() -> None:
    """A fault that did nothing costs nothing."""
    broker = Broker()
    committer, ownership = start(broker)
    epoch = ownership.acquire(LANE)
    broker.answers.put(TransactionAborted("rebalance"))
    broker.answers.put(TransactionAborted("rebalance"))
    committer.submit(batch(LANE, epoch, 1, b"x"))
    assert committer.close(5)
    assert [(len(records), offsets) for records, offsets in broker.transactions] == [(1, {LANE: 1})]


def test_nothing_of_a_lost_assignment_is_committed() -> None:
    """The epoch rule: a partition that was lost, even if it came back, commits nothing old."""
    broker = Broker()
    committer, ownership = start(broker)
    old = ownership.acquire(LANE)
    kept = ownership.acquire(OTHER)
    ownership.release(LANE)
    ownership.acquire(LANE)
    committer.submit(batch(LANE, old, 1, b"x"))
    committer.submit(batch(OTHER, kept, 1))
    assert committer.close(5)
    assert [offsets for _, offsets in broker.transactions] == [{OTHER: 1}]


def test_a_doubt_that_turns_out_committed_is_not_repeated() -> None:
    """The token beside the offsets was part of the transaction, so it tells that it counted."""
    broker = Broker()
    committer, ownership = start(broker)
    epoch = ownership.acquire(LANE)
    broker.answers.put(TransactionInDoubt("fenced"))
    broker.counts_in_doubt = True
    committer.submit(batch(LANE, epoch, 1, b"x"))
    assert committer.close(5)
    assert len(broker.transactions) == 1
    assert broker.producers == 3
    assert [written for _, written in broker.kept] == [{}]


def test_offsets_that_stay_undecided_are_stirred_by_the_other_producer() -> None:
    """A broker that forgot the end of its last commit hears of it with the next one."""
    broker = Broker()
    committer, ownership = start(broker)
    epoch = ownership.acquire(LANE)
    broker.answers.put(TransactionInDoubt("fenced"))
    broker.undecided = True
    committer.submit(batch(LANE, epoch, 1, b"x"))
    assert committer.close(5)
    assert [offsets for _, offsets in broker.transactions] == [{UNREAD: 0}, {LANE: 1}]


def test_what_counted_is_kept_with_the_places_of_its_records() -> None:
    """The lanes' stores hear of a transaction after it, and who waits for it hears after them."""
    broker = Broker()
    committer, ownership = start(broker)
    heard: list[int] = []
    done = batch(LANE, ownership.acquire(LANE), 1, b"x")
    done.committed = lambda: heard.append(len(broker.kept))
    broker.answers.put(TransactionAborted("rebalance"))
    committer.submit(done)
    assert committer.close(5)
    assert broker.kept == [([done], {Partition("t.dlt", 0): 9})]
    assert heard == [1]


def test_a_doubt_that_turns_out_aborted_is_repeated_with_a_new_producer() -> None:
    """Another token, or none, tells that nothing of it counted."""
    broker = Broker()
    committer, ownership = start(broker)
    epoch = ownership.acquire(LANE)
    broker.answers.put(TransactionInDoubt("fenced"))
    committer.submit(batch(LANE, epoch, 1, b"x"))
    assert committer.close(5)
    assert [offsets for _, offsets in broker.transactions] == [{LANE: 1}]


def test_a_fault_that_nobody_expected_is_kept_for_the_poll_thread() -> None:
    """The committer does not go on after a fault of its own."""
    broker = Broker()
    committer, ownership = start(broker)
    epoch = ownership.acquire(LANE)
    broker.answers.put(ZeroDivisionError())
    committer.submit(batch(LANE, epoch, 1))
    assert committer.close(5)
    assert not committer.works
    with pytest.raises(CommitterFailed):
        committer.check()


def test_a_call_that_never_returns_is_noticed() -> None:
    """A client library that hangs stops the worker instead of holding its mails in silence."""
    broker = Broker()
    clock = ManualClock()
    committer, ownership = start(broker, clock)
    broker.hold.clear()
    committer.submit(batch(LANE, ownership.acquire(LANE), 1))
    assert broker.entered.wait(5)
    committer.check()
    clock.advance(STUCK_SECONDS + 1)
    with pytest.raises(CommitterFailed, match="not ended"):
        committer.check()
    broker.hold.set()
    assert committer.close(5)
    assert committer.works
