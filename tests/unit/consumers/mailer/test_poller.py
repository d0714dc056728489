"""The poll thread's turns: how often it asks the client, and when it must."""

import queue
import threading
from collections.abc import Callable, Sequence
from typing import cast
from unittest.mock import Mock

import pytest

from consumers.mailer.committer import Committer, Ownership
from consumers.mailer.completion import Completion
from consumers.mailer.engine import Engine
from consumers.mailer.job import Finished, Job
from consumers.mailer.lanes import Lanes
from consumers.mailer.ledger.desk import LedgerDesk
from consumers.mailer.ledger.lane import LaneLedger
from consumers.mailer.poller import Poller, PollerParts, gather
from consumers.mailer.telemetry import Telemetry
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.consumer import GroupMetadata, Polled, RebalanceListener
from runtime.kafka.records import Partition, Record
from schemas.switches import Switches
from tests.support.clock import ManualClock

TOPOLOGY = Topology("signups", parse_tiers("1m"), 1)
OURS = [Partition(topic, 0) for topic in TOPOLOGY.consumed]


class Member:
    """A member of a group; how long its polls take and what they bring is a test's to say."""

    def __init__(self, listener: RebalanceListener, clock: ManualClock) -> None:
        self.listener = listener
        self.clock = clock
        self.polls = 0
        self.seconds = 0.1
        self.records: list[Record] = []
        self.each: Callable[[], object] = lambda: None
        #: At which poll the group's metadata was asked for.
        self.asked: list[int] = []

    def subscribe(self, topics: Sequence[str]) -> None:
        """Join."""

    def poll(self, most: int, timeout: float) -> Polled:
        self.polls += 1
        self.each()
        self.clock.advance(self.seconds)
        records, self.records = self.records, []
        return Polled(records, {})

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Nothing is read anyway."""

    resume = pause

    def metadata(self) -> GroupMetadata:
        self.asked.append(self.polls)
        return GroupMetadata(len(self.asked))

    def close(self) -> None:
        """Leave."""


@pytest.fixture
def ownership() -> Ownership:
    """Nothing is ours."""
    return Ownership()


@pytest.fixture
def committer() -> Mock:
    """Return a committer that always has something in hand."""
    return Mock(spec=Committer, busy=True, works=True, refused=False)


@pytest.fixture
def members() -> list[Member]:
    """Return the members that the poll thread has made."""
    return []


@pytest.fixture
def parts(ownership: Ownership, committer: Mock, members: list[Member]) -> PollerParts:
    """Return what the poll thread works with."""
    clock = ManualClock()

    def make(listener: RebalanceListener) -> Member:
        members.append(Member(listener, clock))
        return members[0]

    return PollerParts(
        make_consumer=make,
        topics=TOPOLOGY.consumed,
        lanes=Lanes(TOPOLOGY, most_pending=64),
        engine=cast(Engine, Mock(spec=Engine)),
        desk=cast(LedgerDesk, Mock(spec=LedgerDesk)),
        reports=queue.SimpleQueue(),
        committer=cast(Committer, committer),
        ownership=ownership,
        outage=lambda: None,
        switches=Switches,
        beat=lambda: None,
        telemetry=cast(Telemetry, Mock(spec=Telemetry)),
        clock=clock,
        max_in_flight=8,
        drain_seconds=1.0,
    )


@pytest.fixture
def poller(parts: PollerParts, members: list[Member]) -> tuple[Poller, Member]:
    """Return a poll thread and its member of the group."""
    return Poller(parts), members[0]


def test_the_groups_metadata_is_asked_for_four_times_a_second(
    poller: tuple[Poller, Member], ownership: Ownership
) -> None:
    """To ask holds up all threads, and it seldom changes."""
    thread, member = poller
    member.each = lambda: thread.stop() if member.polls == 11 else None

    thread.run()

    # After 3 polls of 100 ms the answer is 300 ms old; the last question is the end's.
    assert member.asked == [0, 3, 6, 9, 11]
    assert ownership.metadata == GroupMetadata(5)


def test_an_assignment_makes_the_metadata_stale(poller: tuple[Poller, Member]) -> None:
    """What was known of the group before it may be refused from then on."""
    thread, member = poller

    def each() -> None:
        if member.polls == 2:
            member.listener.assigned(OURS)
        if member.polls == 3:
            thread.stop()

    member.each = each
    thread.run()

    assert member.asked[:2] == [0, 2]


def test_a_refused_transaction_is_repeated_with_fresh_metadata(
    poller: tuple[Poller, Member], committer: Mock
) -> None:
    """The committer pauses before it repeats one, and the answer is there by then."""
    thread, member = poller

    def each() -> None:
        committer.refused = member.polls in (1, 2)
        if member.polls == 4:
            thread.stop()

    member.each = each
    thread.run()

    assert member.asked[:3] == [0, 1, 2]


class Shift:
    """A poll thread with a lane that has records to begin, one of which ends in each poll."""

    def __init__(self, parts: PollerParts, poller: tuple[Poller, Member]) -> None:
        self._parts = parts
        self._thread, self._member = poller
        self._jobs: list[Job] = []
        cast(Mock, parts.engine).dispatch.side_effect = self._jobs.extend

    def work(
        self, records: int, polls: int, each: Callable[[int], object] = lambda poll: None
    ) -> None:
        """Let it poll so often, 20 ms each time, and stop when all that is in hand has ended."""
        member = self._member
        member.seconds = 0.02

        def turn() -> None:
            if member.polls == 1:
                self._begin(records)
            each(member.polls)
            self._end(1)
            if member.polls == polls:
                self._end(len(self._jobs))
                self._thread.stop()

        member.each = turn
        self._thread.run()

    def _begin(self, records: int) -> None:
        self._member.listener.assigned(OURS)
        (lane,) = self._parts.lanes.lanes()
        lane.ledger = Mock(spec=LaneLedger)
        self._member.records = [
            Record(TOPOLOGY.main, 0, offset, 1, None, b"", ()) for offset in range(records)
        ]

    def _end(self, number: int) -> None:
        for job in self._jobs[:number]:
            done = Completion(job.source, job.record.offset)
            self._parts.reports.put(Finished(job, done))
        del self._jobs[:number]


@pytest.fixture
def shift(parts: PollerParts, poller: tuple[Poller, Member]) -> Shift:
    """Return a poll thread with something to do."""
    return Shift(parts, poller)


def _batches(committer: Mock) -> list[int]:
    """Return the offsets that were handed to the committer."""
    return [call.args[0].next_offset for call in committer.submit.call_args_list]


def test_with_a_backlog_what_ended_is_committed_together(shift: Shift, committer: Mock) -> None:
    """A transaction costs the brokers much, however little is in it; the end waits for nothing."""
    shift.work(records=50, polls=13)

    assert _batches(committer) == [3, 6, 9, 19]


def test_what_ends_last_is_committed_at_once(shift: Shift, committer: Mock) -> None:
    """With room in the engine nobody waits for others."""
    shift.work(records=7, polls=6)

    assert _batches(committer)[:4] == [1, 2, 3, 4]


def test_a_refused_transaction_does_not_wait_for_the_next_one(
    shift: Shift, committer: Mock, poller: tuple[Poller, Member]
) -> None:
    """It is repeated at once, and needs fresh metadata."""

    def each(poll: int) -> None:
        committer.refused = poll == 5

    shift.work(records=50, polls=8, each=each)

    assert poller[1].asked[:3] == [0, 1, 5]


@pytest.mark.parametrize(
    ("ended", "stops_at", "waits"),
    [
        pytest.param([64], None, 0, id="there is enough"),
        pytest.param([0, 30, 64], None, 2, id="there will be"),
        pytest.param([0] * 5, None, 5, id="nothing ends for 5 x 4 ms"),
        pytest.param([0] * 5, 2, 2, id="the worker stops"),
    ],
)
def test_what_ends_is_gathered_for_a_moment(
    ended: list[int], stops_at: int | None, waits: int
) -> None:
    """Neither for longer than 20 ms, nor once there is enough, nor when all is to end."""
    stopping = Mock(spec=threading.Event)
    stopping.wait.side_effect = lambda seconds: stopping.wait.call_count == stops_at

    gather(iter(ended).__next__, 64, stopping)

    assert stopping.wait.call_count == waits
