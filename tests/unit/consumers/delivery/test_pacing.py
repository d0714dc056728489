"""No second has more mails than the rate allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.pacing import Pace


def test_what_one_second_allows_may_go_at_once() -> None:
    """At 4/s the first four need not wait; then one goes each quarter of a second."""
    pace = Pace(4.0, lambda: 1.0)

    assert [pace.reserve(100.0) for _ in range(7)] == [0, 0, 0, 0, 0.25, 0.5, 0.75]


def test_a_slow_rate_has_no_burst() -> None:
    """At 6 a minute they go ten seconds apart."""
    pace = Pace(0.1, lambda: 1.0)

    assert [pace.reserve(100.0) for _ in range(3)] == pytest.approx([0, 10, 20])


@pytest.mark.parametrize(("share", "second"), [(1.0, 1.0), (0.25, 4.0), (0.0, 1.0)])
def test_workers_divide_the_rate(share: float, second: float) -> None:
    """A quarter of the lanes has a quarter of the rate; whoever lost all may end what it has."""
    pace = Pace(1.0, lambda: share)
    pace.reserve(100.0)

    assert pace.reserve(100.0) == pytest.approx(second)


@given(
    rate=st.integers(1, 50),
    steps=st.lists(st.floats(0, 0.5, allow_nan=False), min_size=1, max_size=200),
)
def test_no_second_exceeds_the_rate(rate: int, steps: list[float]) -> None:
    """Over any span, at most a burst and what the span itself allows, however mails come."""
    pace, now, sent = Pace(float(rate), lambda: 1.0), 0.0, []
    for step in steps:
        now += step
        sent.append(now + pace.reserve(now))

    assert sent == sorted(sent)
    for first in range(0, len(sent), 7):
        for last in range(first, len(sent), 5):
            allowed = rate + rate * (sent[last] - sent[first])
            assert last - first + 1 <= allowed + 1e-6
