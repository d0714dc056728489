"""Bringing one lane's store up to what its partitions held when the lane was assigned."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from consumers.mailer.ledger.standings import NUMBER_BITS
from consumers.mailer.ledger.store import (
    Changes,
    LaneStore,
    StoreIdentity,
    StorePlace,
    open_store,
)
from retry_topics.topology import Topology
from runtime.clock import Clock
from runtime.kafka.bulk import Batch
from runtime.kafka.records import Partition
from runtime.kafka.topics import Span
from runtime.logs import get_logger
from schemas.errors import Undecodable
from schemas.framing import HEADER_BYTES
from schemas.ledger import OWNER_BYTES, Standing, peek
from schemas.privacy import ADDRESS_HASH_BYTES
from schemas.suppressions import read_suppression

_log = get_logger("restore")

DAY_MS: Final = 86_400_000
_PROGRESS_SECONDS: Final = 5.0
_EVENT_ID_BYTES: Final = 16
_HEAD_BYTES: Final = HEADER_BYTES + 4 + OWNER_BYTES
_MOST_KNOWN: Final = 10_000


class Cluster(Protocol):
    """What a restore asks the cluster; `runtime.kafka.admin.TopicAdmin` answers."""

    def cluster_id(self) -> str: ...
    def topic_ids(self, names: Sequence[str]) -> dict[str, str]: ...
    def partition_spans(self, partitions: Sequence[Partition]) -> dict[Partition, Span]: ...


class Reader(Protocol):
    """Reads one partition after another; `runtime.kafka.bulk.BulkReader` does."""

    def read(
        self, partition: Partition, span: Span, stopped: Callable[[], bool]
    ) -> Iterator[Batch]: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RestorerParts:
    """What every restore of a worker works with."""

    topology: Topology
    cluster: Cluster
    reader: Reader
    place: StorePlace
    boot_id: str
    clock: Clock
    #: Told of each restore that is done: the seconds that it took, and the entries that it read.
    restored: Callable[[float, int], object]
    #: Between attempts; doubled each time, within bounds.
    pause_seconds: float = 0.25


class CatchUp:
    """One lane's restore: `attempt` until it returns; what an attempt has read is kept."""

    def __init__(self, parts: RestorerParts, lane: int, stopped: Callable[[], bool]) -> None:
        self._with = parts
        self._lane = lane
        self._stopped = stopped
        topology = parts.topology
        self._ledger = Partition(topology.ledger, lane)
        self._suppressions = Partition(topology.suppressions, lane)
        self._store: LaneStore | None = None
        self._progress = Progress(lane, parts.clock)
        #: The standings that entries tell of are few; by the entries' first bytes.
        self._known: dict[bytes, Standing] = {}

    def attempt(self) -> LaneStore | None:
        """Return the store when it has everything, None once stopped.

        Raises:
            KafkaFault: the brokers cannot be asked now.
            StoreFault: the store cannot be opened or written.
        """
        store = self._opened()
        spans = self._with.cluster.partition_spans([self._suppressions, self._ledger])
        if beyond := [p for p, span in spans.items() if store.offsets.get(p, 0) > span.end]:
            topic, number = beyond[0]
            store = self._reopened(f"{topic}-{number} is shorter than what was read of it")
        left = {p: _rest(span, store.offsets.get(p)) for p, span in spans.items()}
        self._progress.begin(left)
        for partition, change in (
            (self._suppressions, self._suppression_changes),
            (self._ledger, self._ledger_changes),
        ):
            for batch in self._with.reader.read(partition, left[partition], self._stopped):
                store.apply(change(batch))
                self._progress.read(partition, batch)
        if self._stopped():
            return None
        store.prune(self._today())
        self._with.restored(*self._progress.end())
        self._store = None
        return store

    def abandon(self) -> None:
        """Close the store that no attempt has returned."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def _opened(self) -> LaneStore:
        if self._store is None:
            identity = self._identity()
            self._store, why = open_store(self._with.place, identity)
            self._progress.rebuilt = self._progress.rebuilt or why
            # A lifted suppression's null is kept for a day at least, and nobody who comes later
            # would see it.
            newest = self._store.newest_day
            if self._suppressions in self._store.offsets and newest != self._today():
                self._store.forget_suppressions(self._suppressions)
        return self._store

    def _reopened(self, why: str) -> LaneStore:
        if self._store is not None:
            self._store.discard()
            self._store = None
        self._progress.rebuilt = why
        return self._opened()

    def _identity(self) -> StoreIdentity:
        cluster, topology = self._with.cluster, self._with.topology
        ids = cluster.topic_ids([topology.ledger, topology.suppressions])
        return StoreIdentity(
            cluster_id=cluster.cluster_id(),
            ledger_topic_id=ids[topology.ledger],
            suppressions_topic_id=ids[topology.suppressions],
            prefix=topology.prefix,
            partitions=topology.partitions,
            lane=self._lane,
            boot_id=self._with.boot_id,
        )

    def _today(self) -> int:
        return self._with.clock.now_ms() // DAY_MS

    def _ledger_changes(self, batch: Batch) -> Changes:
        entries: list[tuple[bytes, Standing]] = []
        known = self._known
        for key, value, _ in batch.messages:
            if key is not None and len(key) == _EVENT_ID_BYTES and value is not None:
                standing = known.get(value[:_HEAD_BYTES]) or self._standing(value)
                if standing is not None:
                    entries.append((key, standing))
        self._progress.count(len(entries), len(batch.messages))
        return Changes(entries, [], {self._ledger: batch.next_offset}, self._today())

    def _standing(self, value: bytes) -> Standing | None:
        """Return the standing in an entry, None if there is none that can be used."""
        try:
            standing = peek(value)
        except Undecodable:
            return None
        # Negative or too large where a number is none of ours.
        if (standing.generation | standing.step | standing.attempts) >> NUMBER_BITS:
            return None
        # Each of the four numbers before the owner has one byte, so the head tells everything.
        if max(value[HEADER_BYTES : HEADER_BYTES + 4]) < 0x80 and len(self._known) < _MOST_KNOWN:
            self._known[value[:_HEAD_BYTES]] = standing
        return standing

    def _suppression_changes(self, batch: Batch) -> Changes:
        suppressions: list[tuple[bytes, bool]] = []
        for key, value, _ in batch.messages:
            if key is not None and len(key) == ADDRESS_HASH_BYTES:
                try:
                    if value is not None:
                        read_suppression(value)
                except Undecodable:
                    continue
                suppressions.append((key, value is not None))
        self._progress.count(len(suppressions), len(batch.messages))
        return Changes([], suppressions, {self._suppressions: batch.next_offset}, self._today())


class Progress:
    """Counts what a restore has done, over all of its attempts, and tells of it every few seconds.

    `rebuilt` is why the store was made from nothing, "" where it was not.
    """

    def __init__(self, lane: int, clock: Clock) -> None:
        self.rebuilt = ""
        self._log = _log.bind(lane=lane)
        self._clock = clock
        self._started = self._told = clock.monotonic()
        self._entries = 0
        self._unreadable = 0
        self._left: dict[Partition, Span] = {}
        self._total = 0

    def begin(self, left: Mapping[Partition, Span]) -> None:
        """Take note of what is to be read."""
        self._left = dict(left)
        self._total = self._offsets_left()

    def count(self, usable: int, read: int) -> None:
        """Count what was read, and what of it can be used."""
        self._entries += usable
        self._unreadable += read - usable

    def read(self, partition: Partition, batch: Batch) -> None:
        """Take note that a batch is stored; tell if it is time to."""
        self._left[partition] = Span(batch.next_offset, self._left[partition].end)
        now = self._clock.monotonic()
        if now - self._told >= _PROGRESS_SECONDS:
            self._told = now
            percent = 100 * (self._total - self._offsets_left()) // max(1, self._total)
            self._log.info("lane.restoring", entries=self._entries, percent=percent)

    def end(self) -> tuple[float, int]:
        """Tell what was done; return the seconds that it took and the entries that were read."""
        if self._unreadable:
            self._log.warning("lane.entries_unreadable", count=self._unreadable)
        seconds = round(self._clock.monotonic() - self._started, 3)
        self._log.info(
            "lane.restored", entries=self._entries, seconds=seconds, rebuilt=self.rebuilt or "no"
        )
        return seconds, self._entries

    def _offsets_left(self) -> int:
        return sum(max(0, span.end - span.start) for span in self._left.values())


def _rest(span: Span, stored: int | None) -> Span:
    """Return what of a span is still to be read."""
    return span if stored is None else Span(max(span.start, stored), span.end)
