"""What the checks of the status view and of clocks go by; the view's database is only read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, make_url, select, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from console.doctor.finding import Answer, Unasked
from consumers.status.database import UnusableUrl, open_reader, reason_of
from consumers.status.recipients import key_check
from consumers.status.store import Source
from consumers.status.tables import ONLY, SOURCES, VIEW
from consumers.status.upgrade import TablesAre, tables_are
from runtime.clock import Clock

_POSTGRESQL_NOW = text("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)")


@dataclass(frozen=True, slots=True)
class ViewFacts:
    """A view, as it is. `source` is None before a projector wrote to it once.

    `projected_at` is when one wrote last, in milliseconds, and `behind` how many records were
    left then; None before it did. `key_fits` is whether it was made with the key of the settings.
    """

    tables: TablesAre
    source: Source | None = None
    projected_at: int | None = None
    behind: int | None = None
    key_fits: bool = True


def look_at_view(url: str, status_key: str | None, clock: Clock) -> Answer[ViewFacts]:
    """Ask the view's database."""
    try:
        if _is_missing_file(url):
            return ViewFacts(TablesAre.MISSING)
        engine = open_reader(url, clock.monotonic)
    except UnusableUrl as error:
        return Unasked(str(error))
    try:
        with engine.connect() as connection:
            return _facts(connection, status_key)
    except SQLAlchemyError as error:
        return Unasked(reason_of(error))
    finally:
        engine.dispose()


def database_ahead_ms(url: str, clock: Clock) -> Answer[int | None]:
    """Return by how much the database's clock is ahead of ours; None where it has none of its own.

    Right to half of the time that the question takes.
    """
    try:
        engine = open_reader(url, clock.monotonic)
    except UnusableUrl as error:
        return Unasked(str(error))
    try:
        return _ahead_ms(engine, clock)
    except SQLAlchemyError as error:
        return Unasked(reason_of(error))
    finally:
        engine.dispose()


def _ahead_ms(engine: Engine, clock: Clock) -> int | None:
    if engine.dialect.name != "postgresql":
        return None
    with engine.connect() as connection:
        before = clock.now_ms()
        told = int(connection.execute(_POSTGRESQL_NOW).scalar_one())
        return told - (before + clock.now_ms()) // 2


def _is_missing_file(url: str) -> bool:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return False  # opening it says what is wrong with it
    return parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists()


def _facts(connection: Connection, status_key: str | None) -> ViewFacts:
    tables = tables_are(connection)
    if tables is not TablesAre.CURRENT:
        return ViewFacts(tables)
    row = connection.execute(select(VIEW).where(VIEW.c.id == ONLY)).one_or_none()
    if row is None:
        return ViewFacts(tables)
    key = row.made_key if status_key is None else status_key
    fits = row.key_check is None or row.key_check == key_check(key.encode())
    topics: Mapping[str, str] = {
        source.topic: source.topic_id for source in connection.execute(select(SOURCES))
    }
    source = None if row.cluster_id is None else Source(row.cluster_id, topics)
    return ViewFacts(tables, source, row.projected_at, row.behind, fits)
