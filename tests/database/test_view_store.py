"""The view's writer: each batch counts once, one projector writes, a view is of one source."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from consumers.status.changes import Accepted, Change, Noted, OutagesTold
from consumers.status.database import DatabaseAway
from consumers.status.history import read_history
from consumers.status.store import (
    OtherSource,
    Progress,
    Source,
    Superseded,
    ViewStore,
    ViewUnusable,
)
from consumers.status.tables import METADATA
from runtime.kafka.records import Partition
from schemas.mail_states import MailState
from schemas.outages import WorkerOutages
from tests.support.status import entry, rows
from tests.support.statuses import RELAY_OUT

KEY = b"key"
SOURCE = Source("cluster", {"main": "1", "ledger": "2"})
MAIN = Partition("main", 0)
LEDGER = Partition("ledger", 0)

Open = Callable[..., ViewStore]


@pytest.fixture
def opened(database: str) -> Iterator[Open]:
    """Opens stores of this test's database, ready to be written to."""
    stores = []

    def open_store(writer: str = "one", *, renew: bool = False) -> ViewStore:
        store = ViewStore(database, writer, f"host {writer}")
        stores.append(store)
        store.upgrade("key", renew)
        store.claim()
        store.begin(SOURCE, KEY, renew)
        return store

    yield open_store
    for store in stores:
        store.close()


def _accepted(number: int, **fields: object) -> Accepted:
    event_id = UUID(int=number).bytes
    mail = Accepted(
        event_id, 0, f"mail{number}", "shop", "welcome", 10, None, None, "a***@b", bytes(16), 0, 10
    )
    return replace(mail, **fields)  # type: ignore[arg-type]  # keyword by keyword


def _noted(number: int, state: MailState, at: int = 20) -> Noted:
    return Noted(UUID(int=number).bytes, 0, entry(state, at))


def _progress(*changes: Change, main: int = 1, at: int = 30) -> Progress:
    return Progress(changes, {MAIN: main}, at, 0)


def _states(url: str) -> dict[int, str]:
    return {event_id.int: row["state"] for event_id, row in rows(url).items()}


def test_a_batch_is_written_with_its_positions(opened: Open, database: str) -> None:
    """What the view says and how far it reaches are one."""
    store = opened()
    store.write(_progress(_accepted(1), _noted(1, MailState.SENT), _accepted(2), main=7))
    standing = store.standing()

    assert _states(database) == {1: "sent", 2: "queued"}
    assert standing.positions == {MAIN: 7}
    assert standing.source == SOURCE
    assert standing.projected_at == 30


def test_a_later_batch_goes_on_where_the_last_one_ended(opened: Open, database: str) -> None:
    """A mail's row is read, changed and put back."""
    store = opened()
    store.write(_progress(_accepted(1)))
    store.write(_progress(_noted(1, MailState.RETRY, 21)))
    store.write(_progress(_noted(1, MailState.SENT, 22)))
    (row,) = rows(database).values()

    assert (row["state"], row["updated_at"], row["mail_id"]) == ("sent", 22, "mail1")
    assert [item.state for item in read_history(row["history"])] == ["retry", "sent"]


def test_a_batch_whose_commit_is_in_doubt_counts_once(opened: Open, database: str) -> None:
    """The same batch is written again, and the database knows that it has it."""
    store = opened()
    first, second = opened("two"), _progress(_noted(1, MailState.RETRY))
    first.write(second)
    first._sequence -= 1  # as if the answer to the commit had been lost
    first.write(second)
    first.write(_progress(_noted(1, MailState.SENT)))
    (row,) = rows(database).values()

    assert len(read_history(row["history"])) == 2
    with pytest.raises(Superseded):
        store.write(second)


def test_a_projector_that_was_superseded_changes_nothing(opened: Open, database: str) -> None:
    """It is told who writes instead, whether it has something to write or not."""
    old = opened("old")
    old.write(_progress(_accepted(1), main=1))
    new = opened("new")
    for progress in (_progress(_accepted(2), main=2), Progress((), {}, 40, 0)):
        with pytest.raises(Superseded, match="host new"):
            old.write(progress)
    with pytest.raises(Superseded):
        old.prune(99, 10)
    with pytest.raises(Superseded):
        old.begin(SOURCE, KEY, True)
    new.write(_progress(_accepted(3), main=3))

    assert _states(database) == {1: "queued", 3: "queued"}
    assert new.standing().positions == {MAIN: 3}


def test_who_signed_off_holds_nothing(opened: Open) -> None:
    """Another projector can begin without watching for it."""
    store = opened()
    assert store.standing().holder == "host one"
    store.sign_off()

    assert store.standing().holder == ""


def test_a_renewed_view_is_empty(opened: Open, database: str) -> None:
    """Its mails and its positions are gone."""
    opened().write(_progress(_accepted(1), main=5))
    renewed = opened("two", renew=True)

    assert rows(database) == {}
    assert renewed.standing().positions == {}


def _workers(url: str) -> set[str]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = set(connection.execute(text("SELECT worker FROM outages")).scalars())
    engine.dispose()
    return found


def test_what_is_out_is_kept_until_it_is_back(opened: Open, database: str) -> None:
    """The last that each worker told counts, also of several in one batch; old ones go."""
    store = opened()
    out = [OutagesTold(WorkerOutages(f"w-{n}", n, (0,), (RELAY_OUT,))) for n in range(4)]
    store.write(_progress(*out, _accepted(1)))
    assert _workers(database) == {"w-0", "w-1", "w-2", "w-3"}

    back = OutagesTold(WorkerOutages("w-1", 5))
    store.write(_progress(out[2], back, OutagesTold(WorkerOutages("w-0", 5)), out[0]))
    assert _workers(database) == {"w-0", "w-2", "w-3"}

    store.prune(2, 1)
    assert _workers(database) == {"w-2", "w-3"}
    opened("two", renew=True)
    assert _workers(database) == set()


def test_mails_that_changed_long_ago_are_removed_a_few_at_a_time(
    opened: Open, database: str
) -> None:
    """Those that changed since stay."""
    store = opened()
    store.write(_progress(*(_accepted(number, at=number) for number in range(1, 8))))

    assert [store.prune(6, 3), store.prune(6, 3), store.prune(6, 3)] == [3, 2, 0]
    assert set(_states(database)) == {6, 7}


def test_a_key_that_was_made_with_the_view_stays(database: str) -> None:
    """Without a setting, recipients are hashed with the database's own key."""
    with closing(ViewStore(database, "one", "")) as store:
        first = store.upgrade(None, False)
    with closing(ViewStore(database, "two", "")) as store:
        second = store.upgrade(None, False)

    assert first == second
    assert len(first) >= 32


def test_a_view_that_was_hashed_with_another_key_is_not_written_to(
    opened: Open, database: str
) -> None:
    """Half of its recipients could not be found any more."""
    opened()
    with closing(ViewStore(database, "two", "")) as store:
        with pytest.raises(OtherSource, match="MAILCASCADE_STATUS_KEY"):
            store.upgrade("another", False)

        assert store.upgrade("another", True) == b"another"


def test_a_view_of_a_later_release_is_left_alone(opened: Open, database: str) -> None:
    """This release does not know what its tables mean."""
    store = opened()
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'v999'"))
    engine.dispose()

    with pytest.raises(ViewUnusable, match="later release"):
        store.upgrade("key", False)


def test_the_migrations_make_the_tables_that_queries_know(opened: Open, database: str) -> None:
    """Column by column."""
    opened()
    engine = create_engine(database)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, METADATA)
    engine.dispose()

    assert [d for d in differences if isinstance(d, list) or d[0] != "remove_index"] == []


def test_two_that_start_together_make_the_tables_once(database: str) -> None:
    """The second waits for the first, and finds them made."""
    with ThreadPoolExecutor(4) as pool:
        stores = [ViewStore(database, str(number), "") for number in range(4)]
        keys = list(pool.map(lambda store: store.upgrade(None, False), stores))
    for store in stores:
        store.close()

    assert len(set(keys)) == 1


changes = st.lists(
    st.one_of(
        st.builds(_accepted, st.integers(1, 3), generation=st.integers(0, 2), at=st.integers(0, 9)),
        st.builds(
            _noted,
            st.integers(1, 3),
            st.sampled_from([MailState.RETRY, MailState.SENT, MailState.DEAD]),
            st.integers(0, 9),
        ),
    ),
    max_size=12,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes, st.lists(st.integers(0, 12), max_size=3))
def test_any_batching_gives_the_same_view(
    opened: Open, database: str, changes: list[Change], cuts: list[int]
) -> None:
    """All at once, or in any batches."""
    store = opened("one", renew=True)
    store.write(_progress(*changes))
    at_once = rows(database)
    store.begin(SOURCE, KEY, True)
    places = [0, *sorted(cuts), len(changes)]
    for start, end in pairwise(places):
        store.write(_progress(*changes[start:end]))

    assert rows(database) == at_once


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_removed_is_not_written_to_any_more(tmp_path: Path, replaced: bool) -> None:
    """Nobody would read it; the error says what helps, and so it does."""
    file = tmp_path / "view.db"
    with closing(ViewStore(f"sqlite:///{file}", "one", "host")) as store:
        store.upgrade("key", renew=False)
        file.unlink()
        if replaced:
            file.touch()
        with pytest.raises(ViewUnusable, match=r"view\.db, .* start the projector again"):
            store.claim()
    with closing(ViewStore(f"sqlite:///{file}", "two", "host")) as store:
        store.upgrade("key", renew=False)
        assert store.claim().positions == {}


def test_what_went_wrong_names_the_database_without_its_password(tmp_path: Path) -> None:
    """In the place of the projector's log where an operator looks first."""
    nowhere = tmp_path / "no" / "view.db"
    for url, place in (
        (f"sqlite:///{nowhere}", str(nowhere)),
        ("postgresql+psycopg://ada:secret@127.0.0.1:1/mails", "mails at 127.0.0.1:1"),
    ):
        with closing(ViewStore(url, "one", "host")) as store:
            with pytest.raises(DatabaseAway, match=place) as raised:
                store.standing()
            assert "secret" not in str(raised.value)
