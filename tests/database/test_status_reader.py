"""The view's readers: one mail, lists in order, pages that stay, and an answer when it is away."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import create_engine, text

from consumers.status.changes import (
    Accepted,
    CancelAsked,
    Change,
    Noted,
    OutagesTold,
    SwitchTurned,
)
from consumers.status.reader import (
    Cursor,
    Freshness,
    MailStatus,
    StatusQuery,
    StatusReader,
    StatusUnavailable,
)
from consumers.status.store import Progress, Source, ViewStore
from retry_topics.topology import parse_tiers
from schemas.mail_states import MailState
from schemas.outages import WorkerOutages
from schemas.privacy import keyed_hash
from schemas.switches import EVERYTHING, Switch, SwitchKey, SwitchKind
from tests.support.status import entry
from tests.support.statuses import RELAY_OUT

NOW = 1_000
KEY = b"key"


@pytest.fixture
def store(database: str) -> Iterator[ViewStore]:
    """A writer of this test's view."""
    with closing(ViewStore(database, "one", "host")) as opened:
        opened.upgrade("key", False)
        opened.claim()
        opened.begin(Source("cluster", {"main": "1"}), KEY, False)
        yield opened


@pytest.fixture
def reader(database: str) -> Iterator[StatusReader]:
    """A reader of this test's view."""
    with closing(StatusReader(database, "key")) as opened:
        yield opened


def _mail(number: int, **fields: object) -> Accepted:
    address = f"u{number}@example.com"
    values: dict[str, object] = {
        "event_id": UUID(int=number).bytes,
        "lane": 0,
        "mail_id": f"mail{number}",
        "tenant": "shop",
        "template": "welcome",
        "accepted_at": number,
        "not_before": None,
        "expires_at": None,
        "recipient": "u***@example.com",
        "recipient_hash": keyed_hash(KEY, address),
        "generation": 0,
        "at": number,
    } | fields
    return Accepted(**values)  # type: ignore[arg-type]  # keyword by keyword, as above


def _noted(number: int, state: MailState, **fields: object) -> Noted:
    return Noted(UUID(int=number).bytes, 0, entry(state, 50, **fields))


def _write(store: ViewStore, *changes: Change) -> None:
    store.write(Progress(changes, {}, 60, 3))


def _found(reader: StatusReader, query: StatusQuery, now: int = NOW) -> list[str]:
    return [mail.mail_id for mail in reader.find(query, now).mails]


def test_a_mail_is_told_with_its_history(store: ViewStore, reader: StatusReader) -> None:
    """Everything that the view knows, the oldest change first."""
    _write(
        store,
        _mail(1, expires_at=900),
        _noted(1, MailState.RETRY, attempts=1, due_at=70, text="later", code=451, phase="rcpt"),
        _noted(1, MailState.SENT, attempts=1, text="ok", code=250, enhanced="2.0.0", worker="w-0"),
        CancelAsked(UUID(int=1).bytes, 0, 55, "shop", "ada"),
    )
    mail = reader.mail(UUID(int=1))
    assert mail is not None

    assert (mail.mail_id, mail.state, mail.tenant, mail.template) == (
        "mail1",
        MailState.SENT,
        "shop",
        "welcome",
    )
    assert (mail.recipient, mail.accepted_at, mail.updated_at) == ("u***@example.com", 1, 50)
    assert (mail.code, mail.enhanced, mail.text, mail.expires_at) == (250, "2.0.0", "ok", 900)
    assert mail.cancel_requested_at == 55
    assert [(item.state, item.phase, item.due_at) for item in mail.history] == [
        (MailState.RETRY, "rcpt", 70),
        (MailState.SENT, "", None),
    ]


def test_a_mail_that_nobody_spoke_of_is_unknown(store: ViewStore, reader: StatusReader) -> None:
    """Neither is one of which there is nothing but a demand to cancel it."""
    _write(store, CancelAsked(UUID(int=2).bytes, 0, 55, "", "ada"))

    assert reader.mail(UUID(int=1)) is None
    assert reader.mail(UUID(int=2)) is None


def test_a_mail_of_which_only_the_ledger_spoke_is_told(
    store: ViewStore, reader: StatusReader
) -> None:
    """But not listed, as it has no time and no public id yet."""
    _write(store, _noted(1, MailState.SENT, tenant="shop"))
    mail = reader.mail(UUID(int=1))
    assert mail is not None

    assert (mail.state, mail.tenant, mail.mail_id, mail.accepted_at) == ("sent", "shop", "", None)
    assert _found(reader, StatusQuery()) == []


def test_lists_are_newest_first(store: ViewStore, reader: StatusReader) -> None:
    """By the time of acceptance, then by id, whatever the states."""
    _write(store, _mail(1), _mail(3), _mail(2), _noted(3, MailState.SENT), _mail(4, accepted_at=3))

    assert _found(reader, StatusQuery()) == ["mail4", "mail3", "mail2", "mail1"]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (StatusQuery(tenant="shop"), [5, 4, 2, 1]),
        (StatusQuery(tenant="other"), [3]),
        (StatusQuery(states=frozenset({MailState.SENT})), [3, 2]),
        (StatusQuery(states=frozenset({MailState.SENT, MailState.DEAD})), [4, 3, 2]),
        (StatusQuery(states=frozenset({MailState.SENT}), tenant="shop"), [2]),
        (StatusQuery(states=frozenset({MailState.HELD})), []),
        (StatusQuery(template="reset"), [5]),
        (StatusQuery(recipient="U4@EXAMPLE.com"), [4]),
        (StatusQuery(recipient="u4@example.com", states=frozenset({MailState.SENT})), []),
        (StatusQuery(recipient="u4@example.com", tenant="other"), []),
        (StatusQuery(recipient="nobody@example.com"), []),
        (StatusQuery(since=2), [5, 4, 3, 2]),
        (StatusQuery(until=2), [1]),
        (StatusQuery(since=2, until=4, tenant="shop"), [2]),
        (StatusQuery(tenant="a\0b"), []),
    ],
)
def test_lists_can_be_narrowed(
    store: ViewStore, reader: StatusReader, query: StatusQuery, numbers: list[int]
) -> None:
    """Every condition narrows; `since` belongs to the list, `until` does not."""
    _write(
        store,
        *(_mail(number) for number in (1, 2, 4)),
        _mail(3, tenant="other"),
        _mail(5, template="reset"),
        _noted(2, MailState.SENT),
        _noted(3, MailState.SENT),
        _noted(4, MailState.DEAD),
    )

    assert _found(reader, query) == [f"mail{number}" for number in numbers]


@pytest.mark.parametrize(
    ("now", "state"), [(499, MailState.SCHEDULED), (500, MailState.QUEUED)], ids=["before", "after"]
)
def test_a_mail_that_may_not_be_sent_yet_is_scheduled(
    store: ViewStore, reader: StatusReader, now: int, state: MailState
) -> None:
    """Even before a worker took it up; it is found as what it is shown as."""
    other = MailState.QUEUED if state is MailState.SCHEDULED else MailState.SCHEDULED
    _write(store, _mail(1, not_before=500))
    told = reader.mail(UUID(int=1), now)
    assert told is not None

    assert told.state is state
    for query in (
        StatusQuery(states=frozenset({state})),
        StatusQuery(states=frozenset({state}), recipient="u1@example.com"),
    ):
        (listed,) = reader.find(query, now).mails
        assert listed.state is state
    assert _found(reader, StatusQuery(states=frozenset({other})), now) == []
    assert _found(reader, StatusQuery(states=frozenset({other, state})), now) == ["mail1"]


def test_pages_are_stable_while_mails_are_added(store: ViewStore, reader: StatusReader) -> None:
    """A page begins behind a mail, not at a number: none is shown twice, none is left out."""
    _write(store, *(_mail(number, accepted_at=number // 2) for number in range(10, 20)))
    seen: list[MailStatus] = []
    after: Cursor | None = None
    while True:
        page = reader.find(StatusQuery(limit=3, after=after), NOW)
        seen += page.mails
        if page.next is None:
            break
        after = Cursor.decode(page.next.encode())
        _write(store, _mail(100 + len(seen)))

    assert [mail.mail_id for mail in seen] == [f"mail{number}" for number in range(19, 9, -1)]


def test_the_last_page_has_no_next(store: ViewStore, reader: StatusReader) -> None:
    """Even where it is full."""
    _write(store, _mail(1), _mail(2))

    assert reader.find(StatusQuery(limit=2), NOW).next is None
    assert reader.find(StatusQuery(limit=1), NOW).next == Cursor(2, UUID(int=2))


def test_the_view_tells_how_new_it_is(store: ViewStore, reader: StatusReader) -> None:
    """When it was last written to, and what was left then."""
    assert reader.freshness() == Freshness(None, None)
    _write(store)

    assert reader.freshness() == Freshness(60, 3)


def test_a_mail_is_told_what_it_waits_for(store: ViewStore, reader: StatusReader) -> None:
    """One whose turn has come and whose lane is paused; not where that was told long ago."""
    told = WorkerOutages("w-0", NOW, (0,), (RELAY_OUT,))
    _write(
        store,
        *(_mail(number) for number in (1, 2, 3)),
        _mail(4, lane=1),
        _noted(2, MailState.RETRY, due_at=NOW),
        _noted(3, MailState.RETRY, due_at=NOW + 1),
        OutagesTold(told),
    )
    page = reader.find(StatusQuery(), NOW).mails
    assert [mail.mail_id for mail in page if mail.waits_for] == ["mail2", "mail1"]
    for event_id, now, waits_for in (
        (1, NOW, (RELAY_OUT,)),
        (3, NOW, ()),
        (3, NOW + 1, (RELAY_OUT,)),
        (4, NOW, ()),
        (1, NOW + 180_000, ()),
    ):
        mail = reader.mail(UUID(int=event_id), now)
        assert mail is not None
        assert mail.waits_for == waits_for
    assert reader.outages(NOW) == (told,)
    assert reader.outages(NOW + 180_000) == ()

    _write(store, OutagesTold(WorkerOutages("w-0", NOW)))
    mail = reader.mail(UUID(int=1), NOW)
    assert mail is not None
    assert mail.waits_for == ()


def test_a_mail_is_told_that_an_operator_keeps_it(store: ViewStore, database: str) -> None:
    """The last word about each switch counts; a restart of the projector forgets none."""
    template, tier = SwitchKey(SwitchKind.TEMPLATE, "welcome"), SwitchKey(SwitchKind.TIER, "1m")
    paused = Switch(template, 5, "eve", "a wrong\0link")
    _write(
        store,
        _mail(1),
        _mail(2, template="other"),
        _noted(2, MailState.RETRY, due_at=60_050),
        SwitchTurned(template, Switch(template, 4)),
        SwitchTurned(EVERYTHING, Switch(EVERYTHING, 3)),
        SwitchTurned(tier, Switch(tier, 6)),
    )
    _write(store, SwitchTurned(template, paused), SwitchTurned(EVERYTHING, None))
    kept = replace(paused, reason="a wrong\N{REPLACEMENT CHARACTER}link")
    with closing(StatusReader(database, "key", parse_tiers("1m,1h"))) as reader:
        assert list(reader.switches()) == [kept, Switch(tier, 6)]
        (second, first) = reader.find(StatusQuery(), 60_050).mails
        assert (first.paused, second.paused) == (kept, Switch(tier, 6))
        _write(store, SwitchTurned(template, None), SwitchTurned(tier, None))
        assert [mail.paused for mail in reader.find(StatusQuery(), 60_050).mails] == [None, None]
        assert list(reader.switches()) == []


def test_without_a_setting_recipients_are_found_by_the_view_s_own_key(
    database: str, store: ViewStore
) -> None:
    """And a reader with another key says so instead of finding nobody."""
    key = store.upgrade(None, True)
    store.begin(Source("cluster", {"main": "1"}), key, True)
    _write(store, _mail(1, recipient_hash=keyed_hash(key, "u1@example.com")))

    with closing(StatusReader(database, None)) as reader:
        assert _found(reader, StatusQuery(recipient="u1@example.com")) == ["mail1"]
    with (
        closing(StatusReader(database, "another")) as reader,
        pytest.raises(StatusUnavailable, match="MAILCASCADE_STATUS_KEY"),
    ):
        reader.find(StatusQuery(recipient="u1@example.com"), NOW)


def test_a_database_without_tables_is_unavailable(database: str) -> None:
    """Until a projector has started once."""
    engine = create_engine(database)
    engine.connect().close()
    with closing(StatusReader(database, None)) as reader:
        for question in (
            lambda: reader.mail(UUID(int=1)),
            lambda: reader.find(StatusQuery(), NOW),
            reader.freshness,
        ):
            with pytest.raises(StatusUnavailable, match="projector"):
                question()
    engine.dispose()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/at/all.db",
        "postgresql+psycopg://user:secret@127.0.0.1:1/nothing",
        "postgresql+psycopg://user:secret@127.0.0.1:port/nothing",
    ],
)
def test_a_database_that_is_not_there_is_unavailable(url: str) -> None:
    """The message has no password."""
    with closing(StatusReader(url, None)) as reader, pytest.raises(StatusUnavailable) as caught:
        reader.freshness()

    assert "secret" not in str(caught.value)


def test_reading_makes_no_file(tmp_path: Path) -> None:
    """A reader that is started first leaves the making to the projector."""
    path = tmp_path / "status.db"
    with closing(StatusReader(f"sqlite:///{path}", None)) as reader:
        with pytest.raises(StatusUnavailable):
            reader.freshness()
        assert not path.exists()

        with closing(ViewStore(f"sqlite:///{path}", "one", "")) as store:
            store.upgrade(None, False)
            assert reader.freshness() == Freshness(None, None)


def test_a_file_that_was_put_in_place_of_another_is_seen(tmp_path: Path) -> None:
    """A view that was removed and made anew is the one that is asked."""
    path, url = tmp_path / "status.db", f"sqlite:///{tmp_path / 'status.db'}"
    with closing(StatusReader(url, None)) as reader:
        for instant in (5, 6):
            with closing(ViewStore(url, "one", "")) as store:
                key = store.upgrade(None, False)
                store.claim()
                store.begin(Source("cluster", {"main": "1"}), key, False)
                store.write(Progress((), {}, instant, 0))
                assert reader.freshness().projected_at == instant
            for left in tmp_path.glob("status.db*"):
                left.unlink()
    assert not path.exists()


def test_a_question_is_answered_while_the_view_is_written_to(
    database: str, store: ViewStore, reader: StatusReader
) -> None:
    """Readers do not wait for the writer."""
    _write(store, _mail(1))
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE mails SET state = 'sent'"))
        told = reader.mail(UUID(int=1))
    engine.dispose()

    assert told is not None
    assert told.state is MailState.QUEUED


@pytest.mark.parametrize(
    "garbage", ["", "x", "!" * 32, "a" * 31, "a" * 33, "é" * 32, " " + "a" * 31, "a" * 30 + "=="]
)
def test_a_cursor_that_was_not_given_out_is_refused(garbage: str) -> None:
    """Whatever a client sends."""
    with pytest.raises(ValueError, match="cursor"):
        Cursor.decode(garbage)
