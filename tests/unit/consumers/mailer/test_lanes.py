"""Lanes and feeds: who begins next, who waits, and when a partition is paused."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.mailer.completion import Completion, Ending
from consumers.mailer.feed import Feed
from consumers.mailer.lanes import Lanes, wake_time
from retry_topics.headers import Journey, write_journey
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.consumer import Polled
from runtime.kafka.records import Partition, Record

TOPOLOGY = Topology("t", parse_tiers("1m,10m"), 2)
NOW = 1_800_000_000_000
MAIN = Partition("t", 0)
TIER = Partition("t.retry.1m", 0)


def record(source: Partition, offset: int, due_at: int | None = None, at: int = NOW) -> Record:
    headers = write_journey((), Journey(due_at=due_at)) if due_at is not None else ()
    return Record(source.topic, source.number, offset, at, b"k", b"v", headers)


def read(lanes: Lanes, *records: Record) -> None:
    lanes.push(Polled(list(records), {}))


def test_a_main_record_may_begin_at_once() -> None:
    """Nothing on the main topic waits in a feed for a time."""
    assert wake_time(record(MAIN, 0, due_at=NOW + 5), None) == 0


def test_a_tier_record_waits_until_it_is_due_but_not_longer_than_the_tier() -> None:
    """The wake time is the due time, bounded by the tier's delay from the record's timestamp."""
    tier = TOPOLOGY.tiers[0]
    assert wake_time(record(TIER, 0, due_at=NOW + 5_000), tier) == NOW + 5_000
    assert wake_time(record(TIER, 0, due_at=NOW + 10**9), tier) == NOW + 60_000
    assert wake_time(record(TIER, 0), tier) == NOW + 60_000


def test_a_waiting_head_holds_its_partition_back_and_no_other() -> None:
    """A tier's later records wait behind the head; the main topic goes on."""
    lanes = Lanes(TOPOLOGY, 100)
    lanes.add(MAIN, 1)
    lanes.add(TIER, 2)
    read(lanes, record(TIER, 0, NOW + 50), record(TIER, 1, NOW + 10), record(MAIN, 0))
    assert [job.source for job, _ in lanes.begin(10, NOW + 20)] == [MAIN]
    assert lanes.next_wake() == NOW + 50
    assert [job.record.offset for job, _ in lanes.begin(10, NOW + 50)] == [0, 1]


def test_records_of_partitions_that_went_are_left_alone() -> None:
    """What was fetched before a revocation and returned after it is not ours."""
    lanes = Lanes(TOPOLOGY, 100)
    lanes.add(MAIN, 1)
    lanes.remove([MAIN])
    read(lanes, record(MAIN, 0))
    assert lanes.begin(10, NOW) == []
    assert lanes.of(MAIN, 1) is None


def test_a_new_assignment_is_not_the_old_one() -> None:
    """The epoch tells a partition that came back from the one that went."""
    lanes = Lanes(TOPOLOGY, 100)
    lanes.add(MAIN, 1)
    lanes.add(MAIN, 2)
    assert lanes.of(MAIN, 1) is None
    assert lanes.of(MAIN, 2) is not None


def test_a_stuck_record_bounds_what_begins_behind_it() -> None:
    """No more than `most_pending` records of a partition begin while its first one runs."""
    lanes = Lanes(TOPOLOGY, most_pending=3)
    lanes.add(MAIN, 1)
    read(lanes, *(record(MAIN, offset) for offset in range(10)))
    begun = [job.record.offset for job, _ in lanes.begin(10, NOW)]
    assert begun == [0, 1, 2]
    assigned = lanes.of(MAIN, 1)
    assert assigned is not None
    for offset in (1, 2):
        assigned.tracker.finish(offset, Completion(MAIN, offset, Ending.SENT))
    assert assigned.tracker.take() is None
    assert lanes.begin(10, NOW) == []


@given(st.integers(0, 200), st.integers(0, 60), st.integers(0, 60))
def test_credits_are_kept_and_partitions_take_turns(credits_: int, mains: int, due: int) -> None:
    """Never more than the credits begin, and never fewer than credits and records allow."""
    lanes = Lanes(TOPOLOGY, 1_000)
    lanes.add(MAIN, 1)
    lanes.add(TIER, 2)
    read(lanes, *(record(MAIN, offset) for offset in range(mains)))
    read(lanes, *(record(TIER, offset, NOW) for offset in range(due)))
    begun = lanes.begin(credits_, NOW)
    assert len(begun) == min(credits_, mains + due)
    if credits_ >= 32 and mains >= 16 and due >= 16:
        assert {job.source for job, _ in begun} == {MAIN, TIER}


def test_a_partition_that_was_read_through_is_committed_to_its_end() -> None:
    """Markers behind the last record are no lag, but nothing that waits is passed."""
    lanes = Lanes(TOPOLOGY, 100)
    lanes.add(MAIN, 1)
    lanes.push(Polled([record(MAIN, 0), record(MAIN, 1)], {MAIN: 3}))
    assigned = lanes.of(MAIN, 1)
    assert assigned is not None
    lanes.begin(1, NOW)
    assigned.tracker.finish(0, Completion(MAIN, 0, Ending.SENT))
    ready = assigned.take()
    assert ready is not None
    assert ready[0] == 1
    lanes.begin(1, NOW)
    assigned.tracker.finish(1, Completion(MAIN, 1, Ending.SENT))
    ready = assigned.take()
    assert ready is not None
    assert ready[0] == 3


def test_a_full_feed_pauses_its_partition_and_an_empty_one_resumes_it() -> None:
    """Pause and resume lie apart, so that a partition does not flap."""
    feed = Feed(high=3, low=1)
    for offset in range(3):
        assert not feed.wants_pause()
        feed.push(record(MAIN, offset), 0)
    assert feed.wants_pause()
    feed.paused = True
    assert not feed.wants_pause()
    feed.pop_due(NOW)
    assert not feed.wants_resume()
    feed.pop_due(NOW)
    assert feed.wants_resume()
