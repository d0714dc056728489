"""What a simulated worker finds on its machine: lanes' stores and journals that outlive it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from consumers.mailer.ledger.faults import StoreBroken
from consumers.mailer.ledger.lane import RecordKey
from consumers.mailer.ledger.restore import RestoreFailed, Ticket
from consumers.mailer.ledger.store import Changes, LaneStore
from retry_topics.topology import Topology
from runtime.kafka.records import Partition
from schemas.ledger import peek
from tests.support.ledgers import MemoryStore
from tests.support.simulated_kafka import MemoryKafka


class Process(Protocol):
    """A life that uses the machine."""

    lives: bool
    host: "Host"


class LaneMemory(MemoryStore):
    """One opening of a lane's store; closed, it is as broken as a real one."""

    def __init__(self, holder: object, before: "LaneMemory | None") -> None:
        super().__init__()
        self.holder = holder
        if before is not None:
            self.entries |= before.entries
            self.suppressions |= before.suppressions
            self.offsets |= before.offsets

    def apply(self, changes: Changes) -> None:
        """Store the changes."""
        if self.closed:
            raise StoreBroken("the store is closed")
        super().apply(changes)


@dataclass(slots=True, eq=False)
class Host:
    """A machine: what of its state directory outlives a process."""

    has_journal: bool = True
    stores: dict[int, LaneMemory] = field(default_factory=dict)
    #: By worker: what its journal holds.
    journals: dict[str, dict[tuple[int, RecordKey], str]] = field(default_factory=dict)

    def accepted(self, lane: int) -> dict[RecordKey, str]:
        """Return what all journals of this host tell of a lane."""
        return {
            key: reply
            for journal in self.journals.values()
            for (of, key), reply in journal.items()
            if of == lane
        }


class MemoryRestorer:
    """Reads a lane's ledger into the host's store, as `CatchUp` does, once it can be read."""

    def __init__(self, worker: Process, kafka: MemoryKafka, topology: Topology) -> None:
        self._worker = worker
        self._kafka = kafka
        self._topology = topology
        self._queue: list[Ticket] = []

    def restore(self, lane: int, done: Callable[[LaneStore | RestoreFailed], None]) -> Ticket:
        """Queue a lane."""
        ticket = Ticket(lane, done)
        self._queue.append(ticket)
        return ticket

    def step(self) -> None:
        """Restore what can be restored."""
        waiting, self._queue = self._queue, []
        for ticket in waiting:
            if ticket.stopped():
                continue
            if (store := self._restored(ticket.lane)) is None:
                self._queue.append(ticket)
            else:
                ticket.hand_over(cast(LaneStore, store))

    def _restored(self, lane: int) -> LaneMemory | None:
        ledger = Partition(self._topology.ledger, lane)
        suppressions = Partition(self._topology.suppressions, lane)
        earlier = self._worker.host.stores.get(lane)
        busy = earlier is not None and not earlier.closed
        if busy or not all(self._kafka.is_decided(p) for p in (ledger, suppressions)):
            return None
        store = self._worker.host.stores[lane] = LaneMemory(self._worker, earlier)
        for record in self._kafka.read(ledger, store.offsets.get(ledger, 0)):
            store.entries[record.key or b""] = peek(record.value or b"")
        for record in self._kafka.read(suppressions, store.offsets.get(suppressions, 0)):
            store.suppressions[record.key or b""] = record.value is not None
        for partition in (ledger, suppressions):
            store.offsets[partition] = len(self._kafka.log(partition).slots)
        return store


class MemoryJournal:
    """The worker's journal in its host's memory."""

    def __init__(self, worker: Process, kept: dict[tuple[int, RecordKey], str]) -> None:
        self._worker = worker
        self._kept = kept

    def append(self, lane: int, event_id: bytes, generation: int, step: int, reply: str) -> None:
        """Write down an acceptance."""
        if self._worker.lives:
            self._kept[lane, (event_id, generation, step)] = reply

    def settled(self, lane: int, keys: Sequence[RecordKey]) -> None:
        """Forget acceptances."""
        if self._worker.lives:
            for key in keys:
                self._kept.pop((lane, key), None)
