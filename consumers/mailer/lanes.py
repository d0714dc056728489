"""The partitions that are ours in this assignment, and what is to do for each of them.

Owned by the poll thread. A lane is a partition number; its partitions are the ones of the main
topic and of every tier with that number.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from consumers.mailer.completion import Completion
from consumers.mailer.feed import Feed
from consumers.mailer.job import Job
from consumers.mailer.offsets import OffsetTracker
from retry_topics.headers import read_journey
from retry_topics.ladder import stay_ends
from retry_topics.topology import Tier, Topology
from runtime.kafka.consumer import Polled
from runtime.kafka.records import Partition, Record

#: Records of one partition in memory that pause it, and that resume it.
FEED_HIGH: Final = 1_000
FEED_LOW: Final = 200
#: Records that one partition may begin before the next partition has its turn.
_QUOTA: Final = 16


def wake_time(record: Record, tier: Tier | None) -> int:
    """Return when a record may be taken up, milliseconds since the epoch; 0 is at once.

    A tier's record without a readable due time stays for the tier's whole delay.
    """
    if tier is None:
        return 0
    full_stay = record.timestamp_ms + tier.delay_ms
    due_at = read_journey(record.headers).due_at
    return full_stay if due_at is None else stay_ends(record.timestamp_ms, due_at, tier)


@dataclass(slots=True)
class Assigned:
    """One partition of one assignment."""

    source: Partition
    epoch: int
    tier: Tier | None
    feed: Feed = field(default_factory=lambda: Feed(FEED_HIGH, FEED_LOW))
    tracker: OffsetTracker[Completion] = field(default_factory=OffsetTracker)
    #: The partition's end when it was last read through.
    end: int = 0
    #: The next offset that was handed to the committer last.
    taken: int = 0

    def take(self) -> tuple[int, list[Completion]] | None:
        """Take the finished prefix (see `OffsetTracker.take`), None where there is nothing new.

        With nothing left in hand it reaches to the partition's end, so that the markers of
        transactions behind the last record do not look like mails that wait.
        """
        next_offset, results = self.tracker.take() or (self.taken, [])
        if not self.tracker.pending and not len(self.feed):
            next_offset = max(next_offset, self.end)
        if next_offset <= self.taken:
            return None
        self.taken = next_offset
        return next_offset, results


class Lanes:
    """The assignment's partitions: takes records in, says which begin next."""

    def __init__(self, topology: Topology, most_pending: int) -> None:
        """`most_pending` bounds the records of one partition that began and are not committed."""
        self._topology = topology
        self._most_pending = most_pending
        self._assigned: dict[Partition, Assigned] = {}

    def __iter__(self) -> Iterator[Assigned]:
        return iter(self._assigned.values())

    def add(self, source: Partition, epoch: int) -> None:
        """Begin with a partition that was assigned."""
        tier = self._topology.tier_of(source.topic)
        self._assigned[source] = Assigned(source, epoch, tier)

    def remove(self, sources: Iterable[Partition]) -> None:
        """Forget partitions that are not ours any more."""
        for source in sources:
            self._assigned.pop(source, None)

    def of(self, source: Partition, epoch: int) -> Assigned | None:
        """Return the partition if it is still in that assignment."""
        assigned = self._assigned.get(source)
        return assigned if assigned is not None and assigned.epoch == epoch else None

    def current(self, source: Partition) -> Assigned | None:
        """Return the partition if it is ours."""
        return self._assigned.get(source)

    @property
    def numbers(self) -> int:
        """How many lanes are ours."""
        return len({source.number for source in self._assigned})

    def push(self, polled: Polled) -> list[Partition]:
        """Take in what was read, and return the partitions that were read through.

        What is of partitions that are not ours is left alone.
        """
        for record in polled.records:
            assigned = self._assigned.get(record.source)
            if assigned is not None:
                assigned.feed.push(record, wake_time(record, assigned.tier))
        through = [source for source in polled.ends if source in self._assigned]
        for source in through:
            self._assigned[source].end = polled.ends[source]
        return through

    def begin(self, credits_: int, now: int) -> list[tuple[Job, int]]:
        """Begin up to `credits_` records whose time has come; with each, when that was.

        Partitions take turns, waiting records of the tiers first: they are older.
        """
        begun: list[tuple[Job, int]] = []
        order = sorted(self._assigned.values(), key=lambda assigned: assigned.tier is None)
        progress = True
        while progress and len(begun) < credits_:
            progress = False
            for assigned in order:
                quota = min(
                    _QUOTA,
                    credits_ - len(begun),
                    self._most_pending - assigned.tracker.pending,
                )
                for _ in range(quota):
                    wake = assigned.feed.next_wake()
                    record = assigned.feed.pop_due(now)
                    if record is None or wake is None:
                        break
                    assigned.tracker.start(record.offset)
                    begun.append((Job(record, assigned.source, assigned.epoch), wake))
                    progress = True
        return begun

    def next_wake(self) -> int | None:
        """Return when the next waiting record may begin, None when nothing waits."""
        wakes = [wake for a in self if (wake := a.feed.next_wake()) is not None]
        return min(wakes, default=None)

    def waiting_now(self, now: int) -> int:
        """Count the records of partitions whose head may begin."""
        return sum(len(a.feed) for a in self if len(a.feed) and (a.feed.next_wake() or 0) <= now)
