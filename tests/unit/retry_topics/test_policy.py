"""The retry policy: 1m, 10m, 1h, dead; what the relay asks for; what cannot be helped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retry_topics.failure import Ambiguous, Failure, FailureClass, Phase, Scope
from retry_topics.policy import DeadLetter, DeadReason, Expire, RetryAt, RetryPolicy
from retry_topics.topology import parse_tiers

POLICY = RetryPolicy(parse_tiers("1m,10m,1h"))
MINUTE = 60_000
NOW = 1_800_000_000_000


def failure(kind: FailureClass = FailureClass.TRANSIENT, after: int | None = None) -> Failure:
    return Failure(Scope.RECIPIENT, kind, Phase.RCPT, "4.2.2 full", "test", 452, "4.2.2", after)


@pytest.mark.parametrize(
    ("attempt", "minutes"),
    [
        (1, 1),  # the first failure waits one minute
        (2, 10),
        (3, 60),
    ],
)
def test_each_failure_takes_the_next_tier_once(attempt: int, minutes: int) -> None:
    """The n-th failure is tried again after the n-th tier's delay."""
    assert POLICY.decide(failure(), attempt, NOW, None) == RetryAt(NOW + minutes * MINUTE)


def test_a_failure_after_the_last_tier_is_dead() -> None:
    """The fourth failure of three tiers ends on the dead-letter topic."""
    assert POLICY.decide(failure(), 4, NOW, None) == DeadLetter(DeadReason.EXHAUSTED)


@given(st.integers(1, 10))
def test_a_permanent_failure_is_dead_at_once(attempt: int) -> None:
    """No attempt is spent on what cannot be helped."""
    decision = POLICY.decide(failure(FailureClass.PERMANENT), attempt, NOW, None)
    assert decision == DeadLetter(DeadReason.REFUSED)


@pytest.mark.parametrize(("asked", "waited"), [(5 * MINUTE, 5 * MINUTE), (1_000, MINUTE)])
def test_a_delay_that_the_relay_asks_for_is_honoured_where_it_is_longer(
    asked: int, waited: int
) -> None:
    """`try again in five minutes` waits five minutes; `in one second` waits the tier's minute."""
    assert POLICY.decide(failure(after=asked), 1, NOW, None) == RetryAt(NOW + waited)


def test_an_ambiguous_attempt_waits_for_the_second_tier() -> None:
    """A mail that may be on its way is not repeated within a minute."""
    assert POLICY.decide(Ambiguous("lost"), 1, NOW, None) == RetryAt(NOW + 10 * MINUTE)


def test_with_one_tier_an_ambiguous_attempt_takes_it() -> None:
    """There is no second tier to wait for."""
    policy = RetryPolicy(parse_tiers("1m"))
    assert policy.decide(Ambiguous("lost"), 1, NOW, None) == RetryAt(NOW + MINUTE)


@pytest.mark.parametrize(
    ("left", "expected"),
    [(MINUTE + 1, RetryAt(NOW + MINUTE)), (MINUTE, Expire()), (0, Expire())],
)
def test_a_retry_that_would_come_too_late_expires_now(left: int, expected: object) -> None:
    """A mail does not wait for an attempt that must not be made any more."""
    assert POLICY.decide(failure(), 1, NOW, NOW + left) == expected
