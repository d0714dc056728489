"""One record from bytes to completion: decode, triage, compose, deliver, decide."""

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

from consumers.delivery.message import Message
from consumers.delivery.protocol import Delivery
from consumers.delivery.render import Unrenderable
from consumers.mailer.completion import Completion, Ending
from consumers.mailer.gate import Answered, Aside, Out, OutageGate, Pass
from consumers.mailer.job import Job
from consumers.mailer.telemetry import Telemetry
from consumers.mailer.triage import TimeOver, Wait, triage
from retry_topics.failure import (
    Accepted,
    Ambiguous,
    Failure,
    FailureClass,
    Outcome,
    Phase,
    Scope,
)
from retry_topics.headers import Death, Journey, read_journey
from retry_topics.policy import DeadLetter, DeadReason, Expire, RetryAt, RetryPolicy
from retry_topics.routing import to_dlt, to_tier
from retry_topics.topology import Topology
from runtime.clock import Clock
from runtime.logs import get_logger
from schemas.codec import EventCodec
from schemas.errors import RegistryUnavailable, Undecodable, UnknownSchema, UnknownTemplate
from schemas.events import SignupEvent

_log = get_logger("mailer")
_CONFLUENT_MAGIC: Final = b"\x00"


class Composer(Protocol):
    """Turns an event into the bytes of its mail."""

    def compose(self, event: SignupEvent) -> Message: ...


@dataclass(frozen=True, slots=True)
class ProcessorParts:
    """What a processor works with. `worker` is the name that histories carry."""

    codec: EventCodec
    composer: Composer
    delivery: Delivery
    relay_gate: OutageGate
    registry_gate: OutageGate
    policy: RetryPolicy
    topology: Topology
    telemetry: Telemetry
    clock: Clock
    worker: str


class Processor:
    """Decides by calling pure functions, and performs: the only place where both meet."""

    def __init__(self, parts: ProcessorParts) -> None:
        self._parts = parts

    async def process(self, job: Job) -> Completion:
        """Return what the record causes. Waits through outages; never raises for the record.

        A fault of our own code is a failed attempt like any other: the mail goes through the
        tiers, where a repaired version may send it, and at the end to the dead-letter topic.
        """
        journey = read_journey(job.record.headers)
        try:
            return await self._process(job, journey)
        except Exception as error:  # noqa: BLE001 - the worker loop's boundary
            place = f"{job.record.topic}/{job.record.partition}/{job.record.offset}"
            _log.exception("record.crashed", position=place)
            text = f"{type(error).__name__}: {error}"
            failure = Failure(
                Scope.MESSAGE, FailureClass.TRANSIENT, Phase.RENDER, text, "internal-error"
            )
            return self._failed(job, journey, failure, expires_at=None)

    async def _process(self, job: Job, journey: Journey) -> Completion:
        decoded = await self._parts.registry_gate.through(lambda: self._decode(job, journey))
        if isinstance(decoded, Completion):
            return decoded
        settled = self._triage(job, journey, decoded)
        if settled is not None:
            return settled
        composed = self._compose(job, journey, decoded)
        if isinstance(composed, Completion):
            return composed
        reached = await self._parts.relay_gate.through(
            lambda: self._deliver(job, journey, decoded, composed)
        )
        if isinstance(reached, Completion):
            return reached
        if isinstance(reached, Accepted):
            self._parts.telemetry.accepted(self._parts.clock.now_ms() - decoded.occurred_at)
            return self._done(job, Ending.SENT)
        return self._failed(job, journey, reached, decoded.expires_at, decoded.template)

    async def _decode(self, job: Job, journey: Journey) -> Pass[SignupEvent | Completion]:
        value = job.record.value
        try:
            if value is None:
                raise Undecodable("the record has no value")
            if value.startswith(_CONFLUENT_MAGIC):
                # The registry may have to be asked, which blocks.
                event = await asyncio.to_thread(self._parts.codec.decode, value)
                return Answered(event)
            return Aside(self._parts.codec.decode(value))
        except (Undecodable, UnknownSchema) as error:
            return Aside(self._dead(job, journey, DeadReason.UNDECODABLE, str(error)))
        except RegistryUnavailable as error:
            return Out(
                Failure(
                    Scope.ENDPOINT,
                    FailureClass.TRANSIENT,
                    Phase.DECODE,
                    str(error),
                    "registry-unavailable",
                )
            )

    def _triage(self, job: Job, journey: Journey, event: SignupEvent) -> Completion | None:
        now = self._parts.clock.now_ms()
        match triage(event, journey, now):
            case TimeOver():
                return self._expired(job, event.template)
            case Wait(due_at):
                forward = to_tier(job.record, journey, due_at, now, self._parts.topology)
                return Completion(job.source, job.record.offset, Ending.SCHEDULED, forward)
            case _:
                return None

    def _compose(self, job: Job, journey: Journey, event: SignupEvent) -> Message | Completion:
        try:
            return self._parts.composer.compose(event)
        except UnknownTemplate as error:
            return self._dead(job, journey, DeadReason.UNKNOWN_TEMPLATE, str(error))
        except Unrenderable as error:
            return self._dead(job, journey, DeadReason.UNRENDERABLE, str(error))

    async def _deliver(
        self, job: Job, journey: Journey, event: SignupEvent, message: Message
    ) -> Pass[Outcome | Completion]:
        """Hand the mail over, unless its time ended while it waited for the relay."""
        settled = self._triage(job, journey, event)
        if settled is not None:
            return Aside(settled)
        began = self._parts.clock.monotonic()
        job.sending = True
        try:
            outcome = await self._parts.delivery.send(message)
        finally:
            job.sending = False
        self._parts.telemetry.attempted(outcome, self._parts.clock.monotonic() - began)
        if isinstance(outcome, Failure) and outcome.is_outage:
            return Out(outcome)
        return Answered(outcome)

    def _failed(
        self,
        job: Job,
        journey: Journey,
        failure: Failure | Ambiguous,
        expires_at: int | None,
        template: str = "",
    ) -> Completion:
        parts = self._parts
        now = parts.clock.now_ms()
        after = journey.failed(failure, now, parts.worker)
        match parts.policy.decide(failure, after.attempts, now, expires_at):
            case RetryAt(due_at):
                forward = to_tier(job.record, after, due_at, now, parts.topology)
                return Completion(job.source, job.record.offset, Ending.RETRY, forward)
            case DeadLetter(reason):
                return self._dead(job, after, reason, failure.text)
            case Expire():
                return self._expired(job, template)

    def _dead(self, job: Job, journey: Journey, reason: DeadReason, text: str) -> Completion:
        death = Death(self._parts.clock.now_ms(), reason, text)
        forward = to_dlt(job.record, journey, death, self._parts.topology)
        return Completion(job.source, job.record.offset, Ending.DEAD, forward)

    def _expired(self, job: Job, template: str) -> Completion:
        self._parts.telemetry.expired(template)
        return self._done(job, Ending.EXPIRED)

    @staticmethod
    def _done(job: Job, ending: Ending) -> Completion:
        return Completion(job.source, job.record.offset, ending)
