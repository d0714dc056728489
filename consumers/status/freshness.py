"""Up to which moment the status view knows everything."""

from collections.abc import Mapping

from runtime.kafka.records import Partition


class Freshness:
    """Milliseconds since the epoch. One thread feeds it, any may ask.

    A partition that is read to its end is known up to now; of another one, up to when its last
    record that was read was written. What was never heard of is known up to `began`.
    """

    def __init__(self, began: int) -> None:
        self._began = began
        self._known: dict[Partition, int] = {}
        self._oldest = began

    def took(
        self, behind: Mapping[Partition, int], last: Mapping[Partition, int], now: int
    ) -> None:
        """Take note of what was read: what each partition still has, and its last record's time."""
        for partition, left in behind.items():
            before = self._known.get(partition, self._began)
            self._known[partition] = max(before, last.get(partition, 0)) if left else now
        self._oldest = min(self._known.values(), default=now)

    def seconds(self, now: int) -> float:
        """Return for how long the view has not known everything."""
        return max(0, now - self._oldest) / 1000
