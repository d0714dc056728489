"""Triage: a mail's time has come, is still to come, or is over."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.mailer.triage import Proceed, TimeOver, Wait, look_again_at, triage
from retry_topics.headers import Journey
from retry_topics.ladder import ladder
from retry_topics.topology import parse_tiers
from schemas.events import Recipient, SignupEvent

instants = st.none() | st.integers(0, 1_000)


def event(not_before: int | None, expires_at: int | None) -> SignupEvent:
    recipient = Recipient("ada@example.com")
    return SignupEvent(UUID(int=1), 0, "welcome", recipient, "en", {}, "t", not_before, expires_at)


@given(instants, instants, instants, st.integers(0, 1_000))
def test_no_mail_is_sent_early_or_after_its_end(
    not_before: int | None, due_at: int | None, expires_at: int | None, now: int
) -> None:
    """Proceed only between beginning and end; wait only for a time before the end."""
    begins = max(not_before or 0, due_at or 0)
    ends = expires_at if expires_at is not None else 10**9
    match triage(event(not_before, expires_at), Journey(due_at=due_at), now):
        case Proceed():
            assert begins <= now < ends
        case Wait(until):
            assert now < until == begins < ends
        case TimeOver():
            assert now >= ends or begins >= ends


TIERS = parse_tiers("1m,10m,1h")
MINUTE = 60_000


@given(st.none() | st.integers(1, 10**8), st.integers(0, 10**9))
def test_a_paused_mail_is_looked_at_again_in_time(expires_at: int | None, lasted: int) -> None:
    """Never after its end, else one stay in one tier later: a minute, or a sixth of the pause."""
    now = 10**6
    due_at = look_again_at(event(None, expires_at), now - lasted, now, TIERS)
    if expires_at is not None:
        assert due_at <= expires_at
    assert due_at - now <= max(MINUTE, lasted / 6)
    if due_at != expires_at:
        assert due_at - now == ladder(now, due_at, TIERS).delay_ms


@pytest.mark.parametrize(
    ("minutes", "waits"), [(0, 1), (59, 1), (60, 10), (359, 10), (360, 60), (10_000, 60)]
)
def test_a_long_pause_is_looked_at_less_often(minutes: int, waits: int) -> None:
    """A million mails that were looked at each minute would leave no room for others."""
    due_at = look_again_at(event(None, None), 0, minutes * MINUTE, TIERS)
    assert due_at == (minutes + waits) * MINUTE
