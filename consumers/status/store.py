"""Writes the view: what a batch of records changes and how far they reach, in one transaction.

::

    ViewFault
    ├── Superseded       another projector writes to the same database
    ├── OtherSource      the view is of another cluster, or of topics that are no more
    └── ViewUnusable     the database answers, and asking again would not help

A database that cannot be used at the moment is a `DatabaseAway`, which is none of these.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

import psycopg
from sqlalchemy import Connection, bindparam, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from consumers.status.changes import (
    Change,
    Died,
    JobTold,
    LetterChange,
    MailChange,
    OutagesTold,
    Settled,
    SwitchTurned,
)
from consumers.status.database import (
    DatabaseAway,
    FileReplaced,
    open_writer,
    place_of,
    reason_of,
)
from consumers.status.letter_store import LetterTables, prune_letters
from consumers.status.mail import Mail, mail_of, row_of
from consumers.status.outages import write_told
from consumers.status.pauses import keep_switches
from consumers.status.recipients import key_check
from consumers.status.tables import (
    LETTERS,
    MAILS,
    ONLY,
    OUTAGES,
    POSITIONS,
    REPLAY_JOBS,
    SOURCES,
    SWITCHES,
    VIEW,
    storable,
)
from consumers.status.upgrade import NewerView, upgrade_tables
from consumers.status.upsert import upsert
from runtime.kafka.records import Partition
from schemas.outages import WorkerOutages
from schemas.switches import Switch, SwitchKey

#: Rows that one statement asks for: below what either database takes as parameters.
_ASKED_AT_ONCE: Final = 1_000
#: The only SQLite errors that say something is wrong with the statement or the file for good.
_FINAL_SQLITE: Final = frozenset({"SQLITE_ERROR", "SQLITE_CORRUPT", "SQLITE_NOTADB"})

_THE_VIEW: Final = VIEW.c.id == ONLY
_PROJECTED: Final = (MAILS, OUTAGES, SWITCHES, LETTERS, REPLAY_JOBS, POSITIONS)
_MAILS_BY_ID: Final = select(MAILS).where(MAILS.c.event_id.in_(bindparam("ids", expanding=True)))


class ViewFault(Exception):
    """Root of the tree. The projector that meets one ends; its message says what to do."""


class Superseded(ViewFault):
    """Another projector writes to the same database."""


class OtherSource(ViewFault):
    """What the view was made from is not what there is."""


class ViewUnusable(ViewFault):
    """The database answers, and not as it must."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a view is made from: a cluster, and each topic's id there."""

    cluster_id: str
    topics: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """Who may write and how often that was done; what the view is of, and how far it reaches."""

    holder: str
    sequence: int
    projected_at: int | None
    source: Source | None
    positions: Mapping[Partition, int]


@dataclass(frozen=True, slots=True)
class Progress:
    """What one transaction adds: changes, where their partitions go on, when, what is left."""

    changes: Sequence[Change]
    positions: Mapping[Partition, int]
    at: int
    behind: int


class ViewStore:
    """The view's only writer, by one thread. `writer` is a name that no other process has.

    Every transaction compares (writer, sequence) and raises the sequence. So whoever was superseded
    changes nothing more; and a transaction whose end is unknown can be repeated: if it counted, its
    sequence is there.
    """

    def __init__(self, url: str, writer: str, holder: str) -> None:
        self._engine = open_writer(url)
        self._place = place_of(url)
        self._writer = writer
        self._holder = holder
        self._sequence = 0
        self._put_mails = upsert(MAILS, self._engine.dialect.name)
        self._put_positions = upsert(POSITIONS, self._engine.dialect.name)
        self._letters = LetterTables(self._engine.dialect.name)

    def upgrade(self, status_key: str | None, renew: bool) -> bytes:
        """Bring the tables to this release and return the key of recipients' hashes.

        Raises:
            OtherSource: the recipients were hashed with another key, and `renew` is not set.
            ViewUnusable: the tables are of a later release.
        """
        with self._transaction() as connection:
            try:
                upgrade_tables(connection)
            except NewerView as error:
                raise ViewUnusable(str(error)) from error
            row = connection.execute(select(VIEW.c.made_key, VIEW.c.key_check)).one()
            key = (status_key or str(row.made_key)).encode()
            if not renew and row.key_check not in (None, key_check(key)):
                raise OtherSource(
                    "the view's recipients were hashed with another MAILCASCADE_STATUS_KEY; "
                    "set that one, or make the view anew with `mailcascade projector --rebuild`"
                )
        return key

    def standing(self) -> Standing:
        """Return who may write at the moment, and what is there."""
        with self._transaction() as connection:
            return _standing(connection)

    def claim(self) -> Standing:
        """Become the only writer: whoever was it before is refused from here on."""
        with self._transaction() as connection:
            # First, so that nobody else's transaction ends between it and what is read.
            connection.execute(
                update(VIEW).where(_THE_VIEW).values(writer=self._writer, holder=self._holder)
            )
            found = _standing(connection)
        self._sequence = found.sequence
        return found

    def begin(self, source: Source, key: bytes, renew: bool) -> None:
        """Note what the view is made from; with `renew` empty it first.

        Raises:
            Superseded: somebody else writes.
        """
        with self._guarded({}) as connection:
            if connection is None:
                return
            if renew:
                _empty(connection)
            connection.execute(delete(SOURCES))
            topics = [{"topic": t, "topic_id": i} for t, i in source.topics.items()]
            connection.execute(insert(SOURCES), topics)
            connection.execute(
                update(VIEW)
                .where(_THE_VIEW)
                .values(cluster_id=source.cluster_id, key_check=key_check(key))
            )

    def write(self, progress: Progress) -> None:
        """Write what a batch changes, with its positions. Can be repeated until it succeeds.

        Raises:
            Superseded: somebody else writes; nothing was changed.
        """
        with self._guarded({"projected_at": progress.at, "behind": progress.behind}) as connection:
            if connection is None:
                return
            mails, letters, told, turned = _parted(progress.changes)
            if mails:
                rows = list(map(row_of, _fold(connection, mails)))
                connection.exec_driver_sql(self._put_mails, rows)
            if told:
                _keep_told(connection, told)
            if turned:
                keep_switches(connection, turned)
            if letters:
                self._letters.keep(connection, letters)
            if progress.positions:
                reached = [(*partition, offset) for partition, offset in progress.positions.items()]
                connection.exec_driver_sql(self._put_positions, reached)

    def prune(self, before: int, most: int) -> int:
        """Remove at most so many mails that were last updated before an instant; return how many.

        What workers told before it goes, too.

        Raises:
            Superseded: somebody else writes; nothing was changed.
        """
        old = select(MAILS.c.event_id).where(MAILS.c.updated_at < before).limit(most)
        with self._guarded({}) as connection:
            if connection is None:
                return 0
            connection.execute(delete(OUTAGES).where(OUTAGES.c.at < before))
            return connection.execute(delete(MAILS).where(MAILS.c.event_id.in_(old))).rowcount

    def prune_letters(self, before: int, most: int) -> int:
        """Remove at most so many dead letters that were last told of before an instant.

        Replay jobs go, too. Returns how many letters.

        Raises:
            Superseded: somebody else writes; nothing was changed.
        """
        with self._guarded({}) as connection:
            return 0 if connection is None else prune_letters(connection, before, most)

    def sign_off(self) -> None:
        """Let another projector begin at once."""
        with self._guarded({"writer": "", "holder": ""}):
            pass

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    @contextmanager
    def _guarded(self, values: Mapping[str, object]) -> Iterator[Connection | None]:
        """Open a transaction as the only writer; None where the same one has counted already."""
        following = self._sequence + 1
        with self._transaction() as connection:
            mine = connection.execute(
                update(VIEW)
                .where(_THE_VIEW, VIEW.c.writer == self._writer, VIEW.c.sequence == self._sequence)
                .values(sequence=following, **values)
            )
            if mine.rowcount == 1:
                yield connection
            else:
                found = _standing(connection)
                writer = connection.execute(select(VIEW.c.writer).where(_THE_VIEW)).scalar_one()
                if (writer, found.sequence) != (self._writer, following):
                    raise Superseded(
                        f"another projector ({found.holder or 'that has ended'}) writes to this "
                        "database; there can be only one"
                    )
                yield None
        self._sequence = following

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except FileReplaced as error:
            raise ViewUnusable(str(error)) from error
        except SQLAlchemyError as error:
            reason = f"the status view's database, {self._place}, cannot be used: "
            reason += reason_of(error)
            if _passes(error):
                raise DatabaseAway(reason) from error
            raise ViewUnusable(reason) from error


def _passes(error: SQLAlchemyError) -> bool:
    """Tell whether an error is about the moment, not about the statement or the tables."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        name = getattr(cause, "sqlite_errorname", "")
        return isinstance(cause, sqlite3.OperationalError) and name not in _FINAL_SQLITE
    return error.connection_invalidated or isinstance(
        cause, psycopg.OperationalError | psycopg.InterfaceError
    )


def _standing(connection: Connection) -> Standing:
    view = connection.execute(select(VIEW).where(_THE_VIEW)).one()
    topics = {row.topic: row.topic_id for row in connection.execute(select(SOURCES))}
    positions = {
        Partition(row.topic, row.partition): row.next_offset
        for row in connection.execute(select(POSITIONS))
    }
    source = None if view.cluster_id is None else Source(view.cluster_id, topics)
    return Standing(view.holder, view.sequence, view.projected_at, source, positions)


def _empty(connection: Connection) -> None:
    """Remove all that was projected and the positions, however much there is, in moments."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"TRUNCATE {', '.join(table.name for table in _PROJECTED)}"))
        return
    # Without a condition SQLite drops the pages instead of looking at each row.
    for table in _PROJECTED:
        connection.execute(delete(table))


class _Parted(NamedTuple):
    """Changes by the tables that they are for; of each worker and switch the last."""

    mails: list[MailChange]
    letters: list[LetterChange]
    told: dict[str, WorkerOutages]
    turned: dict[SwitchKey, Switch | None]


def _parted(changes: Sequence[Change]) -> _Parted:
    parted = _Parted([], [], {}, {})
    for change in changes:
        match change:
            case OutagesTold(told):
                parted.told[storable(told.worker)] = told
            case SwitchTurned(key, switch):
                parted.turned[key] = switch
            case Died() | Settled() | JobTold():
                parted.letters.append(change)
            case _:
                parted.mails.append(change)
    return parted


def _keep_told(connection: Connection, told: Mapping[str, WorkerOutages]) -> None:
    """Put the workers' last notices in the place of those before."""
    connection.execute(delete(OUTAGES).where(OUTAGES.c.worker.in_(list(told))))
    out = [
        {"worker": worker, "at": notice.at, "told": write_told(notice)}
        for worker, notice in told.items()
        if notice.outages
    ]
    if out:
        connection.execute(insert(OUTAGES), out)


def _fold(connection: Connection, changes: Sequence[MailChange]) -> Iterable[Mail]:
    """Return every mail that the changes are about, as it is after them."""
    mails: dict[bytes, Mail | None] = dict.fromkeys(change.event_id for change in changes)
    ids = iter(list(mails))
    while asked := list(islice(ids, _ASKED_AT_ONCE)):
        for row in connection.execute(_MAILS_BY_ID, {"ids": asked}):
            mail = mail_of(row)
            mails[mail.event_id] = mail
    for change in changes:
        found = mails[change.event_id]
        if found is None:
            found = mails[change.event_id] = Mail(change.event_id)
        found.apply(change)
    return (mail for mail in mails.values() if mail is not None)
