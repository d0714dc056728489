"""The worker's part in traces: one for each record that it works on, linked to what wrote it.

It stands before the processor where traces are made, and nowhere otherwise. What the record causes
is handed on in the new trace, so the next attempt, whichever tier it comes from, links to this one.
"""

from collections.abc import Callable
from typing import Final

from msgspec import structs

from consumers.mailer.completion import Completion
from consumers.mailer.engine import Work
from consumers.mailer.job import Job
from consumers.mailer.processor import Intend
from retry_topics.headers import read_journey
from retry_topics.policy import DeadReason
from retry_topics.topology import Topology
from runtime.kafka.records import OutRecord
from runtime.trace_context import TraceContext, read_context, with_context
from runtime.tracing import Beginning, Span, SpanKind, Tracer
from schemas.ledger import LedgerEntry
from schemas.mail_states import MailState

_FAILED: Final = frozenset({MailState.RETRY, MailState.DEAD, MailState.HELD})
#: An entry's words about a failure, by what spans call them.
_WORDS: Final = {
    "mailcascade.outcome.scope": "scope",
    "mailcascade.outcome.class": "kind",
    "mailcascade.smtp.phase": "phase",
    "mailcascade.smtp.code": "code",
    "mailcascade.smtp.enhanced_code": "enhanced",
}


class TracedWork:
    """A `Work` that makes a trace of another's work. Lives on the loop."""

    def __init__(self, work: Work, tracer: Tracer, topology: Topology) -> None:
        self._work = work
        self._tracer = tracer
        self._topology = topology

    def announced(self, job: Job) -> Callable[[Job], bool] | None:
        """Take note of a demand; return which jobs in hand it stops."""
        return self._work.announced(job)

    async def process(self, job: Job) -> Completion:
        """Return what the record causes; a record that nobody traces is left alone."""
        written = read_context(job.record.headers)
        if written is not None and not written.sampled:
            return await self._work.process(job)
        with self._tracer.begin(self._beginning(job, written)) as span:
            job.trace = span.context
            completion = await self._work.process(job)
            _tell(span, job, completion)
        return _handed_on(completion, span.context, self._topology)

    def withdrawn(self, job: Job) -> Completion:
        """Return what becomes of a mail that a demand has stopped."""
        completion = self._work.withdrawn(job)
        return _of_job(job, completion, self._topology)

    def _beginning(self, job: Job, written: TraceContext | None) -> Beginning:
        record, journey = job.record, read_journey(job.record.headers)
        tier = self._topology.tier_of(record.topic)
        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.consumer.group.name": self._topology.group,
            "messaging.kafka.offset": record.offset,
        }
        if not job.command:
            attributes["mailcascade.attempt"] = journey.attempts + 1
            attributes["mailcascade.generation"] = journey.generation
        if tier is not None:
            attributes["mailcascade.tier"] = tier.label
        if (mail := job.log_fields().get("mail_id")) is not None:
            attributes["messaging.message.id"] = mail
        links = () if written is None else (written,)
        name = f"process {record.topic}"
        return Beginning(name, SpanKind.CONSUMER, attributes, links=links)


def traced_intend(intend: Intend, topology: Topology) -> Intend:
    """Return what has a completion committed in the trace of its record."""
    return lambda job, completion: intend(job, _of_job(job, completion, topology))


def _handed_on(completion: Completion, trace: TraceContext, topology: Topology) -> Completion:
    """Return a completion whose records, but for the suppressions, are written in a trace."""
    records = tuple(
        record if record.topic == topology.suppressions else _within(record, trace)
        for record in completion.records
    )
    return structs.replace(completion, records=records)


def _of_job(job: Job, completion: Completion, topology: Topology) -> Completion:
    return completion if job.trace is None else _handed_on(completion, job.trace, topology)


def _within(record: OutRecord, trace: TraceContext) -> OutRecord:
    return structs.replace(record, headers=with_context(record.headers, trace))


def _tell(span: Span, job: Job, completion: Completion) -> None:
    entry = completion.entry
    if entry is not None:
        span.tell(_told(entry))
        if entry.state in _FAILED:
            span.fail(entry.rule or entry.reason or entry.kind or entry.state)
    elif not completion.records:
        span.tell({"mailcascade.state": "dropped"})
    elif not job.command:
        # What is no event has no entry, and goes to the dead-letter topic all the same.
        span.tell({"mailcascade.state": MailState.DEAD})
        span.fail(DeadReason.UNDECODABLE)


def _told(entry: LedgerEntry) -> dict[str, str | int]:
    told: dict[str, str | int] = {
        "mailcascade.state": entry.state,
        "mailcascade.template": entry.template,
        "mailcascade.tenant": entry.tenant,
    }
    for name, field in _WORDS.items():
        value = getattr(entry, field)
        if value not in ("", None):
            told[name] = value
    if entry.due_at is not None:
        told["mailcascade.due_at"] = entry.due_at
    return told
