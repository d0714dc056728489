"""What the view tells of dead-lettered records and replay jobs, and the words for it.

The dead-letter topic's journal is the truth. The view is made from it, and does not know which
records a job has claimed and not replayed yet: they are still `open` here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec
from sqlalchemy import Connection, case, func, literal_column, select

from consumers.status.tables import LETTERS, REPLAY_JOBS
from schemas.dlt_journal import EntryState, Position
from schemas.instants import show_instant
from schemas.mail_states import MailState
from schemas.replay_jobs import JobState, Selection

#: Of one kind so many things are named in the words for a selection.
_NAMED: Final = 5
_COUNTS: Final = msgspec.json.Decoder(dict[str, int])


class LetterState(StrEnum):
    """What a dead-lettered record is; the words are those of `retry_topics.dlt.states`."""

    OPEN = "open"
    HELD = "held"
    REPLAYED = "replayed"
    SENT = "sent"
    DEAD_AGAIN = "dead_again"
    ENDED = "ended"
    DISCARDED = "discarded"


_SETTLED: Final = frozenset(LetterState(state.value) for state in EntryState)


@dataclass(frozen=True, slots=True)
class LetterStatus:
    """A dead-lettered record of a mail. Instants are milliseconds since the epoch.

    `at` is when it became what it is. `by` did that, or had the job do it, for a `reason`; both are
    empty where nobody said so. With `as_new` the replay was a new mail.
    """

    position: Position
    state: LetterState
    at: int
    job: str = ""
    by: str = ""
    reason: str = ""
    as_new: bool = False


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A replay job, and the letters that it is about by their states."""

    id: str
    state: JobState
    by: str
    reason: str
    note: str
    selection: str
    counts: Mapping[str, int]
    created_at: int
    updated_at: int
    letters: Mapping[LetterState, int]


@dataclass(frozen=True, slots=True)
class LetterCounts:
    """Dead-lettered records by their states, and the jobs, the newest first."""

    states: Mapping[LetterState, int]
    jobs: tuple[JobStatus, ...]


# Written out, because PostgreSQL takes two places for a value for two expressions.
_STATE: Final = func.coalesce(
    LETTERS.c.state,
    case(
        (LETTERS.c.held == literal_column("1"), literal_column(f"'{LetterState.HELD}'")),
        else_=literal_column(f"'{LetterState.OPEN}'"),
    ),
)
_JOB: Final = func.coalesce(LETTERS.c.job, literal_column("''"))
_LETTERS: Final = (
    select(
        *(LETTERS.c.event_id, LETTERS.c.partition, LETTERS.c.position, LETTERS.c.replay_id),
        *(LETTERS.c.job, LETTERS.c.by, LETTERS.c.reason, _STATE.label("state")),
        func.coalesce(LETTERS.c.changed_at, LETTERS.c.died_at).label("at"),
        REPLAY_JOBS.c.by.label("job_by"),
        REPLAY_JOBS.c.reason.label("job_reason"),
    )
    .join(REPLAY_JOBS, REPLAY_JOBS.c.id == LETTERS.c.job, isouter=True)
    .order_by(LETTERS.c.died_at, LETTERS.c.partition, LETTERS.c.position)
)
_COUNTED: Final = select(
    _STATE.label("state"), _JOB.label("job"), func.count().label("number")
).group_by(_STATE, _JOB)


def letters_of(
    connection: Connection, event_ids: Sequence[bytes]
) -> dict[bytes, tuple[LetterStatus, ...]]:
    """Return the dead-lettered records of mails, the first to die first."""
    found: dict[bytes, list[LetterStatus]] = {}
    if not event_ids:
        return {}
    for row in connection.execute(_LETTERS.where(LETTERS.c.event_id.in_(event_ids))):
        event_id, replay_id = bytes(row.event_id), row.replay_id
        state = LetterState(row.state)
        how = row.reason or ""
        letter = LetterStatus(
            position=Position(row.partition, row.position),
            state=state,
            at=row.at or 0,
            job=row.job or "",
            by=row.by or row.job_by or "",
            reason=(how or row.job_reason or "") if state is not LetterState.ENDED else how,
            as_new=replay_id is not None and bytes(replay_id) != event_id,
        )
        found.setdefault(event_id, []).append(letter)
    return {event_id: tuple(letters) for event_id, letters in found.items()}


def standing(letters: tuple[LetterStatus, ...], state: MailState) -> tuple[LetterStatus, ...]:
    """Return the letters without those that were held and are not: the mail's state tells."""
    if state is MailState.HELD:
        return letters
    return tuple(letter for letter in letters if letter.state is not LetterState.HELD)


def count_letters(connection: Connection) -> LetterCounts:
    """Return all dead-lettered records by state, and every job with those that it is about."""
    states = dict.fromkeys(LetterState, 0)
    by_job: dict[str, dict[LetterState, int]] = {}
    for row in connection.execute(_COUNTED):
        state = LetterState(row.state)
        states[state] += row.number
        by_job.setdefault(row.job, {})[state] = row.number
    jobs = connection.execute(select(REPLAY_JOBS).order_by(REPLAY_JOBS.c.created_at.desc()))
    return LetterCounts(
        {state: count for state, count in states.items() if count},
        tuple(
            JobStatus(
                id=row.id,
                state=JobState(row.state),
                by=row.by,
                reason=row.reason,
                note=row.note,
                selection=row.selection,
                counts=_COUNTS.decode(row.counts),
                created_at=row.created_at,
                updated_at=row.updated_at,
                letters=by_job.get(row.id, {}),
            )
            for row in jobs
        ),
    )


def letter_words(letter: LetterStatus) -> str:
    """Return what became of a letter, such as `replayed by job 91c0 of ada, dead again at ...`.

    It is empty where nothing was done about it.
    """
    if letter.state not in _SETTLED:
        return ""
    at, reason = show_instant(letter.at), letter.reason
    if letter.state is LetterState.DISCARDED:
        by = f" by {letter.by}" if letter.by else ""
        return f"discarded{by} at {at}" + (f" because: {reason}" if reason else "")
    new = " as a new mail" if letter.as_new else ""
    owner = f" of {letter.by}" if letter.by else ""
    outcome = {
        LetterState.REPLAYED: f" at {at}",
        LetterState.SENT: f", sent at {at}",
        LetterState.DEAD_AGAIN: f", dead again at {at}",
        LetterState.ENDED: f", {reason or 'over'} at {at}",
    }[letter.state]
    return f"replayed{new} by job {letter.job}{owner}{outcome}"


def settled_words(letters: Sequence[LetterStatus]) -> str:
    """Return what became of the last of a mail's letters about which something was done."""
    return next((words for letter in reversed(letters) if (words := letter_words(letter))), "")


def selection_words(selection: Selection) -> str:
    """Return what a job selects in words, without recipients; short, however much it names."""
    return "; ".join(_selected(selection)) or "everything"


def _selected(selection: Selection) -> Iterator[str]:
    named: dict[str, Sequence[str]] = {
        "templates": sorted(selection.templates),
        "tenants": sorted(selection.tenants),
        "codes": sorted(map(str, selection.codes)),
        "groups": sorted(selection.groups),
        "states": sorted(selection.states),
        "positions": sorted(selection.positions),
        "mails": sorted(selection.mails),
    }
    for kind, names in named.items():
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            yield f"{kind} {', '.join(names[:_NAMED])}{more}"
    if selection.recipients:
        yield f"{len(selection.recipients)} recipients"
    if selection.since is not None:
        yield f"since {show_instant(selection.since)}"
    if selection.until is not None:
        yield f"until {show_instant(selection.until)}"
