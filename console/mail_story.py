"""The story of a mail as steps in time, put together from what is left of it on every topic.

The ledger is the best witness, but it is compacted: attempts that it has forgotten are told by the
history that later records carry. Each fact is told once, by whoever knows most of it.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from console.trail import Demanded, Told, Trail
from retry_topics.headers import REPLAY_JOB, REPLAY_OF, Attempt, Journey, read_journey
from retry_topics.topology import Topology
from runtime.kafka.records import Record
from runtime.trace_context import read_context
from schemas.control import ControlAction
from schemas.dlt_journal import EntryState
from schemas.ledger import LedgerEntry
from schemas.mail_states import MailState

#: An entry and an attempt of the history are of one moment, told by two readings of the clock.
_SAME_MS: Final = 2_000
#: How reasons end of mails that wait for what is out, or for what an operator has paused.
_OUT, _PAUSED = "-out", "-paused"


class Step(NamedTuple):
    """One thing that happened. `at` is in milliseconds since the epoch.

    `text` is what was said, `about` what kind of failure it was; `place` is where the record is
    that tells of it, `to` the one that the mail went on as.
    """

    at: int
    what: str
    text: str = ""
    about: tuple[str, ...] = ()
    by: str = ""
    place: str = ""
    to: str = ""
    due_at: int | None = None
    trace_id: str = ""


class Story(NamedTuple):
    """The steps, the state that the mail is in, and the trace that it was accepted in."""

    steps: tuple[Step, ...]
    state: MailState
    attempts: int
    due_at: int | None = None


def story_of(trail: Trail, topology: Topology) -> Story:
    """Return the story that a trail tells."""
    main = [record for record in trail.records if record.topic == topology.main]
    forwards = {
        (journey.generation, journey.step): record
        for record in trail.records
        if record.topic != topology.main
        for journey in [read_journey(record.headers)]
    }
    told = {(one.entry.generation, one.entry.step) for one in trail.ledger}
    steps = [
        *_beginnings(main, trail),
        *(_change(one, forwards) for one in trail.ledger),
        *_forgotten(trail),
        *(_waiting(record, topology) for at, record in forwards.items() if at not in told),
        *map(_demand, trail.demands),
        *_settlements(trail),
    ]
    steps.sort(key=lambda step: step.at)
    return Story(tuple(steps), *_standing(trail))


def place_of(record: Record) -> str:
    """Return where a record is, such as `signup-events/3/1204`."""
    return f"{record.topic}/{record.partition}/{record.offset}"


def _standing(trail: Trail) -> tuple[MailState, int, int | None]:
    """Return the state, the attempts used up, and when the next one is due."""
    newest = max((read_journey(record.headers).generation for record in trail.records), default=0)
    entries = [told.entry for told in trail.ledger]
    if entries and entries[-1].generation >= newest:
        last = entries[-1]
        return last.state, last.attempts, last.due_at
    journeys = [read_journey(record.headers) for record in trail.records]
    last_seen = max(journeys, key=lambda journey: (journey.generation, journey.step))
    return _state_of(last_seen), last_seen.attempts, last_seen.due_at


def _state_of(journey: Journey) -> MailState:
    if journey.death is not None:
        return MailState.HELD if journey.death.reason == MailState.HELD else MailState.DEAD
    if journey.step:
        return MailState.RETRY if journey.attempts else MailState.SCHEDULED
    return MailState.QUEUED


def _beginnings(main: list[Record], trail: Trail) -> Iterator[Step]:
    """Tell of each record on the main topic: accepted, repeated, replayed, released."""
    known: set[int] = set()
    for record in main:
        generation = read_journey(record.headers).generation
        what, text, by = "accepted", "", ""
        if generation in known:
            what, text = "repeated", "the same mail once more, which is not sent again"
        elif generation:
            what, text, by = _again(record, trail)
        known.add(generation)
        yield Step(
            record.timestamp_ms,
            what,
            text,
            by=by,
            place=place_of(record),
            trace_id=_trace_of(record),
        )


def _again(record: Record, trail: Trail) -> tuple[str, str, str]:
    headers = dict(record.headers)
    name = (headers.get(REPLAY_JOB) or b"").decode("utf-8", "replace")
    if not name:
        return "released", "to be sent after it was held", ""
    letter = (headers.get(REPLAY_OF) or b"").decode("utf-8", "replace")
    job = trail.jobs.get(name)
    why = f": {job.reason}" if job is not None and job.reason else ""
    return "replayed", f"dead letter {letter}, by job {name}{why}", "" if job is None else job.by


def _change(told: Told, forwards: dict[tuple[int, int], Record]) -> Step:
    record, entry = told
    forward = forwards.get((entry.generation, entry.step)) if _goes_on(entry) else None
    return Step(
        entry.at,
        _what(entry),
        _said(entry.code, entry.enhanced, entry.text),
        tuple(filter(None, (_reason(entry), entry.phase, entry.scope, entry.kind, entry.rule))),
        entry.worker,
        place_of(record),
        "" if forward is None else place_of(forward),
        entry.due_at,
        _trace_of(record),
    )


def _goes_on(entry: LedgerEntry) -> bool:
    return entry.state in (MailState.RETRY, MailState.SCHEDULED, MailState.DEAD, MailState.HELD)


def _what(entry: LedgerEntry) -> str:
    match entry.state:
        case MailState.RETRY:
            return f"attempt {entry.attempts} failed"
        case MailState.SCHEDULED if entry.reason.endswith(_OUT):
            return "put off"
        case MailState.SCHEDULED if entry.reason.endswith(_PAUSED):
            return "paused"
        case MailState.SENT:
            return f"sent by attempt {entry.attempts + 1}"
        case MailState.DEAD if entry.attempts:
            return f"dead after attempt {entry.attempts}"
    return entry.state.value


def _reason(entry: LedgerEntry) -> str:
    return "" if entry.reason == entry.state else entry.reason


def _forgotten(trail: Trail) -> Iterator[Step]:
    """Tell of attempts that are in the headers of a record, and not in the ledger any more."""
    known = [(told.entry.attempts, told.entry.at) for told in trail.ledger]
    seen: set[tuple[int, int]] = set()
    for record in trail.records:
        for attempt in read_journey(record.headers).history:
            at = (attempt.number, attempt.at)
            if at in seen or any(_is_same(at, entry) for entry in known):
                continue
            seen.add(at)
            yield _attempt(attempt, record)


def _is_same(attempt: tuple[int, int], entry: tuple[int, int]) -> bool:
    return attempt[0] == entry[0] and abs(attempt[1] - entry[1]) <= _SAME_MS


def _attempt(attempt: Attempt, record: Record) -> Step:
    return Step(
        attempt.at,
        f"attempt {attempt.number} failed",
        _said(attempt.code, attempt.enhanced, attempt.text),
        (attempt.phase, attempt.scope, attempt.kind, attempt.rule),
        attempt.worker,
        place_of(record),
    )


def _waiting(record: Record, topology: Topology) -> Step:
    """Tell of a forward whose entry the ledger has forgotten."""
    journey = read_journey(record.headers)
    death = journey.death
    if record.topic == topology.dlt:
        reason, text = ("", "") if death is None else (death.reason, death.text)
        at = record.timestamp_ms if death is None else death.at
        trace = _trace_of(record)
        return Step(at, "dead", text, (reason,), place=place_of(record), trace_id=trace)
    return Step(
        record.timestamp_ms,
        "waits",
        place=place_of(record),
        due_at=journey.due_at,
        trace_id=_trace_of(record),
    )


def _demand(demanded: Demanded) -> Step:
    record, command = demanded
    whose = "the recipient" if command.address is not None else "the mail"
    action = "lift the suppression of" if command.action is ControlAction.UNSUPPRESS else ""
    text = f"{action or command.action.value} {whose}"
    by = command.by or command.tenant or "operator"
    why = (command.reason,) if command.reason else ()
    return Step(command.at, "asked for", text, why, by, place_of(record))


def _settlements(trail: Trail) -> Iterator[Step]:
    """Tell what people did about dead letters, as far as no record on the main topic tells it."""
    replayed = {dict(record.headers).get(REPLAY_OF) for record in trail.records}
    for position, entry in trail.settled:
        if entry.state is EntryState.DISCARDED:
            why = (entry.reason,) if entry.reason else ()
            yield Step(entry.at, "discarded", f"dead letter {position}", why, entry.by)
        elif entry.state is EntryState.REPLAYED and str(position).encode() not in replayed:
            how = f"by job {entry.job}"
            if entry.event_id != trail.mail.event_id.bytes:
                how = f"as a new mail, {how}"
            yield Step(entry.at, "replayed", f"dead letter {position}, {how}", by=entry.by)


def _said(code: int | None, enhanced: str | None, text: str) -> str:
    """Return a relay's words with its codes before them, unless they begin with those."""
    if code is not None and text.startswith(str(code)):
        return text
    if enhanced and not text.startswith(enhanced):
        text = f"{enhanced} {text}".rstrip()
    return text if code is None else f"{code} {text}".rstrip()


def _trace_of(record: Record) -> str:
    context = read_context(record.headers)
    return "" if context is None else context.trace_id
