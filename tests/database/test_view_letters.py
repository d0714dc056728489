"""Dead letters and replay jobs in the view: as the last record about each says, in any order."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, select

from consumers.status.changes import Accepted, Change, Died, JobTold, Noted, Settled
from consumers.status.letters import LetterCounts, LetterState, LetterStatus
from consumers.status.reader import StatusQuery, StatusReader
from consumers.status.store import Progress, Source, ViewStore
from consumers.status.summary import summary_of
from consumers.status.tables import LETTERS
from schemas.dlt_journal import NO_EVENT, DltEntry, EntryState, Position
from schemas.mail_states import MailState
from schemas.replay_jobs import Edit, JobState, Pace, ReplayJob, Selection
from tests.support.status import entry

NOW = 1_000
SOURCE = Source("cluster", {"main": "1"})
KEY = b"key"
JOB = ReplayJob(
    id="91c0",
    state=JobState.RUNNING,
    by="ada",
    reason="relay mended",
    created_at=30,
    owner="host/1/a",
    beat_at=40,
    note="",
    selection=Selection(templates=frozenset({"welcome"})),
    ends={0: 9},
    edit=Edit(),
    pace=Pace(),
    counts={"selected": 10, "chosen": 8},
)


@pytest.fixture
def store(database: str) -> Iterator[ViewStore]:
    """A writer of this test's view."""
    with closing(ViewStore(database, "one", "host")) as opened:
        opened.upgrade("key", False)
        opened.claim()
        opened.begin(SOURCE, KEY, False)
        yield opened


@pytest.fixture
def reader(database: str) -> Iterator[StatusReader]:
    """A reader of this test's view."""
    with closing(StatusReader(database, "key")) as opened:
        yield opened


def _id(number: int) -> bytes:
    return UUID(int=number).bytes


def _dead(number: int, generation: int = 0) -> list[Change]:
    mail = Accepted(
        event_id=_id(number),
        lane=0,
        mail_id=f"mail{number}",
        tenant="shop",
        template="welcome",
        accepted_at=number,
        not_before=None,
        expires_at=None,
        recipient="a***@b",
        recipient_hash=bytes(16),
        generation=generation,
        at=10,
    )
    dead = entry(MailState.DEAD, 20, attempts=1, generation=generation, text="no", code=550)
    return [mail, Noted(_id(number), 0, dead)]


def _died(offset: int, number: int | None, at: int = 20, held: bool = False) -> Died:
    return Died(Position(0, offset), None if number is None else _id(number), held, at)


def _settled(offset: int, state: EntryState, at: int = 50, **fields: object) -> Settled:
    made = DltEntry(state, 1, "91c0", NO_EVENT, at, "", "")
    return Settled(Position(0, offset), made._replace(**fields))


def _discarded(offset: int, at: int = 50) -> Settled:
    return _settled(offset, EntryState.DISCARDED, at, job="", by="ada", reason="test data")


def _write(store: ViewStore, *changes: Change) -> None:
    store.write(Progress(changes, {}, 60, 0))


def _places(url: str) -> list[tuple[object, ...]]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(select(LETTERS).order_by(LETTERS.c.position)).all()
    engine.dispose()
    return [
        tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
        for row in found
    ]


def test_a_mail_is_told_with_what_was_done_about_its_letters(
    store: ViewStore, reader: StatusReader
) -> None:
    """Alone and in lists: discarded by whom and why, replayed by which job, dead again."""
    changes = [
        *_dead(1),
        _died(0, 1),
        _discarded(0),
        *_dead(2, generation=1),
        _died(1, 2),
        _settled(1, EntryState.DEAD_AGAIN, 55, event_id=_id(2)),
        _died(2, 2, 54),
        JobTold("91c0", JOB),
        *_dead(3),
        _died(3, 3),
    ]
    _write(store, *changes)

    for number, words in (
        (1, "; discarded by ada at 1970-01-01T00:00:00Z because: test data"),
        (2, "; replayed by job 91c0 of ada, dead again at 1970-01-01T00:00:00Z"),
        (3, ""),
    ):
        mail = reader.mail(UUID(int=number), NOW)
        assert mail is not None
        assert summary_of(mail, 3) == f"given up after 1 failed attempt: 550 no{words}"
        listed = {m.mail_id: m for m in reader.find(StatusQuery(), NOW).mails}
        assert listed[f"mail{number}"].letters == mail.letters
    mail = reader.mail(UUID(int=2), NOW)
    assert mail is not None
    assert mail.letters == (
        LetterStatus(Position(0, 1), LetterState.DEAD_AGAIN, 55, "91c0", "ada", "relay mended"),
        LetterStatus(Position(0, 2), LetterState.OPEN, 54),
    )


def test_a_replay_as_a_new_mail_is_told_of_the_old_one(
    store: ViewStore, reader: StatusReader
) -> None:
    """The old one stays dead; its letter tells why nothing more is to be done."""
    replayed = _settled(0, EntryState.REPLAYED, event_id=_id(9), by="ada")
    _write(store, *_dead(1), _died(0, 1), replayed)
    mail = reader.mail(UUID(int=1), NOW)

    assert mail is not None
    assert mail.letters[0].as_new
    assert "replayed as a new mail by job 91c0 of ada" in summary_of(mail, 3)


def test_what_was_held_is_told_only_while_it_is(store: ViewStore, reader: StatusReader) -> None:
    """The dead-letter topic does not hear of what a person decided; the ledger does."""
    held = Noted(_id(1), 0, entry(MailState.HELD, 20))
    _write(store, held, _died(0, 1, held=True))
    mail = reader.mail(UUID(int=1))
    assert mail is not None
    assert [letter.state for letter in mail.letters] == [LetterState.HELD]

    _write(store, Noted(_id(1), 0, entry(MailState.DISCARDED, 30, reason="ada")))
    mail = reader.mail(UUID(int=1))
    assert mail is not None
    assert mail.letters == ()


def test_letters_are_counted_by_state_and_job(store: ViewStore, reader: StatusReader) -> None:
    """Those that are no event, too; and each job with its own numbers."""
    assert reader.letters() == LetterCounts({}, ())
    _write(store, *(_died(offset, offset) for offset in range(4)), _died(4, None), _died(5, 5, 9))
    _write(
        store,
        _died(6, 6, held=True),
        _discarded(0),
        _settled(1, EntryState.REPLAYED),
        _settled(2, EntryState.SENT),
        JobTold("91c0", JOB),
        JobTold("91c0", replace(JOB, state=JobState.FINISHED, beat_at=70)),
        JobTold("later", replace(JOB, id="later", created_at=31)),
    )
    counts = reader.letters()

    assert counts.states == {"open": 3, "held": 1, "replayed": 1, "sent": 1, "discarded": 1}
    later, job = counts.jobs
    assert (later.id, later.letters) == ("later", {})
    assert (job.state, job.updated_at, job.selection) == ("finished", 70, "templates welcome")
    assert job.counts == JOB.counts
    assert job.letters == {"replayed": 1, "sent": 1}


def test_what_the_journal_takes_back_is_open_again(store: ViewStore, reader: StatusReader) -> None:
    """A record without a value; a job of which there is none is gone."""
    _write(store, _died(0, 1), _discarded(0), JobTold("91c0", JOB))
    _write(store, Settled(Position(0, 0), None), JobTold("91c0", None))

    assert reader.letters() == LetterCounts({LetterState.OPEN: 1}, ())


def test_letters_and_jobs_of_which_nothing_was_told_for_long_are_removed(
    store: ViewStore, reader: StatusReader, database: str
) -> None:
    """A few at a time; what was settled lately stays, however long ago it died."""
    _write(
        store,
        *(_died(offset, offset, at=offset) for offset in range(8)),
        _settled(0, EntryState.SENT, 50),
        _settled(1, EntryState.SENT, 3),
        _settled(20, EntryState.SENT, 3),
        _settled(21, EntryState.SENT, 50),
        JobTold("91c0", JOB),
        JobTold("late", replace(JOB, id="late", beat_at=50)),
    )

    assert [store.prune_letters(6, 4) for _ in range(3)] == [4, 2, 0]
    assert [row[1] for row in _places(database)] == [0, 6, 7, 21]
    store.prune_letters(41, 1)
    assert [job.id for job in reader.letters().jobs] == ["late"]


def test_a_renewed_view_has_no_letters(store: ViewStore, reader: StatusReader) -> None:
    """They come again from the topics."""
    _write(store, _died(0, 1), JobTold("91c0", JOB))
    store.begin(SOURCE, KEY, True)

    assert reader.letters() == LetterCounts({}, ())


deaths = st.permutations([_died(offset, offset, held=offset == 2) for offset in range(4)])
journals = st.lists(
    st.builds(_settled, st.integers(0, 4), st.sampled_from(EntryState), st.integers(0, 9)),
    max_size=10,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deaths, journals, st.data())
def test_any_interleaving_and_batching_gives_the_same_letters(
    store: ViewStore,
    database: str,
    deaths: list[Change],
    journal: list[Change],
    data: st.DataObject,
) -> None:
    """Nothing orders the dead-letter topic and its journal against each other."""
    store.begin(SOURCE, KEY, True)
    _write(store, *sorted(deaths, key=repr), *journal)
    at_once = _places(database)
    turns = data.draw(st.permutations([True] * len(deaths) + [False] * len(journal)))
    sources = {True: iter(deaths), False: iter(journal)}
    mixed = [next(sources[turn]) for turn in turns]
    cuts = data.draw(st.lists(st.integers(0, len(mixed)), max_size=3))
    store.begin(SOURCE, KEY, True)
    for start, end in pairwise([0, *sorted(cuts), len(mixed)]):
        _write(store, *mixed[start:end])

    assert _places(database) == at_once
