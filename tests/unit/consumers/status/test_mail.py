"""A mail's row depends on each topic's order alone, never on how the topics interleave."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.status.changes import Accepted, CancelAsked, Change, Noted
from consumers.status.history import FIRST_KEPT, LAST_KEPT, read_history
from consumers.status.mail import Mail, mail_of, row_of
from schemas.mail_states import MailState
from tests.support.status import entry

EVENT = UUID("0189a3c0-0000-4000-8000-000000000001").bytes
WRITTEN = [state for state in MailState if state is not MailState.QUEUED]
ACCEPTED = Accepted(
    event_id=EVENT,
    lane=3,
    mail_id="a" * 32,
    tenant="shop",
    template="welcome",
    accepted_at=1_000,
    not_before=None,
    expires_at=9_000,
    recipient="a***@example.com",
    recipient_hash=b"h" * 16,
    generation=0,
    at=1_001,
)


def _noted(state: MailState, at: int = 2_000, **fields: object) -> Noted:
    return Noted(EVENT, 3, entry(state, at, **fields))


def _asked(at: int, tenant: str = "", by: str = "ada") -> CancelAsked:
    return CancelAsked(EVENT, 3, at, tenant, by)


def _after(*changes: Change) -> Mail:
    mail = Mail(EVENT)
    for change in changes:
        mail.apply(change)
    return mail


words = st.sampled_from(["", "one", "two"])
mains = st.lists(
    st.builds(
        lambda at, generation, tenant, template: replace(
            ACCEPTED, at=at, generation=generation, tenant=tenant, template=template
        ),
        st.integers(0, 99),
        st.integers(0, 3),
        words,
        words,
    ),
    max_size=4,
)
ledgers = st.lists(
    st.builds(
        lambda state, at, generation, tenant, template, code: _noted(
            state, at, generation=generation, tenant=tenant, template=template, code=code
        ),
        st.sampled_from(WRITTEN),
        st.integers(0, 99),
        st.integers(0, 3),
        words,
        words,
        st.none() | st.integers(200, 599),
    ),
    max_size=8,
)
controls = st.lists(st.builds(_asked, st.integers(0, 99), words), max_size=4)


@st.composite
def _interleaved(draw: st.DrawFn) -> tuple[list[Change], list[Change]]:
    """Draw three topics' records one after another, and the same in any other order of topics."""
    streams: list[list[Change]] = [list(draw(topic)) for topic in (mains, ledgers, controls)]
    turns = [number for number, stream in enumerate(streams) for _ in stream]
    left = [iter(stream) for stream in streams]
    mixed = [next(left[turn]) for turn in draw(st.permutations(turns))]
    return [change for stream in streams for change in stream], mixed


@given(_interleaved())
def test_any_interleaving_of_the_topics_gives_the_same_row(
    changes: tuple[list[Change], list[Change]],
) -> None:
    """Nothing orders one topic's records against another's."""
    in_turn, mixed = changes

    assert row_of(_after(*mixed)) == row_of(_after(*in_turn))


@given(_interleaved(), st.integers(0, 16))
def test_a_row_that_was_written_and_read_goes_on_as_if_it_had_not_been(
    changes: tuple[list[Change], list[Change]], place: int
) -> None:
    """Where a batch ends is of no consequence."""
    _, mixed = changes
    kept = mail_of(row_of(_after(*mixed[:place])))
    for change in mixed[place:]:
        kept.apply(change)

    assert row_of(kept) == row_of(_after(*mixed))


def test_an_accepted_mail_is_queued() -> None:
    """Without an entry of the ledger nobody has taken it up."""
    mail = _after(ACCEPTED)

    assert mail.state == MailState.QUEUED
    assert (mail.accepted_at, mail.updated_at, mail.expires_at) == (1_000, 1_001, 9_000)
    assert (mail.lane, mail.tenant, mail.template) == (3, "shop", "welcome")


def test_the_last_entry_tells_the_state() -> None:
    """By the ledger's order, whatever the workers' clocks say."""
    mail = _after(
        ACCEPTED,
        _noted(MailState.RETRY, 5_000, attempts=1, due_at=6_000, text="later", code=451),
        _noted(MailState.SENT, 4_000, attempts=1, text="ok", code=250),
    )

    assert (mail.state, mail.updated_at, mail.due_at) == (MailState.SENT, 4_000, None)
    assert (mail.text, mail.code, mail.attempts) == ("ok", 250, 1)


def test_what_a_relay_says_names_nobody_in_the_view() -> None:
    """Entries of an older release may have the plain address; rows and their history have not."""
    mail = _after(ACCEPTED, _noted(MailState.DEAD, text="<ada@example.com>: no such user"))

    assert mail.text == "<a***@example.com>: no such user"
    assert "ada@" not in mail.history


def test_an_empty_field_of_an_entry_overwrites_nothing_that_is_known() -> None:
    """A worker that could not read the event has neither its tenant nor its template."""
    mail = _after(ACCEPTED, _noted(MailState.DEAD))

    assert (mail.tenant, mail.template) == ("shop", "welcome")


def test_a_repeat_by_a_client_changes_nothing() -> None:
    """The first record tells what the mail is."""
    repeat = replace(ACCEPTED, accepted_at=7_000, at=7_000, template="other")

    assert row_of(_after(ACCEPTED, repeat)) == row_of(_after(ACCEPTED))


def test_a_replay_puts_the_mail_back_into_the_queue() -> None:
    """Until the ledger speaks of the same generation."""
    dead = _noted(MailState.DEAD, attempts=4, text="no", reason="exhausted", code=550)
    replay = replace(ACCEPTED, generation=1, at=3_000)
    waiting = _after(ACCEPTED, dead, replay)
    sent = _after(ACCEPTED, dead, replay, _noted(MailState.SENT, generation=1))

    assert (waiting.state, waiting.generation, waiting.attempts) == (MailState.QUEUED, 1, 0)
    assert (waiting.text, waiting.reason, waiting.code) == ("", "", None)
    assert [item.state for item in read_history(waiting.history)] == [MailState.DEAD]
    assert (sent.state, sent.generation) == (MailState.SENT, 1)


def test_a_replay_that_is_seen_late_changes_no_state() -> None:
    """The ledger has spoken of that generation."""
    sent = _noted(MailState.SENT, generation=1)

    assert _after(sent, ACCEPTED, replace(ACCEPTED, generation=1)).state == MailState.SENT


@pytest.mark.parametrize("entries", [1, 5, 25, 26, 60])
def test_a_long_history_keeps_its_beginning_and_its_end(entries: int) -> None:
    """What is left out of its middle is counted."""
    mail = _after(*(_noted(MailState.RETRY, at) for at in range(entries)))
    at = [item.at for item in read_history(mail.history)]

    assert len(at) + mail.history_omitted == entries
    assert len(at) <= FIRST_KEPT + LAST_KEPT
    assert at[:FIRST_KEPT] == list(range(entries))[:FIRST_KEPT]
    assert at[-LAST_KEPT:] == list(range(entries))[-LAST_KEPT:]


@pytest.mark.parametrize(
    ("asked", "counts"),
    [
        ([_asked(10, "shop")], 10),
        ([_asked(10, "")], 10),
        ([_asked(10, "thief")], None),
        ([_asked(10, "thief"), _asked(11, "shop"), _asked(12, "")], 11),
        ([_asked(10, "shop"), _asked(11, "shop")], 10),
    ],
)
def test_the_first_cancellation_by_whom_it_may_be_asked_counts(
    asked: list[CancelAsked], counts: int | None
) -> None:
    """The mail's tenant or an operator, before or after the mail is known."""
    assert _after(ACCEPTED, *asked).cancel_requested_at == counts
    assert _after(*asked, ACCEPTED).cancel_requested_at == counts


def test_nul_characters_are_replaced() -> None:
    """PostgreSQL keeps none, and a relay can say anything."""
    mail = _after(_noted(MailState.DEAD, text="a\0b"))

    assert mail.text == "a\ufffdb"
    assert "\0" not in mail.history
