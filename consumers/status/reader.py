"""What became of mails, asked of the view: one by its id, or many, newest first.

Imports neither Kafka nor what writes the view, so that an API can carry it.
"""

import base64
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, and_, or_, select, tuple_
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from consumers.status.database import UnusableUrl, open_reader, place_of, reason_of
from consumers.status.history import StoredItem, read_history
from consumers.status.letters import (
    LetterCounts,
    LetterStatus,
    count_letters,
    letters_of,
    standing,
)
from consumers.status.outages import FRESH_MS, pausing, read_told
from consumers.status.pauses import Pauses, read_switches
from consumers.status.recipients import NotHashed, recipient_hash
from consumers.status.states import in_state, shown_as
from consumers.status.tables import MAILS, ONLY, OUTAGES, VIEW, storable
from retry_topics.topology import Tier
from runtime.clock import SystemClock
from runtime.settings import Settings
from schemas.mail_states import MOVING, MailState
from schemas.outages import KnownOutage, WorkerOutages
from schemas.switches import Switch, Switches

_Row = Row[*tuple[Any, ...]]
_Select = Select[*tuple[Any, ...]]

_CURSOR: Final = struct.Struct(">q16s")
_UNSEEN: Final = and_(MAILS.c.main_generation.is_(None), MAILS.c.ledger_generation.is_(None))
_SHOWN: Final = (
    MAILS.c.event_id,
    *(MAILS.c[name] for name in ("mail_id", "state", "tenant", "template", "recipient")),
    *(MAILS.c[name] for name in ("accepted_at", "updated_at", "due_at", "not_before")),
    *(MAILS.c[name] for name in ("expires_at", "attempts", "generation", "reason", "text")),
    *(MAILS.c[name] for name in ("code", "enhanced", "rule", "cancel_requested_at")),
    MAILS.c.ledger_generation,
    MAILS.c.lane,
)
_ONE: Final = select(*_SHOWN, MAILS.c.history, MAILS.c.history_omitted)
_NEWEST_FIRST: Final = (MAILS.c.accepted_at.desc(), MAILS.c.event_id.desc())


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One change of a mail's state. Instants are milliseconds since the epoch."""

    at: int
    state: MailState
    generation: int
    attempts: int
    due_at: int | None
    worker: str
    reason: str
    text: str
    phase: str
    rule: str
    code: int | None
    enhanced: str | None


@dataclass(frozen=True, slots=True)
class MailStatus:
    """What the view knows of a mail. Instants are milliseconds since the epoch.

    `mail_id` is empty and `accepted_at` None as long as only the ledger spoke of the mail.
    `recipient` is masked. `history_omitted` counts entries left out of a long history's middle.
    `waits_for` is why the mail waits where it is although its turn has come. `letters` are its
    records on the dead-letter topic, the first to die first. `paused` is what keeps it from its
    turn by an operator's will; whose and why is nothing for tenants.
    """

    mail_id: str
    state: MailState
    tenant: str
    template: str
    recipient: str
    accepted_at: int | None
    updated_at: int
    due_at: int | None
    not_before: int | None
    expires_at: int | None
    attempts: int
    generation: int
    reason: str
    text: str
    code: int | None
    enhanced: str | None
    rule: str
    cancel_requested_at: int | None
    history: tuple[HistoryItem, ...]
    history_omitted: int
    waits_for: tuple[KnownOutage, ...] = ()
    letters: tuple[LetterStatus, ...] = ()
    paused: Switch | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list of mails: behind this mail. Clients see it as an opaque text."""

    accepted_at: int
    event_id: UUID

    def encode(self) -> str:
        """Return the place as a text that fits into a URL."""
        packed = _CURSOR.pack(self.accepted_at, self.event_id.bytes)
        return base64.urlsafe_b64encode(packed).decode()

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Return the place that `encode` gave this text.

        Raises:
            ValueError: the text is none of ours.
        """
        try:
            packed = base64.b64decode(text, altchars=b"-_", validate=True)
            accepted_at, event_id = _CURSOR.unpack(packed)
        except (ValueError, struct.error) as error:
            raise ValueError("this is not a cursor that was given out") from error
        return cls(accepted_at, UUID(bytes=event_id))


@dataclass(frozen=True, slots=True)
class StatusQuery:
    """Which mails to list; None, and no states, stand for all.

    `recipient` is a plain address, whose upper and lower case do not matter. A mail was accepted at
    `since` or later and before `until`. `after` is a page's `next`.
    """

    tenant: str | None = None
    states: frozenset[MailState] = frozenset()
    template: str | None = None
    recipient: str | None = None
    since: int | None = None
    until: int | None = None
    limit: int = 50
    after: Cursor | None = None


@dataclass(frozen=True, slots=True)
class StatusPage:
    """Mails without their histories, newest first; `next` is where the next page begins."""

    mails: tuple[MailStatus, ...]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class Freshness:
    """How new the view is: when it was last written to, and how many records were left then.

    It is written to every second while a projector runs. Both are None before it did so once.
    """

    projected_at: int | None
    behind: int | None


class StatusUnavailable(Exception):
    """The view cannot be asked; the message says why."""


def view_url(settings: Settings) -> str:
    """Return the URL of the view's database; without a setting, a file in the state directory."""
    if settings.database_url is not None:
        return settings.database_url
    path = settings.state_dir.absolute() / "status.db"
    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


class StatusReader:
    """Asks the view. Thread-safe; every call blocks for a few seconds at most.

    Nothing is opened before the first question, so making one never fails.
    """

    def __init__(self, url: str, status_key: str | None, tiers: Sequence[Tier] = ()) -> None:
        """Without `tiers`, no mail is said to wait because its tier is paused."""
        self._url = url
        self._tiers = tiers
        self._key = None if status_key is None else status_key.encode()
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    def mail(self, event_id: UUID, now: int | None = None) -> MailStatus | None:
        """Return what is known of a mail, with its history; None if nothing is.

        With `now` a mail that may not be sent yet is `scheduled` even before a worker took it up,
        and it is told what a mail waits for that is out.

        Raises:
            StatusUnavailable: the view cannot be asked.
        """
        question = _ONE.where(MAILS.c.event_id == event_id.bytes, ~_UNSEEN)
        with self._asking() as connection:
            row = connection.execute(question).one_or_none()
            if row is None:
                return None
            (mail,) = _statuses(connection, [row], self._tiers, now)
        history = tuple(map(_item, read_history(row.history)))
        return replace(mail, history=history, history_omitted=row.history_omitted)

    def find(self, query: StatusQuery, now: int) -> StatusPage:
        """Return a page of the mails whose events are known, newest first.

        A page begins behind a mail, not at a number: it stays where it is while mails are added.

        Raises:
            StatusUnavailable: the view cannot be asked.
        """
        with self._asking() as connection:
            where = [MAILS.c.accepted_at.is_not(None), *_conditions(query)]
            if query.recipient is None:
                rows = self._by_state(connection, query, where, now)
            else:
                hashed = recipient_hash(connection, self._key, query.recipient)
                where.append(MAILS.c.recipient_hash == hashed)
                if query.states:
                    where.append(or_(*(in_state(state, now) for state in query.states)))
                rows = connection.execute(_page(where, query)).all()
            shown = rows[: query.limit]
            mails = _statuses(connection, shown, self._tiers, now)
        more = len(rows) > query.limit
        last = shown[-1] if shown and more else None
        return StatusPage(
            mails,
            None if last is None else Cursor(last.accepted_at, UUID(bytes=last.event_id)),
        )

    def outages(self, now: int) -> tuple[WorkerOutages, ...]:
        """Return what is out in each worker that told so lately.

        Raises:
            StatusUnavailable: the view cannot be asked.
        """
        with self._asking() as connection:
            return _told(connection, now)

    def switches(self) -> Switches:
        """Return what operators have paused.

        Raises:
            StatusUnavailable: the view cannot be asked.
        """
        with self._asking() as connection:
            return read_switches(connection)

    def letters(self) -> LetterCounts:
        """Count dead-lettered records by state, and by replay job.

        Raises:
            StatusUnavailable: the view cannot be asked.
        """
        with self._asking() as connection:
            return count_letters(connection)

    def freshness(self) -> Freshness:
        """Return how new the view is.

        Raises:
            StatusUnavailable: the view cannot be asked.
        """
        with self._asking() as connection:
            row = connection.execute(
                select(VIEW.c.projected_at, VIEW.c.behind).where(VIEW.c.id == ONLY)
            ).one_or_none()
        return Freshness(None, None) if row is None else Freshness(row.projected_at, row.behind)

    @property
    def place(self) -> str:
        """Where the view is looked for, without credentials; empty where the URL is none."""
        return place_of(self._url)

    def close(self) -> None:
        """Close what was opened; a later question opens it again."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    @contextmanager
    def _asking(self) -> Iterator[Connection]:
        try:
            with self._opened().connect() as connection:
                yield connection
        except (UnusableUrl, NotHashed) as error:
            raise StatusUnavailable(str(error)) from error
        except SQLAlchemyError as error:
            reason = reason_of(error)
            raise StatusUnavailable(
                f"the status view cannot be read ({reason}); is `mailcascade projector` running?"
            ) from error

    def _opened(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = open_reader(self._url, SystemClock().monotonic)
            return self._engine

    def _by_state(
        self,
        connection: Connection,
        query: StatusQuery,
        where: Sequence[ColumnElement[bool]],
        now: int,
    ) -> Sequence[_Row]:
        """Read each state's newest mails from its index; however many there are, it is short."""
        found: list[_Row] = []
        for stored in MailState:
            states = query.states & shown_as(stored) if query.states else shown_as(stored)
            if not states:
                continue
            wanted = [MAILS.c.state == stored.value, *where]
            if states != shown_as(stored):
                wanted.append(in_state(next(iter(states)), now))
            found += connection.execute(_page(wanted, query)).all()
        found.sort(key=lambda row: (row.accepted_at, row.event_id), reverse=True)
        return found


def _conditions(query: StatusQuery) -> Iterator[ColumnElement[bool]]:
    if query.tenant is not None:
        yield MAILS.c.tenant == storable(query.tenant)
    if query.template is not None:
        yield MAILS.c.template == storable(query.template)
    if query.since is not None:
        yield MAILS.c.accepted_at >= query.since
    if query.until is not None:
        yield MAILS.c.accepted_at < query.until
    if query.after is not None:
        place = (query.after.accepted_at, query.after.event_id.bytes)
        yield tuple_(MAILS.c.accepted_at, MAILS.c.event_id) < place


def _page(where: Sequence[ColumnElement[bool]], query: StatusQuery) -> _Select:
    return select(*_SHOWN).where(*where).order_by(*_NEWEST_FIRST).limit(query.limit + 1)


def _told(connection: Connection, now: int) -> tuple[WorkerOutages, ...]:
    lately = select(OUTAGES.c.told).where(OUTAGES.c.at > now - FRESH_MS).order_by(OUTAGES.c.worker)
    return tuple(map(read_told, connection.execute(lately).scalars()))


def _statuses(
    connection: Connection, rows: Sequence[_Row], tiers: Sequence[Tier], now: int | None
) -> tuple[MailStatus, ...]:
    """Return what rows say, with what came of those that died, and what others wait for."""
    mails = [_status(row, now) for row in rows]
    letters = letters_of(connection, [row.event_id for row in rows])
    if now is not None and any(mail.state in MOVING for mail in mails):
        told, pauses = _told(connection, now), Pauses(read_switches(connection), tiers)
        mails = [
            pauses.told_of(mail, pausing(told, row.lane), now)
            for mail, row in zip(mails, rows, strict=True)
        ]
    return tuple(
        replace(mail, letters=standing(letters.get(bytes(row.event_id), ()), mail.state))
        for mail, row in zip(mails, rows, strict=True)
    )


def _status(row: _Row, now: int | None) -> MailStatus:
    values = row._mapping
    state = MailState(values["state"])
    waits = now is not None and values["not_before"] is not None and values["not_before"] > now
    if state is MailState.QUEUED and waits:
        state = MailState.SCHEDULED
    kept = {name: values[name] for name in MailStatus.__slots__ if name in values}
    return MailStatus(**{**kept, "state": state, "history": (), "history_omitted": 0})


def _item(stored: StoredItem) -> HistoryItem:
    fields = {name: getattr(stored, name) for name in StoredItem.__struct_fields__}
    return HistoryItem(**{**fields, "state": MailState(stored.state)})
