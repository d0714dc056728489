"""A worker of real parts whose threads, loop and clock move only when the simulation says so."""

import asyncio
import queue
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from consumers.delivery.blame import Blame
from consumers.delivery.breaker import BackOff, Recovery
from consumers.delivery.figures import RelayFigures
from consumers.delivery.guard import RECOVERIES, Guard
from consumers.delivery.message import Message
from consumers.delivery.protocol import Begins, Delivery
from consumers.delivery.relays import RelayGroup
from consumers.delivery.standing import Relay
from consumers.delivery.traced import TracedDelivery
from consumers.mailer.commands import Commands
from consumers.mailer.committer import Barrier, Batch, Committer, CommitterParts, Ownership
from consumers.mailer.endings import Endings
from consumers.mailer.engine import Engine, Intentions, Work
from consumers.mailer.gate import RegistryGate
from consumers.mailer.guards import Guards
from consumers.mailer.job import Report
from consumers.mailer.keeper import Keeper
from consumers.mailer.lanes import Lanes
from consumers.mailer.ledger.desk import Fetched, LedgerDesk
from consumers.mailer.ledger.lane import RecordKey
from consumers.mailer.poller import Poller, PollerParts
from consumers.mailer.processor import Intend, Processor, ProcessorParts
from consumers.mailer.telemetry import Telemetry
from consumers.mailer.throttles import Throttles, Tolerance
from consumers.mailer.traced import TracedWork, traced_intend
from retry_topics.failure import Outcome
from retry_topics.policy import RetryPolicy
from retry_topics.topology import Topology
from runtime.clock import Deadline
from runtime.kafka.consumer import RebalanceListener
from runtime.kafka.records import Partition
from runtime.tracing import Tracer
from schemas.catalogue import Catalogue
from schemas.codec import EventCodec
from schemas.events import SignupEvent
from schemas.switches import Switches
from tests.support.clock import ManualClock
from tests.support.simulated_host import Host, MemoryJournal, MemoryRestorer
from tests.support.simulated_kafka import MemoryConsumer, MemoryKafka, MemoryProducer

_DRAIN_SECONDS: Final = 0.2
_COMMIT_TRIES: Final = 8
#: A relay that is out is asked again each second.
_SECOND: Final = BackOff(1.0, 1.0)
QUICK: Final = {**RECOVERIES, Blame.RELAY: Recovery(_SECOND, _SECOND)}


class _Paused(Exception):
    """The committer waits before it tries a transaction again."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all workers share."""

    loop: asyncio.AbstractEventLoop
    clock: ManualClock
    kafka: MemoryKafka
    topology: Topology
    catalogue: Catalogue
    turn: Callable[[], Awaitable[object]]
    hand_over: Callable[["Worker", Message], Awaitable[Outcome]]
    sleep: Callable[[float], Awaitable[None]]
    settle: Callable[[], None]
    while_draining: Callable[[], None]
    crashed: Callable[[BaseException], None]
    telemetry: Telemetry
    recoveries: Mapping[Blame, Recovery]
    switches: Callable[[], Switches]
    tracer: Tracer | None = None


class _Reports(queue.SimpleQueue[Report | Fetched]):
    """Reports for a poll thread that shares its thread with the loop."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._with = surroundings

    def get(self, block: bool = True, timeout: float | None = None) -> Report | Fetched:
        self._with.settle()
        if self.empty():
            self._with.while_draining()
            self._with.settle()
            self._with.clock.advance(timeout or 0.0)
        return self.get_nowait()


class _SteppedBarrier(Barrier):
    def __init__(self, committer: "SteppedCommitter") -> None:
        super().__init__()
        self._committer = committer

    def wait(self, seconds: float) -> bool:
        for _ in range(_COMMIT_TRIES):
            self._committer.step()
            if not self._committer.waits:
                return True
        return False


class SteppedCommitter(Committer):
    """The committer without its thread: each step does what the thread does in one turn."""

    def __init__(self, parts: CommitterParts, ownership: Ownership) -> None:
        super().__init__(parts, ownership)
        self._held: list[Batch] = []
        #: What a transaction that is to be repeated carries: the first so many.
        self._repeated = 0

    @property
    def waits(self) -> bool:
        """Tell whether something waits to be committed."""
        return bool(self._held)

    @property
    def busy(self) -> bool:
        """Tell the same: between two steps nothing is under way."""
        return self.waits

    def start(self, deadline: Deadline) -> None:
        """Make the producers ready."""
        for turn in (0, 1):
            self._producers.append(self._fresh(turn, deadline))

    def submit(self, batch: Batch) -> None:
        """Hold a batch until the next step."""
        self._held.append(batch)

    def barrier(self) -> Barrier:
        """Return a barrier that steps when it is waited for."""
        return _SteppedBarrier(self)

    def step(self) -> None:
        """Commit what there is, once; what did not count is held for the next step."""
        count = self._repeated or len(self._held)
        if not count:
            return
        taken, self._held = self._held[:count], self._held[count:]
        for batch in taken:
            self._inbox.put(batch)
        self._repeated = 0
        try:
            self._commit_what_there_is()
        except _Paused:
            self._began = None
            self._held[:0] = taken
            self._repeated = count


class SteppedPoller(Poller):
    """The poller without its thread."""

    def turn(self) -> None:
        """Do one turn of the loop."""
        self._turn()


class _Composer:
    def compose(self, event: SignupEvent, generation: int) -> Message:
        return Message(str(event.event_id), "", event.recipient.address, b"")


class _Delivery:
    def __init__(self, worker: "Worker", surroundings: Surroundings) -> None:
        self._worker = worker
        self._with = surroundings

    async def send(self, message: Message, begins: Begins | None = None) -> Outcome:
        if not self._worker.lives:
            raise asyncio.CancelledError
        await self._with.turn()
        if begins is not None and (first := begins()) is not None:
            await first
        return await self._with.hand_over(self._worker, message)

    def figures(self) -> Sequence[RelayFigures]:
        return ()

    async def close(self) -> None:
        pass


_CODEC: Final = EventCodec(None)


class Worker:
    """One process' life."""

    def __init__(self, name: str, host: Host, surroundings: Surroundings) -> None:
        """Build the graph as `consumers.app` does, and join the group."""
        self.name = name
        self.host = host
        self.lives = True
        #: When the poll thread told that it turns.
        self.beats: list[float] = []
        #: By lane: what the journals told when its ledger was fetched last.
        self.told: dict[int, Mapping[RecordKey, str]] = {}
        self._with = surroundings
        kafka, topology, clock = surroundings.kafka, surroundings.topology, surroundings.clock
        self._telemetry = surroundings.telemetry
        self._reports = _Reports(surroundings)
        self._restorer = MemoryRestorer(self, kafka, topology)
        self._guards = self._guard()
        self.heed(surroundings.switches())
        self.engine = Engine(
            surroundings.loop, self._work(), self._reports.put, surroundings.crashed
        )
        ownership = Ownership()
        self.committer = SteppedCommitter(self.committer_parts(), ownership)
        self.committer.start(Deadline(clock, 5))
        self.poller = SteppedPoller(
            PollerParts(
                make_consumer=self._make_consumer,
                topics=topology.consumed,
                lanes=Lanes(topology, most_pending=32),
                engine=self.engine,
                desk=self._desk(),
                reports=self._reports,
                committer=self.committer,
                ownership=ownership,
                outage=self._guards.outage,
                switches=lambda: self._guards.switches,
                beat=lambda: self.beats.append(clock.monotonic()),
                telemetry=self._telemetry,
                clock=clock,
                max_in_flight=8,
                drain_seconds=_DRAIN_SECONDS,
            )
        )
        self.consumer.subscribe(topology.consumed)

    def turn(self) -> None:
        """Do one turn of the restorer and of the poll thread."""
        self._restorer.step()
        self.poller.turn()

    def heed(self, switches: Switches) -> None:
        """Learn what operators have paused, as from the topic."""
        self._guards.turn(switches)

    def owns(self, lane: int) -> bool:
        """Tell whether the group takes the lane for ours."""
        return self._with.kafka.group.owners[lane] == self.consumer.member

    def stop(self) -> None:
        """Drain and leave, as after SIGTERM."""
        self.poller.stop()
        self.poller.run()
        self._bury()

    def crash(self) -> None:
        """End at once: nothing that this life was about to do happens any more."""
        self.lives = False
        self._with.kafka.group.leave(self.consumer.member)
        self._bury()

    def _bury(self) -> None:
        topology = self._with.topology
        lanes = range(topology.partitions)
        self.engine.abandon({Partition(t, lane) for t in topology.consumed for lane in lanes})
        self._with.settle()
        self.lives = False
        for store in self.host.stores.values():
            store.closed = store.closed or store.holder is self

    def _work(self) -> Work:
        topology, clock, tracer = self._with.topology, self._with.clock, self._with.tracer
        endings = Endings(topology, self.name, clock)
        intend: Intend = Intentions(self._with.loop, self._reports.put).commit
        if tracer is not None:
            intend = traced_intend(intend, topology)
        processor = Processor(
            ProcessorParts(
                codec=_CODEC,
                catalogue=self._with.catalogue,
                composer=_Composer(),
                guards=self._guards,
                policy=RetryPolicy(topology.tiers),
                endings=endings,
                commands=Commands(endings),
                intend=intend,
                telemetry=self._telemetry,
                clock=clock,
                worker=self.name,
            )
        )
        return processor if tracer is None else TracedWork(processor, tracer, topology)

    def _guard(self) -> Guards:
        guard = Guard(self._with.clock, lambda: 1.0, self._telemetry.out, self._with.recoveries)
        delivery: Delivery = _Delivery(self, self._with)
        if self._with.tracer is not None:
            delivery = TracedDelivery(delivery, self._with.tracer, "relay")
        relays = RelayGroup([Relay("relay", delivery)], guard)
        registry = RegistryGate(guard, self._with.sleep)
        return Guards(relays, registry, Throttles(guard, Tolerance()), self._with.sleep)

    def committer_parts(self) -> CommitterParts:
        """Return what the worker's committer works with."""
        kafka = self._with.kafka
        keeper = Keeper(self._with.topology, self._with.clock, self._afterwards)

        def pause(seconds: float) -> None:
            raise _Paused

        def tokens(sources: Iterable[Partition]) -> Mapping[Partition, str]:
            return {p: kafka.tokens[p] for p in sources if p in kafka.tokens}

        return CommitterParts(
            name=self.name,
            unread=Partition(self._with.topology.ledger, 0),
            make_producer=lambda turn: MemoryProducer(kafka, f"{self.name}.{turn}"),
            committed_tokens=tokens,
            keep=keeper.keep,
            observe=self._telemetry.committed,
            clock=self._with.clock,
            pause=pause,
        )

    def _desk(self) -> LedgerDesk:
        journal = None
        if self.host.has_journal:
            journal = MemoryJournal(self, self.host.journals.setdefault(self.name, {}))
        return LedgerDesk(self._restorer, journal, self._read_journals, self._afterwards)

    def _read_journals(self, lane: int) -> Mapping[RecordKey, str]:
        self.told[lane] = self.host.accepted(lane) if self.host.has_journal else {}
        return self.told[lane]

    def _afterwards(self, call: Callable[[], object]) -> None:
        self.engine.afterwards(call)
        if not self._with.loop.is_running():
            self._with.settle()

    def _make_consumer(self, listener: RebalanceListener) -> MemoryConsumer:
        self.consumer = MemoryConsumer(self._with.kafka, self.name, listener)
        return self.consumer
