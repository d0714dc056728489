"""The records of one partition that were read and have not begun: in order, each with its time.

Owned by the poll thread. A tier's head waits until it is due and holds the ones behind it back, so
a partition's records begin in the order of their offsets. The feed also says when its partition
should be paused: a bounded number waits in memory, and seeking is never needed.
"""

from collections import deque

from runtime.kafka.records import Record


class Feed:
    """One partition's waiting records, and whether the partition is paused for them.

    `high` records in memory pause the partition, `low` resume it.
    """

    def __init__(self, high: int, low: int) -> None:
        self._waiting: deque[tuple[int, Record]] = deque()
        self._high = high
        self._low = low
        self.paused = False

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, record: Record, wake_at: int) -> None:
        """Add a record that may begin at `wake_at`."""
        self._waiting.append((wake_at, record))

    def next_wake(self) -> int | None:
        """Return when the head may begin, None for an empty feed."""
        return self._waiting[0][0] if self._waiting else None

    def pop_due(self, now: int) -> Record | None:
        """Remove and return the head if it may begin at `now`."""
        if self._waiting and self._waiting[0][0] <= now:
            return self._waiting.popleft()[1]
        return None

    def wants_pause(self) -> bool:
        """Tell whether the partition should be paused now; the caller pauses it and says so."""
        return not self.paused and len(self._waiting) >= self._high

    def wants_resume(self) -> bool:
        """Tell whether the paused partition should be read on."""
        return self.paused and len(self._waiting) <= self._low
