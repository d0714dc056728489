"""The composition root of a worker process: builds the graph from settings, starts it, ends it."""

import asyncio
import queue
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from consumers.delivery.blame import Blame
from consumers.delivery.breaker import Outage, Recovery
from consumers.delivery.compose import Composer
from consumers.delivery.endpoint import parse_relays
from consumers.delivery.guard import Guard
from consumers.delivery.outcome import Classifier
from consumers.delivery.relays import RelayGroup, deliver_to
from consumers.mailer.attendant import LoopAttendant
from consumers.mailer.commands import Commands
from consumers.mailer.committer import Committer, CommitterParts, Ownership
from consumers.mailer.endings import Endings
from consumers.mailer.engine import Engine, Intentions, Work
from consumers.mailer.gate import RegistryGate
from consumers.mailer.guards import Guards
from consumers.mailer.job import Report
from consumers.mailer.keeper import Keeper
from consumers.mailer.lanes import Lanes
from consumers.mailer.ledger.desk import Fetched, LedgerDesk
from consumers.mailer.ledger.identity import read_boot_id
from consumers.mailer.ledger.journal import Journal, read_journals
from consumers.mailer.ledger.restore import Restorer, RestorerParts
from consumers.mailer.ledger.store import StorePlace
from consumers.mailer.notices import NoticeParts, Notices
from consumers.mailer.outages import OutageBook
from consumers.mailer.poller import Poller, PollerParts
from consumers.mailer.processor import Intend, Processor, ProcessorParts
from consumers.mailer.slots import Slot
from consumers.mailer.switchboard import Switchboard, SwitchboardParts
from consumers.mailer.switching import Switching
from consumers.mailer.telemetry import Telemetry
from consumers.mailer.throttles import Throttles, Tolerance
from consumers.mailer.traced import TracedWork, traced_intend
from retry_topics.policy import RetryPolicy
from retry_topics.topic_specs import DAY_MS, tier_retention
from retry_topics.topology import Topology
from runtime.clock import Clock, Deadline
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.bulk import BulkReader
from runtime.kafka.client import Properties, client_properties
from runtime.kafka.connection import Connection
from runtime.kafka.consumer import GroupConsumer, RebalanceListener, consumer_properties
from runtime.kafka.follower import Follower
from runtime.kafka.groups import GroupReader
from runtime.kafka.records import OutRecord, Partition
from runtime.kafka.transactions import CommitStep, TransactionalProducer, transaction_properties
from runtime.kafka.writer import RecordWriter
from runtime.logs import get_logger
from runtime.metrics import Metrics
from runtime.pulse import Pulse
from runtime.settings import Settings
from runtime.tracing import Tracer
from schemas.catalogue import Catalogue
from schemas.codec import EventCodec
from schemas.switches import Switches

_log = get_logger("worker")

#: How long a worker waits for the brokers when it starts, in seconds.
_START_SECONDS: Final = 30.0
#: How long the last transactions may take after the poll thread has drained, in seconds.
_CLOSE_SECONDS: Final = 5.0
#: How long a notice of what is out may take, in seconds; less than it takes to close.
_NOTICE_SECONDS: Final = 3.0
#: How long one question how far the switches' topic goes may take, in seconds; less than to close.
_ASK_SECONDS: Final = 3.0
#: How long a broker may let a question for new switches wait while there are none.
_QUIET_FETCH_MS: Final = 500


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What a worker is built from, beside its settings; without a `tracer` it makes no traces."""

    topology: Topology
    catalogue: Catalogue
    composer: Composer
    classifier: Classifier
    codec: EventCodec
    metrics: Metrics
    clock: Clock
    slot: Slot
    outages: OutageBook
    connection: Connection
    pulse: Pulse
    recoveries: Mapping[Blame, Recovery]
    checkpoint: Callable[[CommitStep], None]
    tracer: Tracer | None


class Worker:
    """One worker process' parts: a loop with the engine, the poll thread, the committer."""

    def __init__(self, settings: Settings, parts: WorkerParts) -> None:
        """Build the graph on the running loop."""
        self._settings = settings
        self._clock = parts.clock
        self._loop = asyncio.get_running_loop()
        name = f"{settings.instance_id}-{parts.slot.number}"
        telemetry = _telemetry(parts)
        reports: queue.SimpleQueue[Report | Fetched] = queue.SimpleQueue()
        self._journal = _journal(settings, parts)
        self._restorer = Restorer(_restorer_parts(settings, parts, telemetry))
        ownership = Ownership()
        consumed = len(parts.topology.consumed) * parts.topology.partitions
        guard = _guard(parts, telemetry)
        self._relays = deliver_to(
            parse_relays(settings.smtp_url.get_secret_value()),
            settings.smtp_connections,
            guard,
            lambda: ownership.count / consumed,
            parts.classifier,
            parts.tracer,
        )
        telemetry.watch(self._relays.figures)
        guards = _guards(settings, self._relays, guard)
        telemetry.paused_by(guards.outage)
        parts.outages.paused_by(guards.outage)
        switching = Switching(guards, parts.outages, telemetry, guard.told, parts.clock)
        switching.begin()
        self._switchboard = Switchboard(self._switchboard_parts(settings, parts, switching))
        self._notices = Notices(_notice_parts(settings, parts, name, guards, ownership))
        intend = _intend(parts, Intentions(self._loop, reports.put).commit)
        work = _work(parts, _processor_parts(settings, parts, (name, telemetry), (guards, intend)))
        engine = Engine(self._loop, work, reports.put, self._fail)
        keeper = Keeper(parts.topology, parts.clock, engine.afterwards)
        self._committer = Committer(
            _committer_parts(settings, parts, (name, telemetry, keeper)), ownership
        )
        self._poller = Poller(
            PollerParts(
                make_consumer=_consumer_maker(settings, parts),
                topics=parts.topology.consumed,
                lanes=Lanes(parts.topology, most_pending=4 * settings.max_in_flight),
                engine=engine,
                desk=self._desk(engine, parts.topology),
                reports=reports,
                committer=self._committer,
                ownership=ownership,
                outage=guards.outage,
                switches=lambda: guards.switches,
                # By way of the loop: one that hangs is as dead as a poll thread that does.
                beat=partial(self._loop.call_soon_threadsafe, parts.pulse.beat),
                telemetry=telemetry,
                clock=parts.clock,
                max_in_flight=settings.max_in_flight,
                drain_seconds=settings.drain_seconds,
            )
        )
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._poll, name="poller", daemon=True)

    async def run(self, stopped: Callable[[], Awaitable[None]]) -> None:
        """Work until `stopped` returns, then drain inside the settings' deadline.

        Raises:
            KafkaFault, CommitterFailed, RestoreFailed: the worker cannot go on; its records stay
                in Kafka.
        """
        await asyncio.to_thread(self._committer.start, Deadline(self._clock, _START_SECONDS))
        self._switchboard.start()
        self._thread.start()
        self._notices.start()
        stopping = asyncio.ensure_future(stopped())
        ended = asyncio.ensure_future(self._ended.wait())
        await asyncio.wait((stopping, ended), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        self._poller.stop()
        # Nothing begins any more; it ends while the rest drains.
        self._switchboard.stop()
        await ended
        if not await asyncio.to_thread(self._committer.close, _CLOSE_SECONDS):
            _log.warning("worker.uncommitted", hint="mails that were just sent may be sent again")
        self._restorer.close(_CLOSE_SECONDS)
        await asyncio.to_thread(self._switchboard.close, _CLOSE_SECONDS)
        await asyncio.to_thread(self._notices.close, _CLOSE_SECONDS)
        if self._journal is not None:
            self._journal.close()
        await self._relays.close()
        if self._failure is not None:
            raise self._failure

    def _desk(self, engine: Engine, topology: Topology) -> LedgerDesk:
        read = partial(read_journals, self._settings.state_dir, topology.prefix)
        return LedgerDesk(self._restorer, self._journal, read, engine.afterwards)

    def _switchboard_parts(
        self, settings: Settings, parts: WorkerParts, switching: Switching
    ) -> SwitchboardParts:
        properties = client_properties(settings, role="switchboard")
        admin = TopicAdmin(properties, _ASK_SECONDS)
        topics = [parts.topology.switches]

        def told(switches: Switches | None, reason: str) -> None:
            self._loop.call_soon_threadsafe(switching.turn, switches, reason)

        following: Properties = {**properties, "fetch.wait.max.ms": _QUIET_FETCH_MS}
        return SwitchboardParts(
            look=lambda: admin.spans(topics),
            follow=lambda spans: Follower(following, spans),
            told=told,
            failed=self._fail,
            clock=parts.clock,
        )

    def _poll(self) -> None:
        try:
            self._poller.run()
        except Exception as error:  # noqa: BLE001 - a thread's boundary: `run` raises it again
            self._fail(error)
        self._loop.call_soon_threadsafe(self._ended.set)

    def _fail(self, error: BaseException) -> None:
        """Stop the worker for a fault that it cannot work with; the first one counts."""
        self._failure = self._failure or error
        self._poller.stop()


def _telemetry(parts: WorkerParts) -> Telemetry:
    telemetry = Telemetry(parts.metrics, parts.topology)
    telemetry.watch_connection(parts.connection)
    return telemetry


def _guards(settings: Settings, relays: RelayGroup, guard: Guard) -> Guards:
    tolerance = Tolerance(settings.template_pause_percent, settings.template_pause_mails)
    return Guards(relays, RegistryGate(guard), Throttles(guard, tolerance))


def _guard(parts: WorkerParts, telemetry: Telemetry) -> Guard:
    def told(kind: Blame, name: str, outage: Outage | None) -> None:
        parts.outages.told(kind, name, outage)
        telemetry.out(kind, name, outage)

    return Guard(parts.clock, random.random, told, parts.recoveries)


def _notice_parts(
    settings: Settings, parts: WorkerParts, name: str, guards: Guards, ownership: Ownership
) -> NoticeParts:
    properties = client_properties(settings, role="notices")
    topology = parts.topology

    def write(record: OutRecord) -> None:
        # There are so few that none of them keeps a client.
        with RecordWriter(properties, parts.clock, _NOTICE_SECONDS) as writer:
            writer.write([record])

    return NoticeParts(
        topic=topology.outages,
        worker=name,
        outages=lambda: (*parts.outages.open(), *guards.paused_relays()),
        pausing=guards.pausing,
        lanes=lambda: ownership.lanes(topology.main),
        write=write,
        clock=parts.clock,
    )


def _processor_parts(
    settings: Settings,
    parts: WorkerParts,
    of_worker: tuple[str, Telemetry],
    hands: tuple[Guards, Intend],
) -> ProcessorParts:
    name, telemetry = of_worker
    guards, intend = hands
    endings = Endings(parts.topology, name, parts.clock)
    return ProcessorParts(
        codec=parts.codec,
        catalogue=parts.catalogue,
        composer=parts.composer,
        guards=guards,
        policy=RetryPolicy(parts.topology.tiers),
        endings=endings,
        commands=Commands(endings),
        intend=intend,
        telemetry=telemetry,
        clock=parts.clock,
        worker=name,
    )


def _intend(parts: WorkerParts, intend: Intend) -> Intend:
    return intend if parts.tracer is None else traced_intend(intend, parts.topology)


def _work(parts: WorkerParts, of_processor: ProcessorParts) -> Work:
    processor = Processor(of_processor)
    if parts.tracer is None:
        return processor
    return TracedWork(processor, parts.tracer, parts.topology)


def _restorer_parts(settings: Settings, parts: WorkerParts, telemetry: Telemetry) -> RestorerParts:
    properties = client_properties(settings, role="restorer")
    longest = max(tier_retention(tier) for tier in parts.topology.tiers)
    return RestorerParts(
        topology=parts.topology,
        cluster=TopicAdmin(properties),
        reader=BulkReader(properties, parts.clock),
        place=StorePlace(settings.state_dir, retention_days=-(-longest // DAY_MS)),
        boot_id=read_boot_id(),
        clock=parts.clock,
        restored=telemetry.restored,
    )


def _journal(settings: Settings, parts: WorkerParts) -> Journal | None:
    if not settings.journal:
        return None
    return Journal(settings.state_dir, parts.topology.prefix, parts.slot.number, parts.clock)


def _committer_parts(
    settings: Settings, parts: WorkerParts, of_worker: tuple[str, Telemetry, Keeper]
) -> CommitterParts:
    name, telemetry, keeper = of_worker
    properties = client_properties(settings, role="committer")
    group = GroupReader(client_properties(settings, role="committer"), parts.topology.group)
    attendant = LoopAttendant(asyncio.get_running_loop())

    def make_producer(turn: int) -> TransactionalProducer:
        identity = f"{parts.topology.prefix}.{name}.{turn}"
        return TransactionalProducer(
            transaction_properties(properties, identity), parts.checkpoint, attendant
        )

    return CommitterParts(
        name=name,
        unread=Partition(parts.topology.ledger, 0),
        make_producer=make_producer,
        committed_tokens=group.tokens,
        keep=keeper.keep,
        observe=telemetry.committed,
        clock=parts.clock,
        pause=time.sleep,
    )


def _consumer_maker(
    settings: Settings, parts: WorkerParts
) -> Callable[[RebalanceListener], GroupConsumer]:
    properties = consumer_properties(
        client_properties(settings, role="worker"),
        parts.topology.group,
        settings.kafka_group_protocol,
    )
    return lambda listener: GroupConsumer(properties, listener, parts.connection)
