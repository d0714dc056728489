"""The records of one partition that were read and have not begun, each with its time.

Owned by the poll thread. Whichever is due first begins first, so that a record never waits for one
before it that is due later. The feed also says when its partition should be paused: a bounded
number waits in memory, and seeking is never needed.
"""

import heapq
from collections import deque
from collections.abc import Callable
from operator import attrgetter

from runtime.kafka.records import Record


class Feed:
    """One partition's waiting records, and whether the partition is paused for them.

    `high` records in memory pause the partition, `low` resume it.
    """

    def __init__(self, high: int, low: int) -> None:
        #: What may begin at once, in its order; most records do.
        self._ready: deque[Record] = deque()
        self._waiting: list[tuple[int, int, Record]] = []
        self._high = high
        self._low = low
        self.paused = False

    def __len__(self) -> int:
        return len(self._ready) + len(self._waiting)

    def push(self, record: Record, wake_at: int) -> None:
        """Add a record that may begin at `wake_at`, 0 for at once. They come in their order."""
        if wake_at:
            heapq.heappush(self._waiting, (wake_at, record.offset, record))
        else:
            self._ready.append(record)

    def change(self, wake_at: Callable[[Record], int]) -> None:
        """Have every record begin when `wake_at` now says."""
        records = [*self._ready, *(record for _, _, record in self._waiting)]
        records.sort(key=attrgetter("offset"))
        self._ready.clear()
        self._waiting.clear()
        for record in records:
            self.push(record, wake_at(record))

    def next_wake(self) -> int | None:
        """Return when the next record may begin, None for an empty feed."""
        if self._ready:
            return 0
        return self._waiting[0][0] if self._waiting else None

    def pop_due(self, now: int) -> Record | None:
        """Remove and return the next record if it may begin at `now`; of equals the older one."""
        if self._ready:
            return self._ready.popleft()
        if self._waiting and self._waiting[0][0] <= now:
            return heapq.heappop(self._waiting)[2]
        return None

    def wants_pause(self) -> bool:
        """Tell whether the partition should be paused now; the caller pauses it and says so."""
        return not self.paused and len(self) >= self._high

    def wants_resume(self) -> bool:
        """Tell whether the paused partition should be read on."""
        return self.paused and len(self) <= self._low
