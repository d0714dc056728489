"""What the latency's figures are made of."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bench.latency import Passage, arrivals, rows


@given(st.integers(0, 1_000))
def test_arrivals_ascend_and_end_in_time(seed: int) -> None:
    """Nobody comes before the one before, or after the end."""
    times = list(arrivals(50.0, 2.0, random.Random(seed)))

    assert all(earlier <= later for earlier, later in pairwise(times))
    assert all(0 <= at < 2.0 for at in times)


def test_arrivals_keep_the_rate() -> None:
    """200 a second for 50 s are 10,000, give or take four standard deviations of 100."""
    assert abs(sum(1 for _ in arrivals(200.0, 50.0, random.Random(1))) - 10_000) < 400


def test_the_warm_up_is_not_counted() -> None:
    """A slow mail of the first two seconds shows in no figure."""
    slow = [Passage(at / 10, at / 10 + 1, at / 10 + 5) for at in range(20)]
    counted = [Passage(at / 10, at / 10 + 0.002, at / 10 + 0.010) for at in range(20, 41)]

    assert rows(slow + counted) == [
        ("signups/s posted", "10"),
        ("POST to 202, p50 ms", "2.0"),
        ("POST to 202, p99 ms", "2.0"),
        ("POST to acceptance, p50 ms", "10.0"),
        ("POST to acceptance, p99 ms", "10.0"),
    ]
