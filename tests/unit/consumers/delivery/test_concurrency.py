"""The limit of connections halves at a throttle and grows by one with as many mails as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.concurrency import Concurrency, is_throttle
from retry_topics.failure import (
    Accepted,
    Ambiguous,
    Failure,
    FailureClass,
    Outcome,
    Phase,
    Scope,
)


def failure(scope: Scope, kind: FailureClass, code: int, enhanced: str | None = None) -> Failure:
    return Failure(scope, kind, Phase.MAIL, "no", "a-rule", code, enhanced)


@pytest.mark.parametrize(
    ("outcome", "throttled"),
    [
        (Accepted("250 Ok"), False),
        (Ambiguous("who knows"), False),
        (failure(Scope.SENDER, FailureClass.THROTTLE, 452, "4.4.5"), True),
        (failure(Scope.ENDPOINT, FailureClass.TRANSIENT, 421), True),
        (failure(Scope.SENDER, FailureClass.TRANSIENT, 454, "4.7.0"), True),
        (failure(Scope.SENDER, FailureClass.TRANSIENT, 450, "4.2.1"), True),
        # Somebody's mailbox is busy, which says nothing about us.
        (failure(Scope.RECIPIENT, FailureClass.TRANSIENT, 450, "4.2.1"), False),
        (failure(Scope.RECIPIENT, FailureClass.PERMANENT, 550, "5.1.1"), False),
        (failure(Scope.ENDPOINT, FailureClass.CONFIG, 554), False),
    ],
)
def test_a_throttle_is_known(outcome: Outcome, throttled: bool) -> None:
    """By its class, or by the codes that relays say it with."""
    assert is_throttle(outcome) is throttled


def test_the_limit_halves_once_a_round() -> None:
    """Mails that were under way together meet the same throttle; 64 -> 32 -> 16, not -> 1."""
    concurrency = Concurrency(64)
    for _ in range(5):
        concurrency.throttled(0)
    assert concurrency.limit == 32

    concurrency.throttled(concurrency.round)
    assert concurrency.limit == 16


def test_the_limit_grows_by_one_with_each_round_of_mails() -> None:
    """8 halves to 4; some 4 + 5 mails make it 6."""
    concurrency = Concurrency(8)
    concurrency.throttled(0)

    limits = []
    for _ in range(11):
        concurrency.accepted()
        limits.append(concurrency.limit)

    assert limits == [4, 4, 4, 4, 5, 5, 5, 5, 5, 6, 6]


def test_a_relay_without_room_sets_the_limit_to_what_it_took() -> None:
    """Ten stood when the eleventh was turned away, so ten it is."""
    concurrency = Concurrency(64)
    concurrency.crowded(10)
    assert concurrency.limit == 10


@given(most=st.integers(1, 256), events=st.lists(st.sampled_from("atc"), max_size=200))
def test_the_limit_stays_within_its_bounds(most: int, events: list[str]) -> None:
    """From one to what the setting allows, whatever happens."""
    concurrency = Concurrency(most)
    for event in events:
        match event:
            case "a":
                concurrency.accepted()
            case "t":
                concurrency.throttled(concurrency.round)
            case _:
                concurrency.crowded(3)
        assert 1 <= concurrency.limit <= most
