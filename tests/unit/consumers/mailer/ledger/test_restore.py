"""The restorer: lanes in turn, each handed over once or not at all, whatever is in the way."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consumers.mailer.ledger.catch_up import RestorerParts
from consumers.mailer.ledger.restore import RestoreFailed, Restorer, Ticket
from consumers.mailer.ledger.store import LaneStore, StoreBusy, StorePlace
from retry_topics.topology import Topology, parse_tiers
from runtime.clock import SystemClock
from runtime.kafka.bulk import Batch
from runtime.kafka.errors import KafkaUnreachable
from runtime.kafka.records import Partition
from runtime.kafka.topics import Span
from schemas.ledger import standing_of, write_entry
from tests.support.ledger import BOOT_ID, Handed, entry, event_id
from tests.support.wait import wait_until

TOPOLOGY = Topology("mails", parse_tiers("1m"), 4)


class Log:
    """The cluster and the reader in one: every lane's partitions have the same messages."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes | None, bytes | None, int]] = []
        self.faults: list[Exception] = []
        self.held_back = threading.Event()
        self.held_back.set()
        self.asked = 0
        self.restores: list[int] = []

    def restored(self, seconds: float, entries: int) -> None:
        """Take note of a restore that is done."""
        assert seconds >= 0
        self.restores.append(entries)

    def cluster_id(self) -> str:
        return "cluster"

    def topic_ids(self, names: Sequence[str]) -> dict[str, str]:
        self.asked += 1
        if self.faults:
            raise self.faults.pop(0)
        return dict.fromkeys(names, "id")

    def partition_spans(self, partitions: Sequence[Partition]) -> dict[Partition, Span]:
        return {
            partition: Span(0, len(self.messages) if partition.topic == TOPOLOGY.ledger else 0)
            for partition in partitions
        }

    def read(
        self, partition: Partition, span: Span, stopped: Callable[[], bool]
    ) -> Iterator[Batch]:
        for offset in range(*span):
            while not self.held_back.wait(0.01):
                if stopped():
                    return
            yield Batch([self.messages[offset]], offset + 1)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def log() -> Log:
    log = Log()
    log.messages = [(event_id(), write_entry(entry()), offset) for offset in range(5)]
    return log


def _parts(log: Log, state_dir: Path) -> RestorerParts:
    place = StorePlace(state_dir, wait_seconds=0)
    clock = SystemClock()
    return RestorerParts(
        TOPOLOGY, log, log, place, BOOT_ID, clock, log.restored, pause_seconds=0.01
    )


@pytest.fixture
def restorer(log: Log, tmp_path: Path) -> Iterator[Restorer]:
    restorer = Restorer(_parts(log, tmp_path))
    yield restorer
    log.held_back.set()
    assert restorer.close(10)


def test_lanes_are_restored_in_the_order_of_asking(restorer: Restorer, log: Log) -> None:
    """One after another; each one's store has what the log has."""
    order: list[int] = []
    stores: list[LaneStore] = []

    def take(lane: int) -> Callable[[LaneStore | RestoreFailed], None]:
        def done(result: LaneStore | RestoreFailed) -> None:
            assert isinstance(result, LaneStore)
            stores.append(result)
            order.append(lane)

        return done

    for lane in (2, 0, 3):
        restorer.restore(lane, take(lane))
    wait_until(lambda: len(order) == 3)

    assert order == [2, 0, 3]
    assert log.restores == [len(log.messages)] * 3
    for store in stores:
        assert all(store.get(key) == standing_of(entry()) for key, _, _ in log.messages if key)
        store.close()


def test_a_lane_that_is_given_up_in_the_queue_is_never_begun(
    restorer: Restorer, log: Log, tmp_path: Path
) -> None:
    """The lanes behind it get their turn."""
    log.held_back.clear()
    first, given_up, last = Handed(), Handed(), Handed()
    restorer.restore(0, first)
    assert restorer.restore(1, given_up).cancel()
    restorer.restore(2, last)
    log.held_back.set()
    first.store().close()
    last.store().close()

    assert not given_up.done
    assert not (tmp_path / "mails" / "lane-1").exists()


def test_a_lane_that_is_given_up_half_way_lets_go_of_its_store(
    restorer: Restorer, log: Log
) -> None:
    """What it has read so far stays for the next time."""
    log.held_back.clear()
    handed, again = Handed(), Handed()
    ticket = restorer.restore(0, handed)
    wait_until(lambda: log.asked)
    assert ticket.cancel()
    restorer.restore(0, again)
    log.held_back.set()
    again.store().close()

    assert not handed.done


def test_what_is_in_the_way_is_waited_for(restorer: Restorer, log: Log) -> None:
    """Told once for each kind, and it uses up no attempts: six faults are not too many."""
    log.faults = [KafkaUnreachable("kafka", "gone"), StoreBusy("held")] * 3
    handed = Handed()
    with capture_logs() as logs:
        restorer.restore(0, handed)
        handed.store().close()

    told = [line["reason"] for line in logs if line["event"] == "lane.restore_waits"]
    assert told == ["no Kafka answers at kafka: gone", "held"]


def test_a_fault_of_our_own_code_is_told_to_whoever_waits(restorer: Restorer, log: Log) -> None:
    """And the next lane is restored all the same."""
    log.faults = [ZeroDivisionError("never meant to happen")]
    failed, fine = Handed(), Handed()
    with capture_logs() as logs:
        restorer.restore(0, failed)
        restorer.restore(1, fine)
        fine.store().close()

    assert isinstance(failed.result, RestoreFailed)
    assert "never meant to happen" in str(failed.result)
    assert "lane.restore_failed" in {line["event"] for line in logs}


def test_a_store_that_nobody_takes_is_closed(restorer: Restorer, log: Log) -> None:
    """The loop that was to get it is closed: the lane's next restore finds no lock."""

    def raises(_: object) -> None:
        raise RuntimeError("Event loop is closed")

    handed = Handed()
    with capture_logs():
        restorer.restore(0, raises)
        restorer.restore(0, handed)
        handed.store(5).close()


def test_closing_gives_up_every_lane(log: Log, tmp_path: Path) -> None:
    """The one in work and the ones in the queue; the thread ends."""
    log.held_back.clear()
    restorer = Restorer(_parts(log, tmp_path))
    handed = [Handed() for _ in range(3)]
    for lane, done in enumerate(handed):
        restorer.restore(lane, done)
    wait_until(lambda: log.asked)

    assert restorer.close(10)
    assert not any(done.done for done in handed)


def test_a_ticket_is_either_handed_over_or_cancelled() -> None:
    """Whichever comes first; both sides learn which it was."""
    failed = RestoreFailed(0, "test")
    cancelled, handed = Handed(), Handed()
    ticket = Ticket(0, cancelled)
    assert ticket.cancel()
    assert ticket.cancel()
    assert not ticket.hand_over(failed)
    assert not cancelled.done

    ticket = Ticket(0, handed)
    assert ticket.hand_over(failed)
    assert not ticket.cancel()
    assert not ticket.stopped()
    assert handed.result is failed
