"""The partitions that are ours in this assignment, and what is to do for each of them.

    assigned --all topics' partitions--> restoring --ledger--> running --revoked--> gone

Owned by the poll thread. A lane is a partition number; its partitions are the ones of the main
topic, of every tier and of the control topic with that number. Only whoever has all of them runs
the lane, so that there is one writer of its ledger.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Final

from consumers.mailer.completion import Completion
from consumers.mailer.feed import Feed
from consumers.mailer.job import Job
from consumers.mailer.ledger.lane import LaneLedger
from consumers.mailer.ledger.restore import Ticket
from consumers.mailer.offsets import OffsetTracker
from retry_topics.headers import read_journey
from retry_topics.ladder import stay_ends
from retry_topics.topology import Tier, Topology
from runtime.kafka.consumer import Polled
from runtime.kafka.records import Partition, Record
from schemas.switches import Switches, SwitchKind

#: Records of one partition in memory that pause it, and that resume it.
FEED_HIGH: Final = 1_000
FEED_LOW: Final = 200
#: Records that one partition may begin before the next partition has its turn.
_QUOTA: Final = 16


def wake_time(record: Record, tier: Tier | None, switches: Switches) -> int:
    """Return when a record may be taken up, milliseconds since the epoch; 0 is at once.

    A tier's record without a readable due time stays for the tier's whole delay. One that waits for
    an operator may be taken up as soon as what it waits for is not paused any more.
    """
    if tier is None:
        return 0
    full_stay = record.timestamp_ms + tier.delay_ms
    journey = read_journey(record.headers)
    if journey.paused and not switches.has(journey.paused):
        return 0
    due_at = journey.due_at
    return full_stay if due_at is None else stay_ends(record.timestamp_ms, due_at, tier)


@dataclass(slots=True, eq=False)
class Lane:
    """One lane in one assignment. Without a ledger nothing of it begins."""

    number: int
    whole: int
    sources: set[Partition] = field(default_factory=set)
    restoring: Ticket | None = None
    #: When its ledger was asked for, milliseconds since the epoch.
    asked_at: int = 0
    ledger: LaneLedger | None = None

    @property
    def is_whole(self) -> bool:
        """Tell whether all of its partitions are ours."""
        return len(self.sources) == self.whole


@dataclass(slots=True, eq=False)
class Assigned:
    """One partition of one assignment. `rank` orders whose records begin first."""

    source: Partition
    epoch: int
    lane: Lane
    tier: Tier | None
    rank: int
    feed: Feed = field(default_factory=lambda: Feed(FEED_HIGH, FEED_LOW))
    tracker: OffsetTracker[Completion] = field(default_factory=OffsetTracker)
    #: The partition's end when it was last read through.
    end: int = 0
    #: The next offset that was handed to the committer last.
    taken: int = 0

    @property
    def runs(self) -> bool:
        """Tell whether records of the partition may begin."""
        return self.lane.ledger is not None and self.lane.is_whole

    def take(self) -> tuple[int, list[Completion]] | None:
        """Take what is finished (see `OffsetTracker.take`), None where there is nothing new.

        With nothing left in hand the offset reaches to the partition's end, so that the markers of
        transactions behind the last record do not look like mails that wait.
        """
        passed, results = self.tracker.take()
        # Whatever finished first: the topics get to hear of records in their order.
        results.sort(key=attrgetter("offset"))
        next_offset = self.taken if passed is None else passed
        if self.tracker.idle:
            next_offset = max(next_offset, self.end)
        if next_offset <= self.taken:
            if not results:
                return None
            next_offset = self.position
        self.taken = next_offset
        return next_offset, results

    @property
    def position(self) -> int:
        """The offset that may be committed although nothing more is finished."""
        return max(self.taken, self.tracker.position or 0)


_COMMANDS_FIRST, _TIERS_NEXT, _MAIN_LAST = 0, 1, 2


class Lanes:
    """The assignment's partitions: takes records in, says which begin next."""

    def __init__(self, topology: Topology, most_pending: int) -> None:
        """`most_pending` bounds the records of one partition that began and are not committed."""
        self._topology = topology
        self._most_pending = most_pending
        self._assigned: dict[tuple[str, int], Assigned] = {}
        self._lanes: dict[int, Lane] = {}
        #: Those with records that wait, and those that are paused for them.
        self._fed: dict[Partition, Assigned] = {}
        self._switches = Switches()
        self._held: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[Assigned]:
        return iter(self._assigned.values())

    def add(self, source: Partition, epoch: int) -> None:
        """Begin with a partition that was assigned."""
        whole = len(self._topology.consumed)
        lane = self._lanes.setdefault(source.number, Lane(source.number, whole))
        lane.sources.add(source)
        tier = self._topology.tier_of(source.topic)
        rank = _MAIN_LAST if tier is None else _TIERS_NEXT
        if source.topic == self._topology.control:
            rank = _COMMANDS_FIRST
        self._fed.pop(source, None)
        self._assigned[source] = Assigned(source, epoch, lane, tier, rank)

    def remove(self, sources: Iterable[Partition]) -> list[Lane]:
        """Forget partitions that are not ours any more; return the lanes that go with them."""
        gone = []
        for source in sources:
            assigned = self._assigned.pop(source, None)
            self._fed.pop(source, None)
            if assigned is None:
                continue
            assigned.lane.sources.discard(source)
            if not assigned.lane.sources:
                gone.append(self._lanes.pop(source.number))
        return gone

    def of(self, source: Partition, epoch: int) -> Assigned | None:
        """Return the partition if it is still in that assignment."""
        assigned = self._assigned.get(source)
        return assigned if assigned is not None and assigned.epoch == epoch else None

    def current(self, source: Partition) -> Assigned | None:
        """Return the partition if it is ours."""
        return self._assigned.get(source)

    def lanes(self) -> list[Lane]:
        """Return the lanes of which a partition is ours."""
        return list(self._lanes.values())

    def to_restore(self) -> list[Lane]:
        """Return the lanes whose partitions are all ours and whose ledger nobody fetches yet."""
        return [
            lane
            for lane in self._lanes.values()
            if lane.is_whole and lane.ledger is None and lane.restoring is None
        ]

    @property
    def numbers(self) -> int:
        """How many lanes are ours."""
        return len(self._lanes)

    def fed(self) -> Iterable[Assigned]:
        """Return the partitions with records that wait, and those that are paused for them."""
        return self._fed.values()

    def push(self, polled: Polled) -> list[Partition]:
        """Take in what was read, and return the partitions that were read through.

        What is of partitions that are not ours is left alone.
        """
        for record in polled.records:
            # A partition's key without the cost of making one.
            assigned = self._assigned.get((record.topic, record.partition))
            if assigned is not None and assigned.tracker.add(record.offset):
                assigned.feed.push(record, wake_time(record, assigned.tier, self._switches))
                self._fed[assigned.source] = assigned
        through = [source for source in polled.ends if source in self._assigned]
        for source in through:
            self._assigned[source].end = polled.ends[source]
        return through

    def heed(self, switches: Switches) -> None:
        """Begin no record of a paused tier, and at once what waited for what is resumed."""
        if switches is self._switches:
            return
        self._switches = switches
        self._held = switches.names(SwitchKind.TIER)
        for assigned in self._fed.values():
            if assigned.tier is not None:
                assigned.feed.change(partial(wake_time, tier=assigned.tier, switches=switches))

    def begin(self, credits_: int, now: int, *, commands_only: bool) -> list[tuple[Job, int]]:
        """Begin up to `credits_` records whose time has come; with each, when that was.

        Partitions take turns, those with commands first, then the tiers: their records are older.
        """
        begun: list[tuple[Job, int]] = []
        order = sorted(self._running(), key=lambda assigned: assigned.rank)
        if commands_only:
            order = [assigned for assigned in order if assigned.rank == _COMMANDS_FIRST]
        progress = True
        while progress and len(begun) < credits_:
            progress = False
            for assigned in order:
                quota = min(
                    _QUOTA, credits_ - len(begun), self._most_pending - assigned.tracker.pending
                )
                jobs = self._begin(assigned, quota, now)
                progress = progress or bool(jobs)
                begun += jobs
        for assigned in order:
            if not len(assigned.feed) and not assigned.feed.paused:
                del self._fed[assigned.source]
        return begun

    def _begin(self, assigned: Assigned, quota: int, now: int) -> list[tuple[Job, int]]:
        begun: list[tuple[Job, int]] = []
        ledger = assigned.lane.ledger
        while ledger is not None and len(begun) < quota:
            wake = assigned.feed.next_wake()
            record = assigned.feed.pop_due(now)
            if record is None or wake is None:
                break
            assigned.tracker.start(record.offset)
            command = assigned.rank == _COMMANDS_FIRST
            begun.append((Job(record, assigned.source, assigned.epoch, ledger, command), wake))
        return begun

    def next_wake(self) -> int | None:
        """Return when the next waiting record may begin, None when nothing waits."""
        wakes = [wake for a in self._running() if (wake := a.feed.next_wake()) is not None]
        return min(wakes, default=None)

    def waiting_now(self, now: int) -> int:
        """Count the records of partitions whose next one may begin."""
        return sum(len(a.feed) for a in self._running() if (a.feed.next_wake() or 0) <= now)

    def _running(self) -> list[Assigned]:
        return [a for a in self._fed.values() if a.runs and not (self._held and self._holds(a))]

    def _holds(self, assigned: Assigned) -> bool:
        return assigned.tier is not None and assigned.tier.label in self._held
