"""Arbitrary due times on a few fixed tiers: a record climbs down until its time has come."""

from collections.abc import Sequence

from retry_topics.topology import Tier


def ladder(now: int, due_at: int, tiers: Sequence[Tier]) -> Tier:
    """Return the tier in which a record that is due at `due_at` waits next.

    The largest tier that is not longer than what is left, so that no stay passes the due time;
    the smallest one for the rest. `tiers` ascend and are not empty; instants in milliseconds.
    """
    left = due_at - now
    fitting = [tier for tier in tiers if tier.delay_ms <= left]
    return fitting[-1] if fitting else tiers[0]


def stay_ends(entered_at: int, due_at: int, tier: Tier) -> int:
    """Return when a record leaves the tier: when due, or at the latest after the tier's delay.

    The bound protects a partition from a due time that is far away or wrong: whoever stays that
    long and is still not due goes through the ladder again (see `ladder`).
    """
    return min(due_at, entered_at + tier.delay_ms)
