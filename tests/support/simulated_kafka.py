"""A Kafka in memory, as far as a worker can tell: logs, transactions and a consumer group.

Everything happens in one thread and only when it is asked for. A transaction can be made to end in
each of the ways in which a real one can; see `Fate`.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from runtime.clock import Clock, Deadline
from runtime.kafka.consumer import GroupMetadata, Polled, RebalanceListener
from runtime.kafka.records import OutRecord, Partition, Record
from runtime.kafka.transactions import Transaction, TransactionAborted, TransactionInDoubt


class Killed(BaseException):
    """The process ends here: nothing catches this but the simulation."""


class Fate(Enum):
    """How a transaction ends."""

    ABORTED = "aborted"
    IN_DOUBT_COMMITTED = "in doubt, committed"
    IN_DOUBT_ABORTED = "in doubt, aborted"
    KILLED_BEFORE = "killed before it was committed"
    KILLED_AFTER = "killed after it was committed"


class _End(Enum):
    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(slots=True, eq=False)
class _Open:
    """A transaction on the broker."""

    transactional_id: str
    offsets: Mapping[Partition, int]
    token: str
    end: _End = _End.OPEN
    touched: set[Partition] = field(default_factory=set)


_NO_TRANSACTION = _Open("", {}, "", _End.COMMITTED)


@dataclass(slots=True)
class _Log:
    """One partition. A slot without a record is a transaction's marker."""

    slots: list[tuple[Record | None, _Open]] = field(default_factory=list)

    def stable_end(self) -> int:
        """Return the offset before which every transaction is decided."""
        undecided = (at for at, (_, by) in enumerate(self.slots) if by.end is _End.OPEN)
        return next(undecided, len(self.slots))


class MemoryKafka:
    """The brokers: what is written, who owns which lane, what is committed."""

    def __init__(self, clock: Clock, topics: Sequence[str], group: "MemoryGroup") -> None:
        """`topics` are those that the group consumes."""
        self._clock = clock
        self._logs: dict[Partition, _Log] = {}
        self._open: dict[str, _Open] = {}
        self.topics = tuple(topics)
        self.group = group
        self.offsets: dict[Partition, int] = {}
        self.tokens: dict[Partition, str] = {}
        #: How the next transactions end; well once there is none.
        self.fates: deque[Fate] = deque()

    def log(self, partition: Partition) -> _Log:
        """Return a partition's log."""
        return self._logs.setdefault(partition, _Log())

    def write(self, record: OutRecord, lane: int) -> int:
        """Write a record outside of transactions, as the API does; return its offset."""
        return self._append(Partition(record.topic, lane), record, _NO_TRANSACTION)

    def read(self, partition: Partition, start: int = 0) -> list[Record]:
        """Return the committed records from an offset on, up to the first undecided one."""
        log = self.log(partition)
        return [
            record
            for record, by in log.slots[start : log.stable_end()]
            if record is not None and by.end is _End.COMMITTED
        ]

    def is_decided(self, partition: Partition) -> bool:
        """Tell whether no transaction is open in the partition."""
        log = self.log(partition)
        return log.stable_end() == len(log.slots)

    def offset_is_stable(self, source: Partition) -> bool:
        """Tell whether no open transaction would commit an offset of the partition."""
        return not any(source in transaction.offsets for transaction in self._open.values())

    def progress(self) -> tuple[int, int]:
        """Return numbers that grow with whatever counts: committed slots, and offsets."""
        committed = sum(
            by.end is _End.COMMITTED for log in self._logs.values() for _, by in log.slots
        )
        return committed, sum(self.offsets.values())

    def lag(self, lanes: int) -> int:
        """Count what the group has not passed."""
        sources = [Partition(topic, lane) for topic in self.topics for lane in range(lanes)]
        return sum(len(self.log(p).slots) - self.offsets.get(p, 0) for p in sources)

    def settle(self, transactional_id: str | None = None) -> None:
        """Abort the open transaction of an id, or all: their time is over."""
        for name in [transactional_id] if transactional_id else list(self._open):
            transaction = self._open.pop(name, None)
            if transaction is not None:
                self._end(transaction, _End.ABORTED)

    def transact(self, name: str, transaction: Transaction) -> Mapping[Partition, int]:
        """Run a transaction to its fate."""
        opened = _Open(name, transaction.offsets, transaction.token)
        written = {}
        for record in transaction.records:
            partition = Partition(record.topic, record.partition or 0)
            written[partition] = self._append(partition, record, opened)
        if not self.group.accepts(transaction.metadata):
            self._end(opened, _End.ABORTED)
            raise TransactionAborted("the member is not the group's, or its epoch is stale")
        match self.fates.popleft() if self.fates else None:
            case Fate.ABORTED:
                self._end(opened, _End.ABORTED)
                raise TransactionAborted("as foreseen")
            case Fate.IN_DOUBT_ABORTED:
                self._open[name] = opened
                raise TransactionInDoubt("as foreseen")
            case Fate.IN_DOUBT_COMMITTED:
                self._end(opened, _End.COMMITTED)
                raise TransactionInDoubt("as foreseen")
            case Fate.KILLED_BEFORE:
                self._open[name] = opened
                raise Killed
            case Fate.KILLED_AFTER:
                self._end(opened, _End.COMMITTED)
                raise Killed
            case None:
                self._end(opened, _End.COMMITTED)
        return written

    def _append(self, partition: Partition, record: OutRecord, by: _Open) -> int:
        log = self.log(partition)
        offset = len(log.slots)
        now = self._clock.now_ms()
        kept = Record(*partition, offset, now, record.key, record.value, record.headers)
        log.slots.append((kept, by))
        by.touched.add(partition)
        return offset

    def _end(self, transaction: _Open, end: _End) -> None:
        transaction.end = end
        for partition in sorted(transaction.touched):
            self.log(partition).slots.append((None, transaction))
        if end is _End.COMMITTED:
            self.offsets |= transaction.offsets
            self.tokens |= dict.fromkeys(transaction.offsets, transaction.token)


class MemoryGroup:
    """The consumer group: lanes go from member to member as a whole."""

    def __init__(self, lanes: int) -> None:
        self._epoch = 0
        #: Each member's epoch.
        self.members: dict[str, int] = {}
        self.targets: dict[int, str | None] = dict.fromkeys(range(lanes))
        self.owners: dict[int, str | None] = dict.fromkeys(range(lanes))

    def join(self, member: str) -> None:
        """Let a member in; it gets the lanes that nobody has."""
        self.members[member] = self._epoch
        self._rebalance()

    def leave(self, member: str) -> None:
        """Remove a member; nothing is left of what it owned."""
        self.members.pop(member, None)
        for lane, owner in self.owners.items():
            if owner == member:
                self.owners[lane] = None
        self._rebalance()

    def move(self, lane: int, member: str) -> None:
        """Want a lane to go to a member."""
        if member in self.members:
            self.targets[lane] = member
            self._bump()

    def owned_by(self, member: str) -> set[int]:
        """Return the lanes that a member owns."""
        return {lane for lane, owner in self.owners.items() if owner == member}

    def wanted_by(self, member: str) -> set[int]:
        """Return the lanes that a member is to have."""
        return {lane for lane, target in self.targets.items() if target == member}

    def accepts(self, metadata: GroupMetadata) -> bool:
        """Tell whether a member may commit with this identity."""
        return any(metadata.opaque == member for member in self.members.items())

    def given_up(self, member: str, lanes: Iterable[int]) -> None:
        """A member has let go of lanes, and hears of the group's epoch."""
        for lane in lanes:
            self.owners[lane] = None
        self.members[member] = self._epoch

    def _rebalance(self) -> None:
        present = sorted(self.members)
        for lane, target in self.targets.items():
            if target not in self.members:
                self.targets[lane] = present[lane % len(present)] if present else None
        self._bump()

    def _bump(self) -> None:
        """Begin an epoch; whoever has to let go of something first learns of it only then."""
        self._epoch += 1
        for member in self.members:
            if self.owned_by(member) <= self.wanted_by(member):
                self.members[member] = self._epoch


class MemoryConsumer:
    """One worker's member of the group."""

    def __init__(self, kafka: MemoryKafka, name: str, listener: RebalanceListener) -> None:
        self._kafka = kafka
        self._name = name
        self._listener = listener
        self._lives = 0
        self.member = ""
        self._at: dict[Partition, int | None] = {}
        self._told: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        #: How many records of one partition a poll brings at most.
        self.most = 500

    def subscribe(self, topics: Sequence[str]) -> None:
        """Join the group."""
        if self.member not in self._kafka.group.members:
            self._lives += 1
            self.member = f"{self._name}.{self._lives}"
            self._kafka.group.join(self.member)

    def poll(self, most: int, timeout: float) -> Polled:
        """Hear of changes of the assignment, then return what there is to read."""
        group = self._kafka.group
        if self.member not in group.members:
            self._lose()
            self.subscribe(())
            return Polled([], {})
        owned, wanted = group.owned_by(self.member), group.wanted_by(self.member)
        if going := owned - wanted:
            self._revoke(going)
        if coming := {lane for lane in wanted - owned if group.owners[lane] is None}:
            self._assign(coming)
        polled = Polled([], {})
        for source in sorted(self._at.keys() - self._paused):
            self._fetch(source, polled)
        return polled

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Stop reading these."""
        self._paused.update(partitions)

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Read these on."""
        self._paused.difference_update(partitions)

    def metadata(self) -> GroupMetadata:
        """Return who we are in the group, as the last heartbeat told."""
        return GroupMetadata((self.member, self._kafka.group.members.get(self.member)))

    def close(self) -> None:
        """Leave the group."""
        group = self._kafka.group
        if self.member not in group.members:
            self._lose()
        if owned := group.owned_by(self.member):
            self._revoke(owned)
        group.leave(self.member)

    def _lose(self) -> None:
        lost, self._at, self._paused = sorted(self._at), {}, set()
        if lost:
            self._listener.lost(lost)

    def _assign(self, lanes: set[int]) -> None:
        sources = self._sources(lanes)
        for lane in lanes:
            self._kafka.group.owners[lane] = self.member
        self._at |= dict.fromkeys(sources)
        for source in sources:
            self._told.pop(source, None)
        self._paused.difference_update(sources)
        self._listener.assigned(sources)

    def _revoke(self, lanes: set[int]) -> None:
        sources = self._sources(lanes)
        self._listener.revoked(sources)
        for source in sources:
            self._at.pop(source, None)
        self._kafka.group.given_up(self.member, lanes)

    def _sources(self, lanes: set[int]) -> list[Partition]:
        return [Partition(topic, lane) for topic in self._kafka.topics for lane in sorted(lanes)]

    def _fetch(self, source: Partition, polled: Polled) -> None:
        at = self._at[source]
        if at is None:
            # Where to begin is known once no open transaction can change it.
            if not self._kafka.offset_is_stable(source):
                return
            at = self._kafka.offsets.get(source, 0)
        records = self._kafka.read(source, at)[: self.most]
        polled.records.extend(records)
        log = self._kafka.log(source)
        at = log.stable_end() if len(records) < self.most else records[-1].offset + 1
        self._at[source] = at
        if at == len(log.slots) and self._told.get(source) != at:
            self._told[source] = polled.ends[source] = at


class MemoryProducer:
    """A transactional producer."""

    def __init__(self, kafka: MemoryKafka, transactional_id: str) -> None:
        self._kafka = kafka
        self._id = transactional_id

    def initialise(self, deadline: Deadline) -> None:
        """Settle what an earlier producer of this id has left open."""
        self._kafka.settle(self._id)

    def commit(self, transaction: Transaction, deadline: Deadline) -> Mapping[Partition, int]:
        """Run a transaction."""
        return self._kafka.transact(self._id, transaction)

    def close(self, seconds: float) -> None:
        """Leave everything as it is."""
