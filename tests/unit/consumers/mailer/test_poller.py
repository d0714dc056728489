"""The poll thread's turns: how often it asks the client, and when it must."""

import queue
import threading
from collections.abc import Callable, Sequence
from typing import cast
from unittest.mock import Mock

import pytest

from consumers.mailer.committer import Committer, Ownership
from consumers.mailer.engine import Engine
from consumers.mailer.lanes import Lanes
from consumers.mailer.ledger.desk import LedgerDesk
from consumers.mailer.poller import Poller, PollerParts, gather
from consumers.mailer.telemetry import Telemetry
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.consumer import GroupMetadata, Polled, RebalanceListener
from runtime.kafka.records import Partition
from schemas.switches import Switches
from tests.support.clock import ManualClock

TOPOLOGY = Topology("signups", parse_tiers("1m"), 1)
OURS = [Partition(topic, 0) for topic in TOPOLOGY.consumed]


class Member:
    """A member of a group whose polls take 100 ms and bring nothing but what a test scripts."""

    def __init__(self, listener: RebalanceListener, clock: ManualClock) -> None:
        self.listener = listener
        self.clock = clock
        self.polls = 0
        self.each: Callable[[], object] = lambda: None
        #: At which poll the group's metadata was asked for.
        self.asked: list[int] = []

    def subscribe(self, topics: Sequence[str]) -> None:
        """Join."""

    def poll(self, most: int, timeout: float) -> Polled:
        self.polls += 1
        self.each()
        self.clock.advance(0.1)
        return Polled([], {})

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
def poller(ownership: Ownership, committer: Mock) -> tuple[Poller, Member]:
    """Return a poll thread and its member of the group."""
    clock = ManualClock()
    members: list[Member] = []

    def make(listener: RebalanceListener) -> Member:
        members.append(Member(listener, clock))
        return members[0]

    parts = PollerParts(
        make_consumer=make,
        topics=TOPOLOGY.consumed,
        lanes=Lanes(TOPOLOGY, most_pending=8),
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
