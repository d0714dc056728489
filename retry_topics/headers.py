"""The headers that carry a mail's journey from topic to topic; the value's bytes never change.

Strict on write, tolerant on read: a header that cannot be read counts as absent, because a record
must not die of a damaged header. Headers that are not ours are kept as they are.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from retry_topics.failure import Ambiguous, Failure
from runtime.kafka.records import Headers, Record

ATTEMPT: Final = "mc-attempt"
GENERATION: Final = "mc-generation"
STEP: Final = "mc-step"
DUE_AT: Final = "mc-due-at"
PAUSED: Final = "mc-paused"
FIRST_ATTEMPT_AT: Final = "mc-first-attempt-at"
ORIGIN: Final = "mc-origin"
HISTORY: Final = "mc-history"
DEAD_AT: Final = "mc-dead-at"
DEAD_REASON: Final = "mc-dead-reason"
DEAD_TEXT: Final = "mc-dead-text"
#: On a mail that was replayed, from then on: the dead-letter record's place, the job, how often.
REPLAY_OF: Final = "mc-replay-of"
REPLAY_JOB: Final = "mc-replay-job"
REPLAY_COUNT: Final = "mc-replay-count"

_OURS: Final = frozenset(
    {
        ATTEMPT,
        GENERATION,
        STEP,
        DUE_AT,
        PAUSED,
        FIRST_ATTEMPT_AT,
        ORIGIN,
        HISTORY,
        DEAD_AT,
        DEAD_REASON,
        DEAD_TEXT,
    }
)
#: The history header never grows past this many bytes; the middle of a long history is left out.
HISTORY_BYTES: Final = 6_000
#: What a relay said is kept up to this many characters an attempt.
TEXT_CHARACTERS: Final = 300
#: What the last failure said is kept up to this many characters beside the history.
DEAD_TEXT_CHARACTERS: Final = 1_000
_INT_DIGITS: Final = 18


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the record first stood: its place on the main topic, and when it got there."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed attempt: its number from 1, when, by which worker, and what came of it.

    `scope`, `kind` and `phase` are the words of `retry_topics.failure`, kept as text so that a
    history written by another version stays readable. `kind` is `ambiguous` for an unknown end.
    """

    number: int
    at: int
    worker: str
    scope: str
    kind: str
    phase: str
    rule: str
    text: str
    code: int | None = None
    enhanced: str | None = None


@dataclass(frozen=True, slots=True)
class Death:
    """When and why the record ended on the dead-letter topic, in one sentence for people."""

    at: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Journey:
    """What the headers tell about a mail: the attempts that are used up and what became of them.

    `omitted` counts attempts that the bounded history no longer holds. `generation` counts replays,
    `step` the records of one generation before this one: each forward is one step further.
    `paused` is the key of the switch that the mail waits for (`schemas.switches`); `due_at` is then
    when to look again, at the latest.
    """

    attempts: int = 0
    generation: int = 0
    step: int = 0
    due_at: int | None = None
    first_attempt_at: int | None = None
    origin: Origin | None = None
    history: tuple[Attempt, ...] = ()
    omitted: int = 0
    death: Death | None = None
    paused: bytes = b""

    def failed(self, failure: Failure | Ambiguous, at: int, worker: str) -> "Journey":
        """Return the journey after one more failed attempt."""
        number = self.attempts + 1
        return replace(
            self,
            attempts=number,
            first_attempt_at=self.first_attempt_at if self.first_attempt_at is not None else at,
            history=(*self.history, attempt_of(failure, number, at, worker)),
        )


#: Of a mail that stands on the main topic for the first time.
_BEGINNING: Final = Journey()


def attempt_of(failure: Failure | Ambiguous, number: int, at: int, worker: str) -> Attempt:
    """Describe a failed attempt for the history."""
    text = failure.text[:TEXT_CHARACTERS]
    if isinstance(failure, Ambiguous):
        return Attempt(number, at, worker, "message", "ambiguous", "dot", "no-reply-to-dot", text)
    return Attempt(
        number,
        at,
        worker,
        failure.scope,
        failure.kind,
        failure.phase,
        failure.rule,
        text,
        failure.code,
        failure.enhanced,
    )


def read_journey(headers: Headers) -> Journey:
    """Read our headers; whatever is absent or damaged has its default."""
    for name, _ in headers:
        if name in _OURS:
            break
    else:
        # Most mails have none, which takes half the time to find out like this.
        return _BEGINNING
    found = {name: value for name, value in headers if name in _OURS and value is not None}
    if not found:
        return _BEGINNING
    history, omitted = _read_history(found.get(HISTORY))
    return Journey(
        attempts=_read_int(found, ATTEMPT) or 0,
        generation=_read_int(found, GENERATION) or 0,
        step=_read_int(found, STEP) or 0,
        due_at=_read_int(found, DUE_AT),
        first_attempt_at=_read_int(found, FIRST_ATTEMPT_AT),
        origin=_read_origin(found.get(ORIGIN)),
        history=history,
        omitted=omitted,
        death=_read_death(found),
        paused=found.get(PAUSED, b""),
    )


def write_journey(headers: Headers, journey: Journey) -> Headers:
    """Return the headers with ours replaced by the journey's; all others kept in their order."""
    kept = tuple(item for item in headers if item[0] not in _OURS)
    ours: dict[str, str] = {
        ATTEMPT: str(journey.attempts),
        GENERATION: str(journey.generation),
        STEP: str(journey.step),
    }
    if journey.due_at is not None:
        ours[DUE_AT] = str(journey.due_at)
    if journey.first_attempt_at is not None:
        ours[FIRST_ATTEMPT_AT] = str(journey.first_attempt_at)
    if journey.origin is not None:
        at = journey.origin
        ours[ORIGIN] = f"{at.topic}/{at.partition}/{at.offset}/{at.timestamp_ms}"
    if journey.death is not None:
        ours[DEAD_AT] = str(journey.death.at)
        ours[DEAD_REASON] = journey.death.reason
        ours[DEAD_TEXT] = journey.death.text[:DEAD_TEXT_CHARACTERS]
    encoded = tuple((name, text.encode("utf-8", "replace")) for name, text in ours.items())
    if journey.paused:
        encoded += ((PAUSED, journey.paused),)
    if journey.history or journey.omitted:
        encoded += ((HISTORY, _write_history(journey)),)
    return kept + encoded


def origin_of(record: Record, journey: Journey) -> Origin:
    """Return where the record first stood: what its journey says, else where it stands here."""
    if journey.origin is not None:
        return journey.origin
    return Origin(record.topic, record.partition, record.offset, record.timestamp_ms)


def _write_history(journey: Journey) -> bytes:
    entries = [_pack(attempt) for attempt in journey.history]
    omitted = journey.omitted
    while True:
        encoded = json.dumps(
            {"omitted": omitted, "attempts": entries}, separators=(",", ":"), ensure_ascii=False
        ).encode("utf-8", "replace")
        if len(encoded) <= HISTORY_BYTES or len(entries) <= 1:
            return encoded
        # The first attempt tells what began it, the last ones what it is: the middle goes first.
        del entries[1 if len(entries) > 2 else 0]
        omitted += 1


def _pack(attempt: Attempt) -> dict[str, object]:
    packed: dict[str, object] = {
        "n": attempt.number,
        "at": attempt.at,
        "worker": attempt.worker[:100],
        "scope": attempt.scope,
        "class": attempt.kind,
        "phase": attempt.phase,
        "rule": attempt.rule[:100],
        "text": attempt.text[:TEXT_CHARACTERS],
    }
    if attempt.code is not None:
        packed["code"] = attempt.code
    if attempt.enhanced is not None:
        packed["enhanced"] = attempt.enhanced
    return packed


def _read_history(value: bytes | None) -> tuple[tuple[Attempt, ...], int]:
    if value is None:
        return (), 0
    try:
        packed = json.loads(value)
        entries = [entry for entry in packed["attempts"] if isinstance(entry, dict)]
        omitted = max(0, int(packed["omitted"]))
        return tuple(_unpack(entry) for entry in entries), omitted
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return (), 0


def _unpack(entry: Mapping[str, object]) -> Attempt:
    def text(name: str) -> str:
        return str(entry.get(name, ""))

    code, enhanced = entry.get("code"), entry.get("enhanced")
    return Attempt(
        number=int(text("n")),
        at=int(text("at")),
        worker=text("worker"),
        scope=text("scope"),
        kind=text("class"),
        phase=text("phase"),
        rule=text("rule"),
        text=text("text"),
        code=code if isinstance(code, int) else None,
        enhanced=enhanced if isinstance(enhanced, str) else None,
    )


def _read_int(found: Mapping[str, bytes], name: str) -> int | None:
    value = found.get(name, b"")
    if not value.isdigit() or len(value) > _INT_DIGITS:
        return None
    return int(value)


def _read_origin(value: bytes | None) -> Origin | None:
    parts = (value or b"").decode("utf-8", "replace").rsplit("/", 3)
    if len(parts) != 4 or not parts[0] or not all(_plain_number(part) for part in parts[1:]):
        return None
    return Origin(parts[0], int(parts[1]), int(parts[2]), int(parts[3]))


def _plain_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _INT_DIGITS


def _read_death(found: Mapping[str, bytes]) -> Death | None:
    at = _read_int(found, DEAD_AT)
    if at is None:
        return None
    reason = found.get(DEAD_REASON, b"").decode("utf-8", "replace")
    return Death(at, reason, found.get(DEAD_TEXT, b"").decode("utf-8", "replace"))
