"""One record from bytes to completion: decode, ask the ledger, compose, deliver, decide."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from consumers.delivery.blame import Blame, blame
from consumers.delivery.guard import Hold
from consumers.delivery.message import Message
from consumers.delivery.render import Unrenderable
from consumers.mailer.commands import Commands, may_stop
from consumers.mailer.completion import Completion
from consumers.mailer.decoding import Decoder
from consumers.mailer.endings import Endings, Words
from consumers.mailer.gate import Answered, Aside, Out, Pass
from consumers.mailer.guards import Guards
from consumers.mailer.job import Job, Subject
from consumers.mailer.ledger.judge import Verdict, judge
from consumers.mailer.telemetry import Telemetry
from consumers.mailer.throttles import NOTHING_ASKED, Leave
from consumers.mailer.triage import TimeOver, Wait, is_overdue, look_again_at, put_off, triage
from retry_topics.failure import (
    Accepted,
    Ambiguous,
    Failure,
    FailureClass,
    Outcome,
    Phase,
    Scope,
)
from retry_topics.headers import Journey, read_journey
from retry_topics.policy import DeadLetter, DeadReason, Expire, RetryAt, RetryPolicy
from runtime.clock import Clock
from runtime.logs import get_logger
from schemas.catalogue import Catalogue
from schemas.codec import EventCodec
from schemas.control import ControlCommand
from schemas.errors import Undecodable, UnknownSchema, UnknownTemplate
from schemas.events import SignupEvent
from schemas.ledger import owner_of
from schemas.mail_states import MailState
from schemas.manifest import OnAmbiguous
from schemas.privacy import address_hash

_log = get_logger("mailer")
#: Looked up once: of an enumeration, members are found slowly.
_DROP, _IN_DOUBT, _HOLD = Verdict.DROP, Verdict.IN_DOUBT, OnAmbiguous.HOLD
#: A mail that has waited for longer than this is looked at again before it is handed over.
_LONG_WAIT_SECONDS: Final = 1.0


class Composer(Protocol):
    """Turns an event into the bytes of its mail."""

    def compose(self, event: SignupEvent, generation: int) -> Message: ...


#: Has a completion committed while its record stays in hand, and returns when it is.
Intend = Callable[[Job, Completion], Awaitable[None]]


class _Settled(Exception):
    """Something has decided about the mail before the relay heard of it."""

    def __init__(self, completion: Completion) -> None:
        super().__init__()
        self.completion = completion


@dataclass(frozen=True, slots=True)
class ProcessorParts:
    """What a processor works with. `worker` is the name that histories carry."""

    codec: EventCodec
    catalogue: Catalogue
    composer: Composer
    guards: Guards
    policy: RetryPolicy
    endings: Endings
    commands: Commands
    intend: Intend
    telemetry: Telemetry
    clock: Clock
    worker: str


class Processor:
    """Decides by calling pure functions, and performs: the only place where both meet."""

    def __init__(self, parts: ProcessorParts) -> None:
        self._parts = parts
        self._decoder = Decoder(parts.codec, parts.guards.registry_gate)

    def announced(self, job: Job) -> Callable[[Job], bool] | None:
        """Take note of a demand; return which jobs in hand it stops."""
        return self._parts.commands.announced(job)

    async def process(self, job: Job) -> Completion:
        """Return what the record causes. Waits through outages; never raises for the record.

        A fault of our own code is a failed attempt like any other: the mail goes through the
        tiers, where a repaired version may send it, and at the end to the dead-letter topic.
        """
        if job.command:
            return self._parts.commands.process(job)
        journey = read_journey(job.record.headers)
        if journey.paused:
            # It has had its turn before the pause.
            journey = replace(journey, paused=b"", due_at=None)
        try:
            return await self._process(job, journey)
        except Exception as error:  # noqa: BLE001 - the worker loop's boundary
            _log.exception("record.crashed", position=job.position)
            text = f"{type(error).__name__}: {error}"
            failure = Failure(
                Scope.MESSAGE, FailureClass.TRANSIENT, Phase.RENDER, text, "internal-error"
            )
            return self._failed(job, journey, failure, None)

    def withdrawn(self, job: Job) -> Completion:
        """Return what becomes of a mail that a demand has stopped."""
        command = self._wanted(job)
        if command is None:
            return self._parts.endings.dropped(job)
        return self._parts.endings.cancelled(job, read_journey(job.record.headers), command)

    async def _process(self, job: Job, journey: Journey) -> Completion:
        try:
            decoded = self._decoder.decode(job.record.value)
            if not isinstance(decoded, SignupEvent):
                decoded = await decoded
        except (Undecodable, UnknownSchema) as error:
            _log.warning("record.undecodable", position=job.position)
            return self._parts.endings.dead(job, journey, DeadReason.UNDECODABLE, str(error))
        owner = owner_of(decoded.tenant)
        job.subject = Subject(decoded.event_id.bytes, owner, decoded.template, decoded.tenant)
        settled = self._judged(job, journey) or self._stopped(job, journey, decoded)
        if settled is not None:
            return settled
        composed = self._compose(job, journey, decoded)
        if isinstance(composed, Completion):
            return composed
        reached = await self._reach(job, journey, decoded, composed)
        if isinstance(reached, Completion):
            return reached
        if isinstance(reached, Accepted):
            self._parts.telemetry.accepted(decoded, journey.generation, self._parts.clock.now_ms())
            return self._parts.endings.sent(job, journey, reached.reply)
        return self._failed(job, journey, reached, decoded)

    def _judged(self, job: Job, journey: Journey) -> Completion | None:
        """Ask the ledger, and the journals of this host; None: the record counts."""
        subject, ledger, endings = job.subject, job.ledger, self._parts.endings
        if subject is None:
            return None
        standing = ledger.standing(subject.event_id)
        verdict = judge(standing, journey.generation, journey.step, subject.owner)
        if verdict is _DROP:
            self._parts.telemetry.dropped()
            return endings.dropped(job)
        reply = ledger.accepted_before(subject.key(journey))
        if reply is not None:
            self._parts.telemetry.recovered()
            return endings.sent(job, journey, reply)
        if verdict is _IN_DOUBT:
            text = "the worker ended while it handed the mail over: accepted or not, unknown"
            return endings.dead(job, journey, DeadReason.HELD, text)
        return None

    def _stopped(self, job: Job, journey: Journey, event: SignupEvent) -> Completion | None:
        """Tell whether the mail may not be sent now; None: it may."""
        parts, endings = self._parts, self._parts.endings
        if (command := self._wanted(job)) is not None:
            return endings.cancelled(job, journey, command)
        if job.ledger.is_suppressed(address_hash(event.recipient.address)) and not self._ignores(
            event.template
        ):
            return endings.suppressed(job, journey)
        now = parts.clock.now_ms()
        match triage(event, journey, now):
            case TimeOver():
                return self._expired(job, journey, event.template)
            case Wait(due_at):
                return endings.scheduled(job, journey, due_at, now)
            case _:
                return self._paused(job, journey, event, now) if parts.guards.switches else None

    def _paused(
        self, job: Job, journey: Journey, event: SignupEvent, now: int
    ) -> Completion | None:
        """Let a mail wait in the tiers whose template or tenant an operator has paused."""
        switch = self._parts.guards.switches.puts_off(event.template, event.tenant)
        if switch is None:
            return None
        self._parts.telemetry.put_off("switch")
        due_at = look_again_at(event, switch.since, now, self._parts.policy.tiers)
        return self._parts.endings.paused(job, journey, switch, due_at, now)

    def _wanted(self, job: Job) -> ControlCommand | None:
        subject = job.subject
        if subject is None:
            return None
        command = job.ledger.wanted(subject.event_id)
        return command if command is not None and may_stop(command, subject.owner) else None

    def _ignores(self, template: str) -> bool:
        try:
            return self._parts.catalogue.get(template).ignores_suppression
        except UnknownTemplate:
            return False

    def _holds(self, template: str) -> bool:
        return self._parts.catalogue.get(template).on_ambiguous is _HOLD

    def _compose(self, job: Job, journey: Journey, event: SignupEvent) -> Message | Completion:
        endings = self._parts.endings
        try:
            return self._parts.composer.compose(event, journey.generation)
        except UnknownTemplate as error:
            return endings.dead(job, journey, DeadReason.UNKNOWN_TEMPLATE, str(error))
        except Unrenderable as error:
            return endings.dead(job, journey, DeadReason.UNRENDERABLE, str(error))

    async def _reach(
        self, job: Job, journey: Journey, event: SignupEvent, message: Message
    ) -> Outcome | Completion:
        """Hand the mail over, however long that takes."""
        guards = self._parts.guards
        if guards.relays.pause() is None:
            # It was looked at just now.
            passed = await self._deliver(job, journey, event, message)
            if not isinstance(passed, Out):
                return passed.result
        return await guards.relay_gate.through(
            lambda: self._deliver_unless_stopped(job, journey, event, message)
        )

    async def _deliver_unless_stopped(
        self, job: Job, journey: Journey, event: SignupEvent, message: Message
    ) -> Pass[Outcome | Completion]:
        """Hand the mail over, unless something has come in between while it waited."""
        settled = self._stopped(job, journey, event)
        if settled is not None:
            return Aside(settled)
        return await self._deliver(job, journey, event, message)

    async def _deliver(
        self, job: Job, journey: Journey, event: SignupEvent, message: Message
    ) -> Pass[Outcome | Completion]:
        leave = self._leave(event, message)
        if isinstance(leave, Hold):
            return Aside(self._put_off(job, journey, event, leave))
        began = self._parts.clock.monotonic()
        outcome, hold = None, None
        try:
            outcome = await self._hand_over(job, journey, event, message)
        except _Settled as meanwhile:
            return Aside(meanwhile.completion)
        finally:
            job.sending = False
            address = event.recipient.address
            hold = self._parts.guards.throttles.settle(address, event.template, leave, outcome)
        self._parts.telemetry.attempted(outcome, self._parts.clock.monotonic() - began)
        if not isinstance(outcome, Failure):
            return Answered(outcome)
        if hold is not None and not self._is_given_up(event, hold.kind):
            return Answered(self._put_off(job, journey, event, hold))
        if not outcome.is_outage:
            return Answered(outcome)
        if blame(outcome) is Blame.DOMAIN:
            return Answered(replace(outcome, scope=Scope.RECIPIENT))
        command = self._wanted(job)
        if command is not None:
            return Aside(self._parts.endings.cancelled(job, journey, command))
        return Out(outcome)

    def _leave(self, event: SignupEvent, message: Message) -> Leave | Hold:
        """Give leave to hand a mail over, or say what keeps it back while others go out."""
        hold = self._parts.guards.relays.hold(message)
        if hold is not None:
            return hold
        leave = self._parts.guards.throttles.ask(event.recipient.address, event.template)
        if isinstance(leave, Hold) and self._is_given_up(event, leave.kind):
            return NOTHING_ASKED
        return leave

    def _is_given_up(self, event: SignupEvent, kind: Blame) -> bool:
        """Tell whether a mail has waited long enough for its recipient's domain.

        It is tried as if nothing was known, and uses up attempts.
        """
        return kind is Blame.DOMAIN and is_overdue(event, self._parts.clock.now_ms())

    def _put_off(self, job: Job, journey: Journey, event: SignupEvent, hold: Hold) -> Completion:
        """Let a mail wait in the tiers, without an attempt."""
        endings, failure = self._parts.endings, hold.outage.failure
        if (command := self._wanted(job)) is not None:
            return endings.cancelled(job, journey, command)
        now = self._parts.clock.now_ms()
        match put_off(event, hold.seconds, now):
            case Wait(due_at):
                self._parts.telemetry.put_off(hold.kind)
                return endings.put_off(job, journey, hold, due_at, now)
            case _:
                return self._expired(job, journey, event.template, failure)

    async def _hand_over(
        self, job: Job, journey: Journey, event: SignupEvent, message: Message
    ) -> Outcome:
        """Hand the mail over as soon as a connection is at hand for it.

        Raises:
            _Settled: it waited for that, and may not be sent any more.
        """
        holds, told = self._holds(event.template), False
        began = self._parts.clock.monotonic()

        def begins() -> Awaitable[None] | None:
            nonlocal told
            job.sending = True
            if holds and not told:
                told = True
                return self._tell(job, journey, event)
            if not self._is_fresh(began):
                self._look_again(job, journey, event)
            return None

        outcome = await self._parts.guards.relays.send(message, begins)
        if isinstance(outcome, Accepted) and job.subject is not None:
            job.ledger.note_acceptance(job.subject.key(journey), outcome.reply)
        elif told and isinstance(outcome, Failure) and outcome.is_outage:
            # It was not handed over, so that nobody has to be asked after a crash.
            await self._intend(job, journey, MailState.RETRY, Words(failure=outcome))
        return outcome

    async def _tell(self, job: Job, journey: Journey, event: SignupEvent) -> None:
        """Have it committed that the mail is about to be handed over."""
        await self._intend(job, journey, MailState.SENDING, Words())
        self._look_again(job, journey, event)

    def _look_again(self, job: Job, journey: Journey, event: SignupEvent) -> None:
        if (settled := self._stopped(job, journey, event)) is not None:
            raise _Settled(settled)

    def _is_fresh(self, began: float) -> bool:
        """Tell whether nothing can have come in between since a mail was looked at."""
        if self._parts.guards.switches:
            return False
        return self._parts.clock.monotonic() - began < _LONG_WAIT_SECONDS

    async def _intend(self, job: Job, journey: Journey, state: MailState, words: Words) -> None:
        completion = self._parts.endings.intent(job, journey, state, words)
        job.ledger.made(completion)
        await self._parts.intend(job, completion)

    def _failed(
        self,
        job: Job,
        journey: Journey,
        failure: Failure | Ambiguous,
        event: SignupEvent | None,
    ) -> Completion:
        parts = self._parts
        now = parts.clock.now_ms()
        after = journey.failed(failure, now, parts.worker)
        if event is not None and isinstance(failure, Ambiguous) and self._holds(event.template):
            return parts.endings.dead(job, after, DeadReason.HELD, failure)
        if (command := self._wanted(job)) is not None:
            return parts.endings.cancelled(job, after, command)
        expires_at = event.expires_at if event is not None else None
        address = event.recipient.address if event is not None else ""
        match parts.policy.decide(failure, after.attempts, now, expires_at):
            case RetryAt(due_at):
                return parts.endings.retry(job, after, failure, due_at, now)
            case DeadLetter(reason):
                return parts.endings.dead(job, after, reason, failure, address)
            case Expire():
                return self._expired(job, after, event.template if event else "", failure)

    def _expired(
        self,
        job: Job,
        journey: Journey,
        template: str,
        failure: Failure | Ambiguous | None = None,
    ) -> Completion:
        self._parts.telemetry.expired(template)
        return self._parts.endings.expired(job, journey, failure)
