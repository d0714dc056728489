"""How a record can end: for each way the ledger's entry, what is forwarded, and the completion."""

import re
from dataclasses import replace
from typing import Final

from msgspec import Struct, structs

from consumers.delivery.guard import Hold
from consumers.mailer.completion import Change, Completion, SuppressionChange
from consumers.mailer.job import Job, Subject
from retry_topics.failure import Ambiguous, Failure, is_bad_address
from retry_topics.headers import Death, Journey
from retry_topics.policy import DeadReason
from retry_topics.routing import to_dlt, to_tier
from retry_topics.topology import Topology
from runtime.clock import Clock
from runtime.kafka.records import OutRecord
from schemas.control import ControlCommand
from schemas.identity import lane_key
from schemas.instants import show_instant
from schemas.ledger import TEXT_CHARACTERS, LedgerEntry, Standing, standing_of, write_entry
from schemas.mail_states import MailState
from schemas.privacy import address_hash, mask_address, mask_addresses
from schemas.suppressions import Suppression, write_suppression
from schemas.switches import Switch, paused_reason, write_key

#: What Oracle says of a mail that it takes and does not send on: 254 4.7.1 Suppression for user ...
_TAKEN_FOR_NOTHING: Final = re.compile(r"254\b.*\bsuppress", re.IGNORECASE | re.DOTALL)

#: Looked up once: of an enumeration, members are found slowly.
_SENT: Final = MailState.SENT


class Words(Struct, frozen=True, gc=False):
    """What an entry says beside the state. `text` is the failure's where it is empty."""

    reason: str = ""
    text: str = ""
    failure: Failure | Ambiguous | None = None
    due_at: int | None = None


class Endings:
    """Makes completions for one worker. Every method may only be called on the loop."""

    def __init__(self, topology: Topology, worker: str, clock: Clock) -> None:
        self._topology = topology
        #: Kept, for a topic's name is put together whenever it is asked for.
        self._ledger_topic = topology.ledger
        self._worker = worker
        self._clock = clock

    def dropped(self, job: Job) -> Completion:
        """The record is not the one of its mail that counts; nothing happens."""
        return Completion(job.source, job.record.offset)

    def sent(self, job: Job, journey: Journey, reply: str) -> Completion:
        """The relay took the mail, though it may say that it sends it to nobody."""
        nothing = reply.startswith("254") and _TAKEN_FOR_NOTHING.match(reply)
        reason = "relay-suppressed" if nothing else ""
        return self._settled(job, journey, _SENT, Words(reason, reply))

    def expired(
        self, job: Job, journey: Journey, failure: Failure | Ambiguous | None
    ) -> Completion:
        """The mail's time is over, perhaps because its next attempt would come too late."""
        return self._settled(job, journey, MailState.EXPIRED, Words("time-over", failure=failure))

    def cancelled(self, job: Job, journey: Journey, command: ControlCommand) -> Completion:
        """Somebody does not want the mail any more."""
        return self._settled(job, journey, MailState.CANCELLED, words_of(command))

    def suppressed(self, job: Job, journey: Journey) -> Completion:
        """The recipient gets no more mail."""
        return self._settled(job, journey, MailState.SUPPRESSED, Words("suppressed"))

    def scheduled(self, job: Job, journey: Journey, due_at: int, now: int) -> Completion:
        """The mail is not due yet and waits in a tier."""
        forward = to_tier(job.record, journey, due_at, now, self._topology)
        return self._forwarded(job, journey, MailState.SCHEDULED, forward, Words(due_at=due_at))

    def put_off(self, job: Job, journey: Journey, hold: Hold, due_at: int, now: int) -> Completion:
        """The mail waits in a tier for something that is out, and no attempt is used up."""
        forward = to_tier(job.record, journey, due_at, now, self._topology)
        failure = hold.outage.failure
        since = f" (since {show_instant(hold.outage.since)})"
        text = mask_addresses(failure.text)[: TEXT_CHARACTERS - len(since)] + since
        words = Words(f"{hold.kind}-out", text, failure, due_at)
        return self._forwarded(job, journey, MailState.SCHEDULED, forward, words)

    def paused(
        self, job: Job, journey: Journey, switch: Switch, due_at: int, now: int
    ) -> Completion:
        """The mail waits in a tier for an operator, and no attempt is used up."""
        waits = replace(journey, paused=write_key(switch.key))
        forward = to_tier(job.record, waits, due_at, now, self._topology)
        words = Words(paused_reason(switch.key.kind), switch.words, due_at=due_at)
        return self._forwarded(job, journey, MailState.SCHEDULED, forward, words)

    def retry(
        self, job: Job, after: Journey, failure: Failure | Ambiguous, due_at: int, now: int
    ) -> Completion:
        """An attempt failed at `now` and the next one is due at `due_at`."""
        forward = to_tier(job.record, after, due_at, now, self._topology)
        words = Words(failure=failure, due_at=due_at)
        return self._forwarded(job, after, MailState.RETRY, forward, words)

    def dead(
        self,
        job: Job,
        journey: Journey,
        reason: DeadReason,
        cause: Failure | Ambiguous | str,
        address: str = "",
    ) -> Completion:
        """The mail goes to the dead-letter topic, and its recipient is suppressed if it is bad."""
        failure = None if isinstance(cause, str) else cause
        text = cause if isinstance(cause, str) else cause.text
        now = self._clock.now_ms()
        forward = to_dlt(job.record, journey, Death(now, reason, text), self._topology)
        state = MailState.HELD if reason is DeadReason.HELD else MailState.DEAD
        done = self._forwarded(job, journey, state, forward, Words(reason, text, failure))
        if not (address and isinstance(failure, Failure) and is_bad_address(failure)):
            return done
        record, change = self.suppression(job, address, failure.text, self._worker)
        return structs.replace(done, records=(*done.records, record), suppression=change)

    def intent(self, job: Job, journey: Journey, state: MailState, words: Words) -> Completion:
        """Tell of a state that the mail is in while its record stays in hand."""
        return self._settled(job, journey, state, words)

    def suppression(
        self, job: Job, address: str, reason: str, by: str
    ) -> tuple[OutRecord, SuppressionChange]:
        """Return what makes a recipient get no more mail."""
        suppression = Suppression(
            lane_key(address),
            mask_address(address),
            self._clock.now_ms(),
            _kept(reason),
            by,
        )
        return self._about(job, address, write_suppression(suppression))

    def no_suppression(self, job: Job, address: str) -> tuple[OutRecord, SuppressionChange]:
        """Return what makes a recipient get mail again."""
        return self._about(job, address, None)

    def commanded(
        self, job: Job, event_id: bytes, standing: Standing, command: ControlCommand
    ) -> Completion:
        """A demand decided about a mail that is not in hand; `standing` is the new one."""
        words = words_of(command)
        entry = LedgerEntry(
            standing.state,
            standing.generation,
            standing.step,
            standing.attempts,
            standing.owner,
            at=self._clock.now_ms(),
            worker=self._worker,
            reason=words.reason,
            text=_kept(words.text),
        )
        change = Change(event_id, standing)
        return Completion(
            job.source,
            job.record.offset,
            (self._record(job, event_id, entry),),
            change,
            entry=entry,
        )

    def _about(
        self, job: Job, address: str, value: bytes | None
    ) -> tuple[OutRecord, SuppressionChange]:
        digest = address_hash(address)
        record = OutRecord(self._topology.suppressions, digest, value, (), job.source.number)
        return record, SuppressionChange(digest, value is not None)

    def _settled(self, job: Job, journey: Journey, state: MailState, words: Words) -> Completion:
        subject = job.subject
        if subject is None:
            return Completion(job.source, job.record.offset)
        entry = self._entry(subject, journey, state, words)
        return Completion(
            job.source,
            job.record.offset,
            (self._record(job, subject.event_id, entry),),
            Change(subject.event_id, standing_of(entry)),
            entry=entry,
        )

    def _forwarded(
        self, job: Job, journey: Journey, state: MailState, forward: OutRecord, words: Words
    ) -> Completion:
        subject = job.subject
        if subject is None:
            return Completion(job.source, job.record.offset, (forward,))
        entry = self._entry(subject, replace(journey, step=journey.step + 1), state, words)
        return Completion(
            job.source,
            job.record.offset,
            (self._record(job, subject.event_id, entry), forward),
            Change(subject.event_id, standing_of(entry)),
            entry=entry,
        )

    def _entry(
        self, subject: Subject, journey: Journey, state: MailState, words: Words
    ) -> LedgerEntry:
        failure = words.failure
        text = words.text or (failure.text if failure else "")
        entry = LedgerEntry(
            state,
            journey.generation,
            journey.step,
            journey.attempts,
            subject.owner,
            self._clock.now_ms(),
            words.due_at,
            subject.template,
            subject.tenant,
            self._worker,
            words.reason,
            _kept(text),
        )
        if isinstance(failure, Failure):
            return structs.replace(
                entry,
                scope=failure.scope,
                kind=failure.kind,
                phase=failure.phase,
                rule=failure.rule,
                code=failure.code,
                enhanced=failure.enhanced,
            )
        if isinstance(failure, Ambiguous):
            return structs.replace(entry, scope="message", kind="ambiguous", phase="dot")
        return entry

    def _record(self, job: Job, event_id: bytes, entry: LedgerEntry) -> OutRecord:
        value = write_entry(entry)
        return OutRecord(self._ledger_topic, event_id, value, (), job.source.number)


def _kept(text: str) -> str:
    """Return as much of somebody's words as is kept; relays quote the recipient's address."""
    return mask_addresses(text)[:TEXT_CHARACTERS]


def words_of(command: ControlCommand) -> Words:
    """Return how an entry tells of a demand: who, and why."""
    return Words(command.by or command.tenant or "operator", command.reason)
