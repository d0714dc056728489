"""Whether a letter is replayed: every reason not to, and that nothing else keeps it back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retry_topics.dlt.decision import (
    REPLAY_CAP,
    SKIP_WORDS,
    Mail,
    Skip,
    Terms,
    decide,
    settled_by,
)
from retry_topics.dlt.states import RecordState
from schemas.ledger import NOBODY, Standing
from schemas.mail_states import MailState
from tests.support.letters import dead_record, journey_of, letter_of
from tests.support.mailer import signup

LETTER = letter_of(dead_record("t.dlt", signup("a@example.com"), journey_of(), 4))
UNDECODABLE = letter_of(dead_record("t.dlt", signup("a@example.com"), journey_of(), 4, b"junk"))
FINE = Mail(knows_template=True, ignores_suppression=False, expires_at=None)
NOW = 1_000


def standing(state: MailState, generation: int = 0) -> Standing:
    return Standing(state, generation, 1, 0, NOBODY)


@pytest.mark.parametrize("state", RecordState)
def test_only_what_is_open_goes_out_again(state: RecordState) -> None:
    """Whatever else the journal says is told as the reason."""
    skip = settled_by(LETTER, state, Terms())

    assert (skip is None) == (state is RecordState.OPEN)
    assert skip is None or skip.value == state.value


@pytest.mark.parametrize("state", RecordState)
def test_as_a_new_mail_also_what_has_ended_goes_out(state: RecordState) -> None:
    """But nothing that is another's, under way, or held."""
    goes = {RecordState.OPEN, RecordState.SENT, RecordState.ENDED}

    assert (settled_by(LETTER, state, Terms(as_new=True)) is None) == (state in goes)


def test_what_is_no_event_is_never_replayed() -> None:
    """It can be listed, shown and discarded."""
    for terms in (Terms(), Terms(as_new=True, force=True)):
        assert settled_by(UNDECODABLE, RecordState.OPEN, terms) is Skip.UNDECODABLE


def test_a_mail_that_keeps_dying_needs_somebody_to_insist() -> None:
    """From its fourth replay on."""
    often = LETTER._replace(replays=REPLAY_CAP)

    assert settled_by(often, RecordState.OPEN, Terms()) is Skip.REPLAY_CAP
    assert settled_by(often, RecordState.OPEN, Terms(force=True)) is None
    fewer = LETTER._replace(replays=REPLAY_CAP - 1)
    assert settled_by(fewer, RecordState.OPEN, Terms()) is None


@pytest.mark.parametrize(
    ("state", "skip"),
    [
        (MailState.SENT, Skip.SENT),
        (MailState.EXPIRED, Skip.EXPIRED),
        (MailState.CANCELLED, Skip.CANCELLED),
        (MailState.SUPPRESSED, Skip.SUPPRESSED),
        (MailState.DISCARDED, Skip.DISCARDED),
        (MailState.HELD, Skip.HELD),
        (MailState.RETRY, Skip.UNDER_WAY),
        (MailState.SCHEDULED, Skip.UNDER_WAY),
        (MailState.SENDING, Skip.UNDER_WAY),
        (MailState.DEAD, None),
    ],
)
def test_the_ledger_s_word_decides(state: MailState, skip: Skip | None) -> None:
    """A mail that is dead goes out again; the worker would not send any other."""
    assert decide(0, FINE, standing(state), False, NOW, Terms()) is skip
    assert decide(0, FINE, standing(state), False, NOW, Terms(as_new=True)) is None


def test_an_older_letter_of_a_mail_that_died_again_is_left_alone() -> None:
    """The newer one stands for the mail, with the whole story."""
    again = standing(MailState.DEAD, generation=1)

    assert decide(0, FINE, again, False, NOW, Terms()) is Skip.SUPERSEDED
    assert decide(1, FINE, again, False, NOW, Terms()) is None


@given(st.sampled_from([None, standing(MailState.DEAD)]))
def test_a_mail_that_cannot_be_sent_anyway_is_not_replayed(known: Standing | None) -> None:
    """Nobody knows its template, its time is over, or its recipient gets no mail."""
    unknown = Mail(False, False, None)
    late = Mail(True, False, NOW)
    important = Mail(True, True, NOW + 1)

    assert decide(0, unknown, known, False, NOW, Terms()) is Skip.UNKNOWN_TEMPLATE
    assert decide(0, late, known, False, NOW, Terms()) is Skip.EXPIRED
    assert decide(0, FINE, known, True, NOW, Terms()) is Skip.SUPPRESSED
    assert decide(0, important, known, True, NOW, Terms()) is None


def test_every_reason_has_words() -> None:
    """A person reads a sentence, not a name."""
    assert SKIP_WORDS.keys() == set(Skip)
