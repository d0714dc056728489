"""Dead-lettered records as tests want them, built as the workers build them."""

from collections.abc import Iterable
from dataclasses import replace

from retry_topics.dlt.letter import Letter, LetterReader
from retry_topics.failure import Ambiguous, Failure, FailureClass, Phase, Scope
from retry_topics.headers import Death, Journey, Origin, write_journey
from retry_topics.policy import DeadReason
from runtime.kafka.partitioner import partition_of
from runtime.kafka.records import OutRecord
from runtime.kafka.sweep import Scanned
from schemas.codec import EventCodec, encode
from schemas.events import SignupEvent
from schemas.identity import lane_key
from schemas.replay_jobs import Edit, JobState, Pace, ReplayJob, Selection

#: When everything in these tests died, if nothing else is said.
DIED_AT = 1_790_000_000_000

REFUSED = Failure(
    Scope.RECIPIENT,
    FailureClass.PERMANENT,
    Phase.RCPT,
    "550 5.1.1 no such user",
    "rfc5321-550",
    550,
    "5.1.1",
)

#: A job that somebody runs.
JOB = ReplayJob(
    id="j",
    state=JobState.RUNNING,
    by="ada",
    reason="",
    created_at=0,
    owner="host/1/a",
    beat_at=1_000,
    note="",
    selection=Selection(),
    ends={},
    edit=Edit(),
    pace=Pace(),
    counts={"selected": 10, "chosen": 8, "skip:taken": 1},
)


def journey_of(
    failures: Iterable[Failure | Ambiguous] = (REFUSED,),
    reason: str = DeadReason.REFUSED,
    at: int = DIED_AT,
    generation: int = 0,
) -> Journey:
    """Return the journey of a mail that died of the last of these failures."""
    journey = Journey(generation=generation, origin=Origin("mails", 0, 0, at - 1_000))
    text = ""
    for number, failure in enumerate(failures):
        journey = journey.failed(failure, at - 100 + number, "worker-1")
        text = failure.text
    return replace(journey, step=1, death=Death(at, reason, text))


def dead_record(
    topic: str, event: SignupEvent, journey: Journey, partitions: int, value: bytes | None = None
) -> OutRecord:
    """Return the record on the dead-letter topic; `value` instead of the event's bytes."""
    key = lane_key(event.recipient.address)
    headers = write_journey((("ce_id", str(event.event_id).encode()), ("x-kept", b"yes")), journey)
    value = encode(event) if value is None else value
    return OutRecord(topic, key, value, headers, partition_of(key, partitions))


def message_of(record: OutRecord, offset: int = 0, at: int = DIED_AT) -> Scanned:
    """Return a record as it is read."""
    return Scanned(record.key, record.value, offset, at, list(record.headers))


def letter_of(record: OutRecord, offset: int = 0, at: int = DIED_AT) -> Letter:
    """Return the letter in a record."""
    reader = LetterReader(EventCodec(None))
    return reader.read(record.partition or 0, message_of(record, offset, at))
