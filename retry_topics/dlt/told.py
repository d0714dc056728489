"""What programs are told of dead letters, plans and jobs: the JSON of commands and HTTP."""

from collections.abc import Sequence
from typing import Any

from retry_topics.dlt.archive import Found
from retry_topics.dlt.desk import Sample
from retry_topics.dlt.edit import event_fields
from retry_topics.dlt.grouping import Groups, Tally
from retry_topics.dlt.letter import Letter
from retry_topics.dlt.plan import Plan
from retry_topics.dlt.states import Standing
from retry_topics.headers import Attempt, Journey, read_journey
from schemas.codec import EventCodec
from schemas.errors import Undecodable
from schemas.events import SignupEvent
from schemas.instants import write_instant
from schemas.ledger import Standing as LedgerStanding
from schemas.privacy import mask_address, mask_addresses
from schemas.replay_jobs import ReplayJob


def groups_told(groups: Groups) -> dict[str, Any]:
    """Return groups, what waits for somebody apart from what is settled."""
    return {
        "open": [_tally(tally) for tally in groups.open],
        "settled": [_tally(tally) for tally in groups.settled],
    }


def letter_told(letter: Letter, standing: Standing, reveal: bool) -> dict[str, Any]:
    """Return what a list tells of a letter."""
    about, cause = letter.about, letter.cause
    address = None if about is None else about.address
    return {
        "position": str(letter.position),
        "id": letter.mail_id or None,
        "died_at": write_instant(letter.at),
        "state": standing.state.value,
        "job": standing.job or None,
        "group": letter.group.fingerprint,
        "template": letter.group.template or None,
        "tenant": None if about is None else about.tenant,
        "recipient": address if reveal or address is None else mask_address(address),
        "generation": letter.generation,
        "replays": letter.replays,
        "cause": cause._asdict(),
    }


def whole_told(
    found: Found, standing: LedgerStanding | None, codec: EventCodec, reveal: bool
) -> dict[str, Any]:
    """Return one letter whole; a value that is no event is in hexadecimal."""
    journey = read_journey(tuple(found.message.headers))
    value = found.message.value
    event, problem = decoded(value, codec)
    # Relays quote the recipient's address.
    said = str if reveal else mask_addresses
    return {
        **letter_told(found.letter, found.standing, reveal),
        "ledger": None if standing is None else standing.state.value,
        "text": None if journey.death is None else said(journey.death.text),
        "origin": origin_told(journey),
        "attempts": [
            {**attempt_told(attempt), "text": said(attempt.text)} for attempt in journey.history
        ],
        "attempts_omitted": journey.omitted,
        "event": None if event is None else event_told(event, reveal),
        "undecodable": problem or None,
        "value_hex": None if event is not None or value is None else value.hex(),
    }


def event_told(event: SignupEvent, reveal: bool) -> dict[str, Any]:
    """Return an event's fields as they may be shown: without `reveal` no address and no data."""
    fields: dict[str, Any] = event_fields(event)
    if not reveal:
        fields["recipient"] = {"address": mask_address(event.recipient.address), "name": None}
        fields["data"] = {name: f"({len(value)} characters)" for name, value in event.data.items()}
        fields["idempotency_key"] = None if event.idempotency_key is None else "(hidden)"
    return fields


def plan_told(job: ReplayJob, plan: Plan, samples: Sequence[Sample]) -> dict[str, Any]:
    """Return a plan: its numbers, by group, and samples without addresses and data."""
    return {
        "plan": job.id,
        "selected": plan.selected,
        "replayed": plan.chosen,
        "skipped": {skip.value: count for skip, count in plan.skips.most_common()},
        "seconds": None if job.pace.rate is None else round(plan.chosen / job.pace.rate, 1),
        "groups": [
            {
                "group": group.fingerprint,
                "template": group.template or None,
                "cause": group.cause._asdict(),
                "replayed": counter[None],
                "skipped": {skip.value: n for skip, n in counter.items() if skip is not None},
            }
            for group, counter in plan.groups.items()
        ],
        "samples": [
            {
                "position": str(sample.letter.position),
                "event": event_told(sample.event, reveal=False),
                "changed": None
                if sample.changed is None
                else event_told(sample.changed, reveal=False),
            }
            for sample in samples
        ],
    }


def job_told(job: ReplayJob) -> dict[str, Any]:
    """Return a job: its state, who and why, and its numbers."""
    return {
        "id": job.id,
        "state": job.state.value,
        "by": job.by,
        "reason": job.reason or None,
        "note": job.note or None,
        "created_at": write_instant(job.created_at),
        "owner": job.owner or None,
        "beat_at": write_instant(job.beat_at),
        "counts": dict(job.counts),
    }


def attempt_told(attempt: Attempt) -> dict[str, Any]:
    """Return a failed attempt."""
    return {
        "number": attempt.number,
        "at": write_instant(attempt.at),
        "worker": attempt.worker,
        "scope": attempt.scope,
        "class": attempt.kind,
        "phase": attempt.phase,
        "rule": attempt.rule,
        "code": attempt.code,
        "enhanced": attempt.enhanced,
        "text": attempt.text,
    }


def origin_told(journey: Journey) -> dict[str, Any] | None:
    """Return where a record first stood."""
    origin = journey.origin
    if origin is None:
        return None
    return {
        "topic": origin.topic,
        "partition": origin.partition,
        "offset": origin.offset,
        "accepted_at": write_instant(origin.timestamp_ms),
    }


def decoded(value: bytes | None, codec: EventCodec) -> tuple[SignupEvent | None, str]:
    """Return the event in a value, or None and why there is none."""
    if value is None:
        return None, "the record has no value"
    try:
        return codec.decode(value), ""
    except Undecodable as error:
        return None, str(error)


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "group": tally.group.fingerprint,
        "template": tally.group.template or None,
        "cause": tally.group.cause._asdict(),
        "count": tally.count,
        "states": {state.value: count for state, count in tally.states.items()},
        "first": write_instant(tally.first),
        "last": write_instant(tally.last),
        "tenants": dict(tally.tenants),
        "example": str(tally.example.position),
    }
