"""The judge: which record of a mail counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.mailer.ledger.judge import Verdict, judge
from schemas.ledger import NOBODY, Standing, owner_of
from schemas.mail_states import SETTLED, MailState

OWNER, STRANGER = owner_of("acme"), owner_of("zoo")
_STATES = [state for state in MailState if state is not MailState.QUEUED]


def standing(
    state: MailState, generation: int = 0, step: int = 0, owner: bytes = OWNER
) -> Standing:
    return Standing(state, generation, step, step, owner)


def test_a_mail_without_an_entry_proceeds() -> None:
    """It was never touched."""
    assert judge(None, 0, 0, OWNER) is Verdict.PROCEED


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (MailState.RETRY, Verdict.PROCEED),
        (MailState.SCHEDULED, Verdict.PROCEED),
        (MailState.SENDING, Verdict.IN_DOUBT),
        (MailState.HELD, Verdict.DROP),
        (MailState.DEAD, Verdict.DROP),
        *((state, Verdict.DROP) for state in sorted(SETTLED)),
    ],
)
def test_the_present_record_goes_on_only_where_the_mail_waits(
    state: MailState, verdict: Verdict
) -> None:
    """What was being handed over when its worker ended is in doubt; what is over stays over."""
    assert judge(standing(state, 1, 2), 1, 2, OWNER) is verdict


@given(st.sampled_from(_STATES), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_an_earlier_record_never_counts(
    state: MailState, generation: int, step: int, back: int
) -> None:
    """A record that is read again finds that the mail has gone on."""
    now = standing(state, generation, step + back + 1)
    assert judge(now, generation, step, OWNER) is Verdict.DROP
    assert judge(standing(state, generation + 1), generation, step, OWNER) is Verdict.DROP


@given(st.sampled_from(sorted(SETTLED)), st.integers(0, 5), st.integers(0, 5))
def test_no_replay_runs_what_is_over(state: MailState, generation: int, step: int) -> None:
    """Not even one of a later generation."""
    assert judge(standing(state, 0, 9), generation, step, OWNER) is Verdict.DROP


@pytest.mark.parametrize("state", [MailState.DEAD, MailState.HELD, MailState.SENDING])
def test_a_replay_runs_what_is_parked(state: MailState) -> None:
    """Its generation is the next one."""
    assert judge(standing(state, 0, 4), 1, 0, OWNER) is Verdict.PROCEED


@pytest.mark.parametrize(
    ("by", "verdict"),
    [(STRANGER, Verdict.PROCEED), (OWNER, Verdict.DROP), (NOBODY, Verdict.DROP)],
)
def test_a_stranger_s_cancellation_stops_no_mail(by: bytes, verdict: Verdict) -> None:
    """The owner's and the operator's do, although they came before the mail."""
    assert judge(standing(MailState.CANCELLED, owner=by), 0, 0, OWNER) is verdict
