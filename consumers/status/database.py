"""Opening the view's database: SQLite or PostgreSQL, with waits that are bounded.

::

    DatabaseAway    it cannot be used at the moment; asking again may help
    UnusableUrl     the URL names no database that could be opened
    FileReplaced    the file that was written to is not there any more, or another one is
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

#: How long a connection, a lock or a place in the pool is waited for, in seconds.
PATIENCE_SECONDS: Final = 3.0
#: After how long the server ends a reader's statement, in seconds.
_READ_SECONDS: Final = 5.0
_WRITE_SECONDS: Final = 60.0
_READERS: Final = 8
#: SQLite asks after so many of its steps whether to go on.
_STEPS: Final = 20_000
_CACHE_KIB: Final = 65_536


class DatabaseAway(Exception):
    """The database cannot be used at the moment. The message says why, without credentials."""


class UnusableUrl(Exception):
    """The URL names no database. The message does not have it, for it may hold a password."""


class FileReplaced(Exception):
    """What is written would go where nobody reads it. The message says what to do."""


def open_writer(url: str) -> Engine:
    """Return the engine of the one process that writes; nothing is connected yet.

    Every use of it may raise `FileReplaced`, where the database is a file.

    Raises:
        UnusableUrl: there can be no such database.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite":
        return _postgresql(parsed, pool_size=1, statement_seconds=_WRITE_SECONDS)
    engine = create_engine(parsed, pool_size=1, max_overflow=0, connect_args=_sqlite_arguments())
    path = Path(parsed.database or "")

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
        # So that our own BEGIN below is the only one, also around changes of the tables.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        entry.info["file"] = _identity(path)

    @event.listens_for(engine, "checkout")
    def lend(_connection: sqlite3.Connection, entry: ConnectionPoolEntry, _proxy: object) -> None:
        if _identity(path) != entry.info["file"]:
            raise FileReplaced(
                f"{path}, which has the status view, was removed or replaced while it was written "
                "to; start the projector again, and it makes the view anew"
            )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def open_reader(url: str, monotonic: Callable[[], float]) -> Engine:
    """Return an engine that only reads, for any number of threads; nothing is connected yet.

    Raises:
        UnusableUrl: there can be no such database.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite":
        return _postgresql(parsed, pool_size=_READERS, statement_seconds=_READ_SECONDS)
    path = Path(parsed.database or "")
    read_only = URL.create("sqlite", database=f"file:{quote(str(path))}").update_query_dict(
        {"mode": "ro", "uri": "true"}
    )
    engine = create_engine(
        read_only,
        pool_size=_READERS,
        max_overflow=0,
        pool_timeout=PATIENCE_SECONDS,
        connect_args=_sqlite_arguments(),
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
        entry.info["file"] = _identity(path)

        def overdue() -> bool:
            return bool(monotonic() > entry.info.get("until", float("inf")))

        connection.set_progress_handler(overdue, _STEPS)

    @event.listens_for(engine, "checkout")
    def lend(_connection: sqlite3.Connection, entry: ConnectionPoolEntry, _proxy: object) -> None:
        # A file that was put in this one's place is not seen by an open connection.
        if _identity(path) != entry.info["file"]:
            raise DisconnectionError
        entry.info["until"] = monotonic() + _READ_SECONDS

    return engine


def place_of(url: str) -> str:
    """Return where a database is, in words that give no credentials away; empty for no database."""
    try:
        parsed = _parsed(url)
    except UnusableUrl:
        return ""
    if parsed.get_backend_name() == "sqlite":
        return parsed.database or ""
    return f"{parsed.database or ''} at {parsed.host or 'localhost'}:{parsed.port or 5432}"


def reason_of(error: SQLAlchemyError) -> str:
    """Return what went wrong in one line, without the statement and its values."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    text = str(cause).strip()
    return text.splitlines()[0] if text else type(cause).__name__


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        raise UnusableUrl(
            "MAILCASCADE_DATABASE_URL is no URL of a database, such as "
            "postgresql+psycopg://USER:PASSWORD@HOST:PORT/NAME"
        ) from error


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _sqlite_arguments() -> dict[str, Any]:
    return {"timeout": PATIENCE_SECONDS, "check_same_thread": False}


def _postgresql(url: URL, pool_size: int, statement_seconds: float) -> Engine:
    milliseconds = int(statement_seconds * 1000)
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=PATIENCE_SECONDS,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": int(PATIENCE_SECONDS),
            "options": f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}",
            "application_name": "mailcascade",
            "tcp_user_timeout": milliseconds,
        },
    )
