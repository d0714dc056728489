"""What a letter is by now: the journal's word, corrected by what the ledger has heard since."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retry_topics.dlt.present import by_now
from retry_topics.dlt.states import RecordState
from schemas.ledger import NOBODY, Standing
from schemas.mail_states import MailState

OPEN, HELD, REPLAYED = RecordState.OPEN, RecordState.HELD, RecordState.REPLAYED


def word(state: MailState, generation: int) -> Standing:
    return Standing(state, generation, 0, 0, NOBODY)


@pytest.mark.parametrize(
    ("state", "said", "generation", "present"),
    [
        (OPEN, MailState.DEAD, 2, OPEN),
        (OPEN, MailState.CANCELLED, 2, RecordState.ENDED),
        (OPEN, MailState.SENT, 2, RecordState.SENT),
        (OPEN, MailState.QUEUED, 3, REPLAYED),
        (HELD, MailState.HELD, 2, HELD),
        (HELD, MailState.DISCARDED, 2, RecordState.DISCARDED),
        (HELD, MailState.RETRY, 3, REPLAYED),
        (HELD, MailState.SENT, 3, RecordState.SENT),
        (REPLAYED, MailState.DEAD, 2, REPLAYED),
        (REPLAYED, MailState.CANCELLED, 2, RecordState.ENDED),
        (REPLAYED, MailState.RETRY, 3, REPLAYED),
        (REPLAYED, MailState.SENT, 3, RecordState.SENT),
        (REPLAYED, MailState.DEAD, 3, RecordState.DEAD_AGAIN),
        (REPLAYED, MailState.EXPIRED, 3, RecordState.ENDED),
        (REPLAYED, MailState.SENT, 4, RecordState.DEAD_AGAIN),
    ],
)
def test_what_happened_to_the_mail_since_is_told(
    state: RecordState, said: MailState, generation: int, present: RecordState
) -> None:
    """Of a letter of generation 2, whose replay is generation 3."""
    assert by_now(state, 2, word(said, generation)) is present


@given(st.sampled_from(RecordState), st.integers(0, 9))
def test_without_a_word_of_the_ledger_the_journal_stands(
    state: RecordState, generation: int
) -> None:
    """The ledger forgets."""
    assert by_now(state, generation, None) is state


@given(
    st.sampled_from([state for state in RecordState if state not in {OPEN, HELD, REPLAYED}]),
    st.sampled_from(MailState),
    st.integers(0, 9),
)
def test_what_the_journal_knows_the_end_of_stays(
    state: RecordState, said: MailState, generation: int
) -> None:
    """Whatever became of the mail as a later record."""
    assert by_now(state, 2, word(said, generation)) is state
