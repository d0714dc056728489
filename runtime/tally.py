"""A distribution that is added up in plain numbers, for what happens too often to be locked."""

from bisect import bisect_left
from collections.abc import Sequence


class Tally:
    """Counts amounts by upper bounds. One thread adds, any reads: a moment may be half there."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` ascend; what is beyond the last one is counted, too."""
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, amount: float) -> None:
        """Count one amount, which is not below zero."""
        self.counts[bisect_left(self.bounds, amount)] += 1
        self.total += amount
