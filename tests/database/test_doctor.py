"""What the doctor sees of a view, in either database."""

from contextlib import closing
from pathlib import Path

from sqlalchemy import create_engine, text

from console.doctor.finding import Unasked
from console.doctor.view_facts import ViewFacts, database_ahead_ms, look_at_view
from consumers.status.store import Progress, Source, ViewStore
from consumers.status.upgrade import TablesAre
from runtime.clock import SystemClock
from runtime.kafka.records import Partition

SOURCE = Source("cluster", {"main": "1"})
CLOCK = SystemClock()


def test_a_view_is_looked_at_from_its_first_day_to_a_later_release(database: str) -> None:
    """Missing, kept, of another key, of a later release; looking changes nothing."""
    assert look_at_view(database, None, CLOCK) == ViewFacts(TablesAre.MISSING)
    with closing(ViewStore(database, "one", "host")) as store:
        key = store.upgrade("key", renew=False)
        store.claim()
        store.begin(SOURCE, key, renew=False)
        assert look_at_view(database, "key", CLOCK) == ViewFacts(TablesAre.CURRENT, SOURCE)
        store.write(Progress((), {Partition("main", 0): 1}, 30, 7))
    assert look_at_view(database, "key", CLOCK) == ViewFacts(TablesAre.CURRENT, SOURCE, 30, 7)
    other = look_at_view(database, "another", CLOCK)
    assert isinstance(other, ViewFacts)
    assert not other.key_fits

    engine = create_engine(database)
    for revision, told in (("v99", TablesAre.NEWER), ("v1", TablesAre.OLDER)):
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision}
            )
        assert look_at_view(database, "key", CLOCK) == ViewFacts(told)
    engine.dispose()


def test_a_database_s_clock_is_compared(database: str) -> None:
    """On this machine it is ours; a file has none."""
    ahead = database_ahead_ms(database, CLOCK)

    if database.startswith("sqlite"):
        assert ahead is None
    else:
        assert isinstance(ahead, int)
        assert abs(ahead) < 5_000


def test_a_database_that_is_away_is_told_without_credentials(tmp_path: Path) -> None:
    """A server that nobody runs, and a directory in the place of a file."""
    away = look_at_view("postgresql+psycopg://ada:secret@127.0.0.1:1/status", None, CLOCK)
    directory = look_at_view(f"sqlite:///{tmp_path}", None, CLOCK)

    assert isinstance(away, Unasked)
    assert "secret" not in away.reason
    assert isinstance(directory, Unasked)
