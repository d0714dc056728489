"""Writes what the dead-letter topic and its journal say into the view.

The topic and its journal fill columns of their own in a letter's row, so that it does not matter
which of them is read first.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, delete, or_, select, tuple_

from consumers.status.changes import Died, JobTold, LetterChange, Settled
from consumers.status.letters import selection_words
from consumers.status.tables import LETTERS, REPLAY_JOBS, storable
from consumers.status.upsert import upsert
from schemas.dlt_journal import NO_EVENT, Position
from schemas.replay_jobs import ReplayJob

_DIED: Final = ("event_id", "held", "died_at")
_SETTLED: Final = ("state", "job", "by", "reason", "changed_at", "replay_id")
_REOPEN: Final = (
    LETTERS.update()
    .where(
        LETTERS.c.partition == bindparam("in_partition"),
        LETTERS.c.position == bindparam("at_offset"),
    )
    .values(dict.fromkeys(_SETTLED))
)
_KEY: Final = (LETTERS.c.partition, LETTERS.c.position)


class LetterTables:
    """Keeps letters and jobs as the last record about each says."""

    def __init__(self, dialect: str) -> None:
        self._put_died = upsert(LETTERS, dialect, _DIED)
        self._put_settled = upsert(LETTERS, dialect, _SETTLED)
        self._put_jobs = upsert(REPLAY_JOBS, dialect)

    def keep(self, connection: Connection, changes: Sequence[LetterChange]) -> None:
        """Put changes over what is there; of several about the same thing the last one counts."""
        died: dict[Position, Died] = {}
        settled: dict[Position, Settled] = {}
        jobs: dict[str, JobTold] = {}
        for change in changes:
            match change:
                case Died():
                    died[change.position] = change
                case Settled():
                    settled[change.position] = change
                case JobTold():
                    jobs[storable(change.id)] = change
        _put(connection, self._put_died, map(_died_row, died.values()))
        _put(connection, self._put_settled, filter(None, map(_settled_row, settled.values())))
        _put(connection, self._put_jobs, (_job_row(t.job) for t in jobs.values() if t.job))
        reopened = [at for at, change in settled.items() if change.entry is None]
        if reopened:
            places = [{"in_partition": at.partition, "at_offset": at.offset} for at in reopened]
            connection.execute(_REOPEN, places)
        gone = [job for job, told in jobs.items() if told.job is None]
        if gone:
            connection.execute(delete(REPLAY_JOBS).where(REPLAY_JOBS.c.id.in_(gone)))


def prune_letters(connection: Connection, before: int, most: int) -> int:
    """Remove at most so many letters of which nothing was told since an instant; return how many.

    Jobs that were silent for as long go with them.
    """
    connection.execute(delete(REPLAY_JOBS).where(REPLAY_JOBS.c.updated_at < before))
    silent = or_(LETTERS.c.changed_at.is_(None), LETTERS.c.changed_at < before)
    removed = 0
    # One after the other, because each of them has an index to go by.
    for dead in (LETTERS.c.died_at < before, LETTERS.c.died_at.is_(None)):
        old = select(*_KEY).where(dead, silent).limit(most - removed)
        removed += connection.execute(delete(LETTERS).where(tuple_(*_KEY).in_(old))).rowcount
    return removed


def _put(connection: Connection, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
    values = list(rows)
    if values:
        connection.exec_driver_sql(statement, values)


def _died_row(died: Died) -> tuple[object, ...]:
    return (*died.position, died.event_id, int(died.held), died.at)


def _settled_row(settled: Settled) -> tuple[object, ...] | None:
    entry = settled.entry
    if entry is None:
        return None
    words = map(storable, (entry.job, entry.by, entry.reason))
    replay_id = None if entry.event_id == NO_EVENT else entry.event_id
    return (*settled.position, entry.state.value, *words, entry.at, replay_id)


def _job_row(job: ReplayJob) -> tuple[object, ...]:
    selection = selection_words(job.selection)
    counts = msgspec.json.encode(job.counts).decode()
    words = (job.id, job.state.value, job.by, job.reason, job.note, selection, counts)
    return (*map(storable, words), job.created_at, job.beat_at)
