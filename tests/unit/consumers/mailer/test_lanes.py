"""Lanes and feeds: who begins next, who waits, and when a partition is paused."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from consumers.mailer.completion import Completion
from consumers.mailer.feed import Feed
from consumers.mailer.job import Job
from consumers.mailer.lanes import Assigned, Lanes, wake_time
from consumers.mailer.ledger.lane import LaneLedger
from retry_topics.headers import Journey, write_journey
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.consumer import Polled
from runtime.kafka.records import Partition, Record
from schemas.switches import Switch, Switches, SwitchKey, SwitchKind, write_key
from tests.support.ledgers import MemoryStore

TOPOLOGY = Topology("t", parse_tiers("1m,10m"), 2)
NOW = 1_800_000_000_000
MAIN = Partition("t", 0)
TIER = Partition("t.retry.1m", 0)
CONTROL = Partition("t.control", 0)
LANE = tuple(Partition(topic, 0) for topic in TOPOLOGY.consumed)


def record(source: Partition, offset: int, due_at: int | None = None, at: int = NOW) -> Record:
    headers = write_journey((), Journey(due_at=due_at)) if due_at is not None else ()
    return Record(source.topic, source.number, offset, at, b"k", b"v", headers)


def paused(*keys: SwitchKey) -> Switches:
    return Switches({key: Switch(key, NOW) for key in keys})


def running(most_pending: int = 100) -> Lanes:
    """Return lanes of which number 0 runs; a partition's epoch is its place in `LANE`, from 1."""
    lanes = Lanes(TOPOLOGY, most_pending)
    for epoch, source in enumerate(LANE, 1):
        lanes.add(source, epoch)
    (lane,) = lanes.to_restore()
    lane.ledger = LaneLedger(0, MemoryStore(), None, {})
    return lanes


def begin(lanes: Lanes, credits_: int, now: int) -> list[Job]:
    return [job for job, _ in lanes.begin(credits_, now, commands_only=False)]


def main_of(lanes: Lanes) -> Assigned:
    assigned = lanes.of(MAIN, 1)
    assert assigned is not None
    return assigned


def read(lanes: Lanes, *records: Record) -> None:
    lanes.push(Polled(list(records), {}))


def test_a_main_record_may_begin_at_once() -> None:
    """Nothing on the main topic waits in a feed for a time."""
    assert wake_time(record(MAIN, 0, due_at=NOW + 5), None, Switches()) == 0


def test_a_tier_record_waits_until_it_is_due_but_not_longer_than_the_tier() -> None:
    """The wake time is the due time, bounded by the tier's delay from the record's timestamp."""
    tier = TOPOLOGY.tiers[0]
    assert wake_time(record(TIER, 0, due_at=NOW + 5_000), tier, Switches()) == NOW + 5_000
    assert wake_time(record(TIER, 0, due_at=NOW + 10**9), tier, Switches()) == NOW + 60_000
    assert wake_time(record(TIER, 0), tier, Switches()) == NOW + 60_000


def test_whichever_is_due_first_begins_first() -> None:
    """Nobody waits for a record before it that is due later, and the main topic goes on."""
    lanes = running()
    read(lanes, record(TIER, 0, NOW + 50), record(TIER, 1, NOW + 10), record(MAIN, 0))
    assert [job.source for job in begin(lanes, 10, NOW)] == [MAIN]
    assert lanes.next_wake() == NOW + 10
    assert [job.record.offset for job in begin(lanes, 10, NOW + 20)] == [1]
    assert [job.record.offset for job in begin(lanes, 10, NOW + 50)] == [0]


def test_nothing_begins_without_the_ledger() -> None:
    """A lane whose ledger is not there yet only takes records in."""
    lanes = Lanes(TOPOLOGY, 100)
    for source in LANE:
        lanes.add(source, 1)
    read(lanes, record(MAIN, 0))
    assert begin(lanes, 10, NOW) == []
    assert lanes.waiting_now(NOW) == 0
    assert lanes.next_wake() is None
    (lane,) = lanes.to_restore()
    lane.ledger = LaneLedger(0, MemoryStore(), None, {})
    assert len(begin(lanes, 10, NOW)) == 1


def test_a_lane_runs_only_where_all_of_its_partitions_are() -> None:
    """With a partition at somebody else's, there could be two writers of one ledger."""
    lanes = Lanes(TOPOLOGY, 100)
    for source in LANE[:-1]:
        lanes.add(source, 1)
    assert lanes.to_restore() == []
    lanes.add(LANE[-1], 1)
    (lane,) = lanes.to_restore()
    lane.ledger = LaneLedger(0, MemoryStore(), None, {})
    read(lanes, record(MAIN, 0))
    assert lanes.remove([TIER]) == []
    assert begin(lanes, 10, NOW) == []
    assert lanes.remove(LANE) == [lane]


def test_only_commands_begin_while_nothing_may_be_sent() -> None:
    """A cancellation need not wait for the end of an outage."""
    lanes = running()
    read(lanes, record(MAIN, 0), record(CONTROL, 0))
    begun = [job for job, _ in lanes.begin(10, NOW, commands_only=True)]
    assert [(job.source, job.command) for job in begun] == [(CONTROL, True)]
    assert [(job.source, job.command) for job in begin(lanes, 10, NOW)] == [(MAIN, False)]


def test_records_of_partitions_that_went_are_left_alone() -> None:
    """What was fetched before a revocation and returned after it is not ours."""
    lanes = running()
    lanes.remove([MAIN])
    read(lanes, record(MAIN, 0))
    assert begin(lanes, 10, NOW) == []
    assert lanes.of(MAIN, 1) is None


def test_a_client_that_goes_back_begins_nothing_twice() -> None:
    """Records that come again are left alone; what follows them begins."""
    lanes = running()
    read(lanes, record(MAIN, 0), record(MAIN, 1))
    assert len(begin(lanes, 1, NOW)) == 1
    read(lanes, record(MAIN, 0), record(MAIN, 1), record(MAIN, 2))
    assert [job.record.offset for job in begin(lanes, 10, NOW)] == [1, 2]


def test_a_new_assignment_is_not_the_old_one() -> None:
    """The epoch tells a partition that came back from the one that went."""
    lanes = Lanes(TOPOLOGY, 100)
    lanes.add(MAIN, 1)
    lanes.add(MAIN, 2)
    assert lanes.of(MAIN, 1) is None
    assert lanes.of(MAIN, 2) is not None


def test_a_stuck_record_bounds_what_begins_behind_it() -> None:
    """No more than `most_pending` records of a partition begin while its first one runs."""
    lanes = running(most_pending=3)
    read(lanes, *(record(MAIN, offset) for offset in range(10)))
    assert [job.record.offset for job in begin(lanes, 10, NOW)] == [0, 1, 2]
    assigned = main_of(lanes)
    for offset in (1, 2):
        assigned.tracker.finish(offset, Completion(MAIN, offset))
    assert assigned.take() is None
    assert begin(lanes, 10, NOW) == []


@given(st.integers(0, 200), st.integers(0, 60), st.integers(0, 60))
def test_credits_are_kept_and_partitions_take_turns(credits_: int, mains: int, due: int) -> None:
    """Never more than the credits begin, and never fewer than credits and records allow."""
    lanes = running(1_000)
    read(lanes, *(record(MAIN, offset) for offset in range(mains)))
    read(lanes, *(record(TIER, offset, NOW) for offset in range(due)))
    begun = begin(lanes, credits_, NOW)
    assert len(begun) == min(credits_, mains + due)
    if credits_ >= 32 and mains >= 16 and due >= 16:
        assert {job.source for job in begun} == {MAIN, TIER}


def test_a_partition_that_was_read_through_is_committed_to_its_end() -> None:
    """Markers behind the last record are no lag, but nothing that waits is passed."""
    lanes = running()
    lanes.push(Polled([record(MAIN, 0), record(MAIN, 1)], {MAIN: 3}))
    assigned = main_of(lanes)
    for offset, committed in ((0, 1), (1, 3)):
        begin(lanes, 1, NOW)
        done = Completion(MAIN, offset)
        assigned.tracker.finish(offset, done)
        assert assigned.take() == (committed, [done])


def test_what_goes_ahead_of_the_prefix_is_committed_at_the_prefix_s_end() -> None:
    """The offset beside it is the first unfinished record's, which passes nothing."""
    lanes = running()
    read(lanes, record(MAIN, 7), record(MAIN, 8))
    begin(lanes, 2, NOW)
    assigned = main_of(lanes)
    done = Completion(MAIN, 8)
    assigned.tracker.finish(8, done, ahead=True)
    assert assigned.take() == (7, [done])
    assert assigned.take() is None
    assigned.tracker.finish(7, Completion(MAIN, 7))
    assert assigned.take() == (9, [Completion(MAIN, 7)])


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


def test_a_tier_that_is_held_takes_records_in_and_begins_none() -> None:
    """Others go on, nobody is woken for it, and it does not count as a jam."""
    lanes = running()
    lanes.heed(paused(SwitchKey(SwitchKind.TIER, "1m")))
    read(lanes, record(TIER, 0, NOW), record(MAIN, 0), record(Partition("t.retry.10m", 0), 0, NOW))
    assert [job.source.topic for job in begin(lanes, 10, NOW)] == ["t.retry.10m", "t"]
    assert (lanes.next_wake(), lanes.waiting_now(NOW)) == (None, 0)
    lanes.heed(Switches())
    assert [job.source for job in begin(lanes, 10, NOW)] == [TIER]


def test_what_waits_for_an_operator_begins_as_soon_as_it_is_resumed() -> None:
    """Whether it was read before or comes in afterwards; all others keep their time.

    Also what was read before anybody knew the switches.
    """
    news, other = (SwitchKey(SwitchKind.TEMPLATE, name) for name in ("news", "other"))
    lanes = running()
    held = [
        structs.replace(
            record(TIER, offset),
            headers=write_journey((), Journey(due_at=NOW + 50, paused=write_key(key))),
        )
        for offset, key in enumerate((news, other, news))
    ]
    read(lanes, *held[:2], record(TIER, 5, NOW + 30))
    lanes.heed(paused(news, other))
    assert begin(lanes, 10, NOW) == []
    lanes.heed(paused(other))
    assert [job.record.offset for job in begin(lanes, 10, NOW)] == [0]
    read(lanes, structs.replace(held[2], offset=6))
    assert [job.record.offset for job in begin(lanes, 10, NOW)] == [6]
    assert lanes.next_wake() == NOW + 30
    assert [job.record.offset for job in begin(lanes, 10, NOW + 50)] == [5, 1]
