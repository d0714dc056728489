"""Outcomes: what the ledger's word on a replayed mail means, each counted once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retry_topics.dlt.outcomes import Awaited, Outcome, Outcomes, outcome_of
from schemas.dlt_journal import EntryState, Position
from schemas.ledger import NOBODY, Standing
from schemas.mail_states import MailState

MAIL = bytes(16)
AWAITED = Awaited(Position(1, 2), generation=1)
WRITTEN = [state for state in MailState if state is not MailState.QUEUED]


def standing(state: MailState, generation: int = 1) -> Standing:
    return Standing(state, generation, 0, 0, NOBODY)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (MailState.SENT, Outcome.SENT),
        (MailState.DEAD, Outcome.DEAD_AGAIN),
        (MailState.RETRY, Outcome.RETRYING),
        (MailState.SENDING, None),
        (MailState.SCHEDULED, None),
        (MailState.EXPIRED, Outcome.ENDED),
        (MailState.HELD, Outcome.ENDED),
        (MailState.SUPPRESSED, Outcome.ENDED),
    ],
)
def test_the_ledger_tells_what_became_of_it(state: MailState, outcome: Outcome | None) -> None:
    """In the words of its states."""
    assert outcome_of(standing(state), 1) is outcome


def test_an_older_entry_means_something_only_where_it_is_the_end() -> None:
    """A mail that was cancelled meanwhile is dropped by the worker without another word."""
    assert outcome_of(standing(MailState.DEAD, generation=0), 1) is None
    assert outcome_of(standing(MailState.CANCELLED, generation=0), 1) is Outcome.ENDED


@given(st.lists(st.sampled_from(WRITTEN), max_size=8))
def test_a_mail_counts_once_whatever_is_heard_of_it(states: list[MailState]) -> None:
    """It is silent, failing, or has ended in one way."""
    outcomes = Outcomes()
    outcomes.expect(MAIL, AWAITED)
    ends = [one for state in states if (one := outcomes.hear(MAIL, standing(state))) is not None]

    assert len(ends) <= 1
    assert outcomes.silent + outcomes.heard == 1
    assert outcomes.open == 1 - len(ends)
    assert outcomes.failing_share in (0.0, 1.0)


def test_a_mail_that_is_sent_after_a_failed_attempt_was_failing() -> None:
    """For the limit that stops a job, the first attempt is what counts."""
    outcomes = Outcomes()
    outcomes.expect(MAIL, AWAITED)
    outcomes.hear(MAIL, standing(MailState.RETRY))
    assert outcomes.counts[Outcome.RETRYING] == 1
    settled = outcomes.hear(MAIL, standing(MailState.SENT))

    assert settled is not None
    assert (settled.position, settled.state) == (AWAITED.position, EntryState.SENT)
    assert outcomes.failing_share == 1.0
    assert outcomes.counts[Outcome.RETRYING] == 0


def test_mails_of_others_are_not_heard() -> None:
    """Nor those that were not replayed after all."""
    outcomes = Outcomes()
    outcomes.expect(MAIL, AWAITED)
    outcomes.forget([MAIL])

    assert outcomes.hear(MAIL, standing(MailState.SENT)) is None
    assert outcomes.heard == 0
