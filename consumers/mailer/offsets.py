"""Which offsets of one partition may be committed: the prefix in which every record is finished.

    UNSEEN --start--> RUNNING --finish--> DONE --take--> handed to the committer
                         |
                         +----give_up---> never committed: it and what is behind it stay

Owned by the poll thread; no locks, no clock. The gap rule: an offset that was never read (a
transaction marker, an aborted or compacted record) counts as finished, so a prefix ends at the
record before the first one that still runs.
"""

from collections import deque
from typing import Generic, TypeVar

Result = TypeVar("Result")


class _Slot(Generic[Result]):
    __slots__ = ("done", "offset", "result")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.done = False
        self.result: Result | None = None


class OffsetTracker(Generic[Result]):
    """Tracks one partition of one assignment; a new assignment gets a new tracker."""

    def __init__(self) -> None:
        self._order: deque[_Slot[Result]] = deque()
        self._running: dict[int, _Slot[Result]] = {}
        self._last_started = -1

    @property
    def pending(self) -> int:
        """Records that were started and not yet handed to the committer."""
        return len(self._order)

    @property
    def running(self) -> int:
        """Records that were started and are not finished."""
        return len(self._running)

    def start(self, offset: int) -> None:
        """Begin a record.

        Raises:
            ValueError: the offset does not follow the last one that was started.
        """
        if offset <= self._last_started:
            raise ValueError(f"offset {offset} was started after {self._last_started}")
        self._last_started = offset
        slot: _Slot[Result] = _Slot(offset)
        self._order.append(slot)
        self._running[offset] = slot

    def finish(self, offset: int, result: Result) -> None:
        """End a running record with what it causes.

        Raises:
            KeyError: the offset is not running.
        """
        slot = self._running.pop(offset)
        slot.done = True
        slot.result = result

    def give_up(self, offset: int) -> None:
        """End a running record without a result: the prefix never reaches it.

        Raises:
            KeyError: the offset is not running.
        """
        del self._running[offset]

    def take(self) -> tuple[int, list[Result]] | None:
        """Remove and return the finished prefix: the next offset to commit, and its results.

        Returns None where the first record still runs or there is none.
        """
        results: list[Result] = []
        next_offset = 0
        order = self._order
        while order and order[0].done:
            slot = order.popleft()
            next_offset = slot.offset + 1
            if slot.result is not None:
                results.append(slot.result)
        return (next_offset, results) if next_offset else None
