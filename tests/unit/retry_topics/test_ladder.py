"""The delay ladder: arbitrary due times on fixed tiers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retry_topics.ladder import ladder, stay_ends
from retry_topics.topology import Tier, parse_tiers

TIERS = parse_tiers("1m,10m,1h")
MINUTE = 60_000

tier_lists = st.lists(st.integers(1, 10**8), min_size=1, max_size=6, unique=True).map(
    lambda delays: tuple(Tier(f"{delay}ms", delay) for delay in sorted(delays))
)


@pytest.mark.parametrize(
    ("left", "label"),
    [
        (24 * 60 * MINUTE, "1h"),
        (60 * MINUTE, "1h"),
        (60 * MINUTE - 1, "10m"),
        (10 * MINUTE, "10m"),
        (10 * MINUTE - 1, "1m"),
        (MINUTE, "1m"),
        (MINUTE - 1, "1m"),
        (0, "1m"),
        (-5 * MINUTE, "1m"),
    ],
)
def test_the_largest_tier_that_fits_is_taken(left: int, label: str) -> None:
    """A record waits in the largest tier not longer than what is left, else in the smallest."""
    assert ladder(1_000, 1_000 + left, TIERS).label == label


@given(tier_lists, st.integers(0, 10**12), st.integers(0, 10**10))
def test_climbing_down_ends_at_the_due_time_and_never_past_it(
    tiers: tuple[Tier, ...], now: int, wait: int
) -> None:
    """Hop by hop a record reaches its due time exactly, and each hop brings it nearer."""
    due_at = now + wait
    hops = 0
    while now < due_at and hops < 1_000:
        tier = ladder(now, due_at, tiers)
        after = stay_ends(now, due_at, tier)
        assert now < after <= due_at
        assert after - now <= tier.delay_ms
        now, hops = after, hops + 1
    assert now == due_at or hops == 1_000


@given(tier_lists, st.integers(0, 10**12), st.integers(0, 10**13))
def test_no_due_time_blocks_a_tier_for_longer_than_its_delay(
    tiers: tuple[Tier, ...], entered: int, due_at: int
) -> None:
    """Whatever a due time says, the stay in a tier ends after the tier's delay."""
    for tier in tiers:
        assert stay_ends(entered, due_at, tier) <= entered + tier.delay_ms
