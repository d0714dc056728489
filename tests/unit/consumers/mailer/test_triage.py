"""Triage: a mail's time has come, is still to come, or is over."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from consumers.mailer.triage import Proceed, TimeOver, Wait, triage
from retry_topics.headers import Journey
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
