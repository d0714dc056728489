"""A world of workers, a Kafka and a relay in memory, and what must be true of it at its end.

One thread runs everything, one decision after the other, so that a run can be repeated exactly.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from consumers.delivery.blame import Blame
from consumers.delivery.breaker import Recovery
from consumers.delivery.message import Message
from consumers.mailer.telemetry import Telemetry
from retry_topics.failure import Outcome
from retry_topics.headers import read_journey, write_journey
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.records import Headers, OutRecord, Partition
from runtime.metric_catalogue import WORKER_METRICS
from runtime.metrics import Metrics
from runtime.trace_context import first_headers
from runtime.tracing import Tracer
from schemas.catalogue import Catalogue, Template
from schemas.codec import encode
from schemas.control import ControlAction, ControlCommand, write_command
from schemas.events import SignupEvent
from schemas.identity import lane_key
from schemas.ledger import NOBODY, LedgerEntry, owner_of, read_entry
from schemas.mail_states import MailState
from schemas.manifest import Category, OnAmbiguous
from schemas.switches import Switch, Switches, SwitchKey, SwitchKind
from tests.support.clock import ManualClock
from tests.support.simulated_host import Host
from tests.support.simulated_kafka import Killed, MemoryGroup, MemoryKafka
from tests.support.simulated_relay import Answer, Handover, MemoryRelay
from tests.support.simulated_worker import QUICK, Surroundings, Worker

LANES: Final = 2
TOPOLOGY: Final = Topology("t", parse_tiers("1m,10m"), LANES)
#: Two recipients in each lane.
ADDRESSES: Final = ("ada@example.com", "bob@example.com", "cleo@example.com", "dora@example.com")
PLAIN, HOLD, SECURITY = "plain", "hold", "security"
#: A world in which nothing moves for longer than the longest tier stands still.
_MOST_IDLE_ROUNDS: Final = 30
_IDLE_SECONDS: Final = 30


def _template(name: str, on_ambiguous: OnAmbiguous, ignores: bool = False) -> Template:
    category = Category.SECURITY if ignores else Category.TRANSACTIONAL
    return Template(name, category, None, on_ambiguous, {}, {}, ignores)


CATALOGUE: Final = Catalogue(
    {
        PLAIN: _template(PLAIN, OnAmbiguous.RESEND),
        HOLD: _template(HOLD, OnAmbiguous.HOLD),
        SECURITY: _template(SECURITY, OnAmbiguous.RESEND, ignores=True),
    }
)


class Violation(AssertionError):
    """Something happened that must not."""


@dataclass(slots=True, eq=False)
class Mail:
    """One accepted event, and what was asked about it."""

    event: SignupEvent
    lane: int
    record: OutRecord
    #: Who asked for it to be cancelled, with the offset of each demand; no tenant is the operator.
    cancels: list[tuple[str, int]] = field(default_factory=list)
    discarded: bool = False
    #: How often somebody asked for it to run again.
    replays: int = 0
    #: How often the relay may have it beside the one time that is told of as SENT.
    excuses: int = 0

    @property
    def id(self) -> str:
        """The event's id, as the relay sees it."""
        return str(self.event.event_id)

    @property
    def cancelled_at(self) -> int | None:
        """The offset of the first demand that has to stop it, None where there is none."""
        rightful = (at for tenant, at in self.cancels if tenant in ("", self.event.tenant))
        return min(rightful, default=None)

    @property
    def holds(self) -> bool:
        """Tell whether it is rather held than sent twice."""
        return self.event.template == HOLD


def lane_of(address: str) -> int:
    """Return the lane of an address."""
    return ADDRESSES.index(address) % LANES


class World:
    """Everything there is. `close` it in the end."""

    def __init__(
        self,
        hosts: Sequence[Host],
        on_send: Callable[[Mail, Worker], None],
        recoveries: Mapping[Blame, Recovery] = QUICK,
        tracer: Tracer | None = None,
    ) -> None:
        """`on_send` is told of each mail that the owner of its lane begins to hand over."""
        self.on_send = on_send
        self.clock = ManualClock()
        self.loop = asyncio.new_event_loop()
        self.kafka = MemoryKafka(self.clock, TOPOLOGY.consumed, MemoryGroup(LANES))
        self.relay = MemoryRelay(self.loop)
        self.hosts = hosts
        self.workers: dict[str, Worker] = {}
        self.mails: dict[str, Mail] = {}
        #: Recipients that somebody, or the relay, wanted to get no more mail, and to get it again.
        self.suppressed: set[str] = set()
        self.lifted: set[str] = set()
        self.switches = Switches()
        #: What the relay says while a worker drains.
        self.while_draining: list[Answer] = []
        self.happened: Counter[str] = Counter()
        #: When a relay that is down was asked, in seconds.
        self.probes: list[float] = []
        self._crashes: list[BaseException] = []
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._ready = vars(self.loop)["_ready"]
        self._excused: set[Handover] = set()
        self._surroundings = Surroundings(
            self.loop,
            self.clock,
            self.kafka,
            TOPOLOGY,
            CATALOGUE,
            self.relay.turn.wait,
            self._hand_over,
            self._sleep,
            self.settle,
            self._answer_while_draining,
            self._crashes.append,
            Telemetry(Metrics(WORKER_METRICS), TOPOLOGY),
            recoveries,
            lambda: self.switches,
            tracer,
        )

    def start(self, name: str, host: int) -> Worker:
        """Start a worker process under a name, which has one life at a time."""
        # Two lives of one worker begin at different moments.
        self.advance(0.001)
        self.workers[name] = Worker(name, self.hosts[host], self._surroundings)
        return self.workers[name]

    def close(self) -> None:
        """End every life without a word."""
        # What was found was told; it must not keep the loop from being closed.
        self._crashes.clear()
        try:
            for worker in list(self.workers.values()):
                self.crash(worker)
        finally:
            self.loop.close()

    def settle(self) -> None:
        """Let the loop do everything that it can do without more of the world."""
        while True:
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
            if not self._ready:
                break
        if self._crashes:
            raise self._crashes[0]

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)
        self._wake()

    def post(self, event: SignupEvent) -> Mail:
        """Accept an event as the API does, in the trace at hand."""
        address = event.recipient.address
        headers = (("ce_id", str(event.event_id).encode()), *first_headers())
        record = OutRecord(TOPOLOGY.main, lane_key(address), encode(event), headers)
        mail = self.mails.setdefault(str(event.event_id), Mail(event, lane_of(address), record))
        self.kafka.write(mail.record, mail.lane)
        return mail

    def demand(self, mail: Mail, action: ControlAction, tenant: str) -> None:
        """Ask for a mail to be cancelled or discarded; no tenant is the operator."""
        command = ControlCommand(action, self.clock.now_ms(), event_id=mail.id, tenant=tenant)
        offset = self._command(command, mail.event.recipient.address)
        if action is ControlAction.DISCARD:
            mail.discarded = True
        else:
            mail.cancels.append((tenant, offset))

    def suppress(self, address: str, action: ControlAction) -> None:
        """Ask for a recipient to be suppressed, or not any more."""
        (self.suppressed if action is ControlAction.SUPPRESS else self.lifted).add(address)
        self._command(ControlCommand(action, self.clock.now_ms(), address=address), address)

    def switch(self, kind: SwitchKind, what: str, *, off: bool) -> None:
        """Pause something, or resume it, as an operator's command does."""
        key = SwitchKey(kind, what)
        self.switches = self.switches.turned(key, Switch(key, self.clock.now_ms()) if off else None)
        for worker in self.workers.values():
            worker.heed(self.switches)
        self.settle()

    def parked(self) -> list[tuple[int, int]]:
        """Return the places (lane, index) of the records on the dead-letter topic."""
        return [
            (lane, index)
            for lane in range(LANES)
            for index, _ in enumerate(self.kafka.read(Partition(TOPOLOGY.dlt, lane)))
        ]

    def replay(self, lane: int, index: int) -> None:
        """Run a record of the dead-letter topic again, as the operator's command does."""
        record = self.kafka.read(Partition(TOPOLOGY.dlt, lane))[index]
        journey = read_journey(record.headers)
        again = type(journey)(
            generation=journey.generation + 1, origin=journey.origin, history=journey.history
        )
        headers = write_journey(record.headers, again)
        self.mails[id_of(headers)].replays += 1
        self.kafka.write(OutRecord(TOPOLOGY.main, record.key, record.value, headers), lane)

    def step(self, worker: Worker, *, commits: bool) -> None:
        """Do one turn of a worker's poll thread or of its committer."""
        if not worker.lives:
            return
        try:
            if commits:
                worker.committer.step()
            else:
                worker.turn()
            self.settle()
        except Killed:
            self.crash(worker)

    def answer(self, handover: Handover, answer: Answer) -> None:
        """Let the relay answer."""
        self._answer(handover, answer)
        self.settle()

    def _answer(self, handover: Handover, answer: Answer) -> None:
        mail = self.mails[handover.mail]
        if answer is Answer.NO_SUCH_RECIPIENT and not handover.taken:
            self.suppressed.add(mail.event.recipient.address)
        if handover.by is not self._owner(mail.lane):
            self._excuse([handover])
        self.happened[answer.name] += 1
        self.relay.answer(handover, answer)
        if handover.ambiguous:
            self._excuse([handover])

    def stop(self, worker: Worker, answers: Sequence[Answer]) -> None:
        """Stop a worker as SIGTERM does; the relay gives these answers meanwhile."""
        self.while_draining = list(answers)
        try:
            worker.stop()
            del self.workers[worker.name]
        except Killed:
            self.crash(worker)

    def crash(self, worker: Worker) -> None:
        """Kill a worker."""
        self.happened["crash"] += 1
        self._excuse(self._uncommitted(worker))
        worker.crash()
        del self.workers[worker.name]

    def kick(self, worker: Worker) -> None:
        """Let the group take a worker for dead; it hears of that at its next poll."""
        self._excuse(self._uncommitted(worker))
        self.kafka.group.leave(worker.consumer.member)

    def relay_goes_down(self) -> None:
        """Let the relay answer nobody any more."""
        self._excuse(handover for handover in self.relay.waiting if handover.taken)
        self.relay.go_down()
        self.settle()

    def rest(self) -> None:
        """Mend everything and run until nothing is left to do.

        Raises:
            Violation: that does not come.
        """
        self.kafka.fates.clear()
        self.kafka.settle()
        self.relay.come_up()
        for key in list(self.switches.off):
            self.switch(*key, off=False)
        self.while_draining = []
        if not self.workers:
            self.start("a", 0)
        before, idle = self.kafka.progress(), 0
        while idle < _MOST_IDLE_ROUNDS:
            self.round(Answer.ACCEPT)
            after = self.kafka.progress()
            if after == before:
                if self._is_at_rest():
                    return
                idle += 1
                self.advance(_IDLE_SECONDS)
            else:
                before, idle = after, 0
        raise Violation(f"there is no end: {self.kafka.lag(LANES)} offsets are left")

    def round(self, answer: Answer) -> None:
        """Let every worker read, the relay answer, and every worker commit."""
        for worker in list(self.workers.values()):
            self.step(worker, commits=False)
        for handover in list(self.relay.waiting):
            if handover in self.relay.waiting:
                self.answer(handover, answer)
        for worker in list(self.workers.values()):
            self.step(worker, commits=True)

    def entries(self, mail: Mail) -> list[LedgerEntry]:
        """Return what is committed about a mail, without demands of those whose it is not."""
        owners = (NOBODY, owner_of(mail.event.tenant))
        records = self.kafka.read(Partition(TOPOLOGY.ledger, mail.lane))
        key = mail.event.event_id.bytes
        entries = (read_entry(record.value) for record in records if record.key == key)
        return [entry for entry in entries if entry.owner in owners]

    def _is_at_rest(self) -> bool:
        busy = any(worker.committer.waits for worker in self.workers.values())
        return not busy and not self.relay.waiting and self.kafka.lag(LANES) == 0

    def _owner(self, lane: int) -> Worker | None:
        return next((worker for worker in self.workers.values() if worker.owns(lane)), None)

    def _uncommitted(self, worker: Worker) -> list[Handover]:
        """Return what the relay took from a worker and no ledger tells of."""
        taken = [handover for handover in self.relay.taken if handover.by is worker]
        return [
            handover
            for handover in taken
            if all(e.state is not MailState.SENT for e in self.entries(self.mails[handover.mail]))
        ]

    def _excuse(self, handovers: Iterable[Handover]) -> None:
        for handover in handovers:
            if handover not in self._excused:
                self._excused.add(handover)
                self.mails[handover.mail].excuses += 1

    async def _hand_over(self, worker: Worker, message: Message) -> Outcome:
        mail = self.mails[message.message_id]
        if self.relay.is_up:
            if worker is self._owner(mail.lane):
                try:
                    self.on_send(mail, worker)
                except Violation as violation:
                    # The worker would take it for a fault of the mail.
                    self._crashes.append(violation)
            self.happened["send"] += 1
        else:
            self.probes.append(self.clock.monotonic())
        try:
            return await self.relay.hand_over(worker, message)
        finally:
            given_up = [h for h in self.relay.given_up if h.taken]
            self.relay.given_up.clear()
            self._excuse(given_up)

    def _command(self, command: ControlCommand, address: str) -> int:
        record = OutRecord(TOPOLOGY.control, lane_key(address), write_command(command), ())
        return self.kafka.write(record, lane_of(address))

    def _answer_while_draining(self) -> None:
        if self.while_draining and self.relay.waiting:
            self._answer(self.relay.waiting[0], self.while_draining.pop())

    async def _sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = self.loop.create_future()
        self._sleepers.append((self.clock.monotonic() + seconds, future))
        await future

    def _wake(self) -> None:
        now = self.clock.monotonic()
        due = [future for at, future in self._sleepers if at <= now]
        self._sleepers = [(at, future) for at, future in self._sleepers if at > now]
        for future in due:
            if not future.done():
                future.set_result(None)
        self.settle()


def id_of(headers: Headers) -> str:
    """Return the event id in a record's headers."""
    return next((value or b"").decode() for name, value in headers if name == "ce_id")
