"""Which offsets of one partition may be committed: the prefix in which every record is finished.

    UNSEEN --add--> WAITING --start--> RUNNING --finish--> DONE --take--> handed to the committer
                                          |
                                          +----give_up---> never committed: the prefix ends here

Owned by the poll thread; no locks, no clock. The gap rule: an offset that was never read (a
transaction marker, an aborted or compacted record) counts as finished, so a prefix ends at the
record before the first one that is not. The results of records behind the prefix need not wait for
it, where the ledger can tell their records when they are read again; their offsets do.
"""

from collections import deque
from typing import Generic, TypeVar

Result = TypeVar("Result")


class _Slot(Generic[Result]):
    __slots__ = ("done", "offset", "result", "started")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.started = False
        self.done = False
        self.result: Result | None = None


class OffsetTracker(Generic[Result]):
    """Tracks one partition of one assignment; a new assignment gets a new tracker."""

    def __init__(self) -> None:
        self._order: deque[_Slot[Result]] = deque()
        self._open: dict[int, _Slot[Result]] = {}
        self._ahead: list[Result] = []
        self._last = -1
        self._waiting = 0
        self._running = 0

    @property
    def pending(self) -> int:
        """Records that were started and that the prefix has not passed."""
        return len(self._order) - self._waiting

    @property
    def running(self) -> int:
        """Records that were started and are not finished."""
        return self._running

    @property
    def idle(self) -> bool:
        """Tell whether the prefix has passed everything that was added."""
        return not self._order

    @property
    def position(self) -> int | None:
        """The offset at which the prefix ends: the first record's that it has not passed."""
        return self._order[0].offset if self._order else None

    def add(self, offset: int) -> bool:
        """Take note of a record that was read; False for one that was added before.

        A client may go back, to the partition's beginning even, when it is paused and resumed while
        it still asks where to begin. It reads on from there without a gap.
        """
        if offset <= self._last:
            return False
        self._last = offset
        slot: _Slot[Result] = _Slot(offset)
        self._order.append(slot)
        self._open[offset] = slot
        self._waiting += 1
        return True

    def start(self, offset: int) -> None:
        """Begin a record that waits.

        Raises:
            KeyError: the offset does not wait.
        """
        slot = self._open[offset]
        if slot.started:
            raise KeyError(offset)
        slot.started = True
        self._waiting -= 1
        self._running += 1

    def finish(self, offset: int, result: Result, *, ahead: bool = False) -> None:
        """End a running record with what it causes; `ahead`: that may be taken before the prefix.

        Raises:
            KeyError: the offset is not running.
        """
        slot = self._end(offset)
        slot.done = True
        if ahead:
            self._ahead.append(result)
        else:
            slot.result = result

    def give_up(self, offset: int) -> None:
        """End a running record without a result: the prefix never reaches it.

        Raises:
            KeyError: the offset is not running.
        """
        self._end(offset)

    def take(self) -> tuple[int | None, list[Result]]:
        """Remove the finished prefix; return the next offset to commit, and all new results.

        The offset is None where the prefix has not moved.
        """
        results, self._ahead = self._ahead, []
        next_offset = None
        order = self._order
        while order and order[0].done:
            slot = order.popleft()
            next_offset = slot.offset + 1
            if slot.result is not None:
                results.append(slot.result)
        return next_offset, results

    def _end(self, offset: int) -> _Slot[Result]:
        slot = self._open[offset]
        if not slot.started:
            raise KeyError(offset)
        del self._open[offset]
        self._running -= 1
        return slot
