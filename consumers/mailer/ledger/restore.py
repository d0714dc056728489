"""Restoring lanes: a thread brings their stores up to date, one after another.

::

    queued -> restoring -> handed over
       |          |
       +-----> cancelled
"""

import queue
import threading
from collections.abc import Callable
from enum import Enum
from typing import Final

from consumers.mailer.ledger.catch_up import CatchUp, RestorerParts
from consumers.mailer.ledger.store import LaneStore, StoreBusy, StoreFault
from runtime.clock import Deadline
from runtime.kafka.errors import KafkaFault
from runtime.logs import get_logger

__all__ = ["RestoreFailed", "Restorer", "RestorerParts", "Ticket"]

_log = get_logger("restore")

#: The longest pause between attempts, in seconds.
_LONGEST_PAUSE: Final = 5.0
#: How often a disk that fails is tried before the restore is given up.
_DISK_ATTEMPTS: Final = 3
#: What is in the way is told again after so many seconds.
_TELL_SECONDS: Final = 60.0


class RestoreFailed(Exception):
    """A lane cannot be restored on this host; the message says why."""

    def __init__(self, lane: int, reason: str) -> None:
        super().__init__(f"lane {lane} cannot be restored: {reason}")
        self.lane = lane


Done = Callable[[LaneStore | RestoreFailed], None]


class _Turn(Enum):
    WAITED_FOR = 1
    HANDED_OVER = 2
    CANCELLED = 3


class Ticket:
    """One lane's place in the queue."""

    def __init__(self, lane: int, done: Done) -> None:
        self.lane = lane
        self._done = done
        self._turn = _Turn.WAITED_FOR
        self._deciding = threading.Lock()
        self._cancelled = threading.Event()

    def cancel(self) -> bool:
        """Give the lane up, from any thread; tell whether that came in time.

        If so `done` is never called, and the store is closed within moments. If not, `done` has
        been called or is being called, and who gets the store has to close it.
        """
        with self._deciding:
            if self._turn is _Turn.WAITED_FOR:
                self._turn = _Turn.CANCELLED
                self._cancelled.set()
            return self._turn is _Turn.CANCELLED

    def stopped(self) -> bool:
        """Tell whether the lane was given up."""
        return self._cancelled.is_set()

    def wait(self, seconds: float) -> None:
        """Return after so many seconds, or when the lane is given up."""
        self._cancelled.wait(seconds)

    def hand_over(self, result: LaneStore | RestoreFailed) -> bool:
        """Call `done` unless the lane was given up; tell whether it was called."""
        with self._deciding:
            if self._turn is not _Turn.WAITED_FOR:
                return False
            self._turn = _Turn.HANDED_OVER
        self._done(result)
        return True


class Restorer:
    """Restores lanes in the order in which it is asked to, in one daemon thread of its own.

    A broker or a predecessor that is in the way is waited for, however long it takes. Only a disk
    that fails again and again, or a fault of our own code, hands over a `RestoreFailed`.
    """

    def __init__(self, parts: RestorerParts) -> None:
        """Start the thread."""
        self._with = parts
        self._queue: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._current: Ticket | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="restorer", daemon=True)
        self._thread.start()

    def restore(self, lane: int, done: Done) -> Ticket:
        """Queue a lane; `done` gets its store in the restorer's thread, once."""
        ticket = Ticket(lane, done)
        self._queue.put(ticket)
        return ticket

    def close(self, seconds: float) -> bool:
        """Give up every lane that is not handed over; tell whether the thread ended in time."""
        self._closing.set()
        current = self._current
        if current is not None:
            current.cancel()
        self._queue.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (ticket := self._next()) is not None:
            self._current = ticket
            if self._closing.is_set():
                ticket.cancel()
            if not ticket.stopped():
                self._serve(ticket)
            self._current = None
        self._with.reader.close()

    def _next(self) -> Ticket | None:
        try:
            return self._queue.get_nowait()
        except queue.Empty:
            # Nobody waits, so nobody needs the connection.
            self._with.reader.close()
            return self._queue.get()

    def _serve(self, ticket: Ticket) -> None:
        catch_up = CatchUp(self._with, ticket.lane, ticket.stopped)
        result: LaneStore | RestoreFailed | None = None
        try:
            result = self._restored(ticket, catch_up)
            handed_over = result is not None and ticket.hand_over(result)
        except Exception as error:  # noqa: BLE001 - a thread's boundary: whoever waits is told
            _log.error("lane.restore_failed", lane=ticket.lane, exc_info=True)
            handed_over = ticket.hand_over(RestoreFailed(ticket.lane, str(error)))
        catch_up.abandon()
        if isinstance(result, LaneStore) and not handed_over:
            result.close()

    def _restored(self, ticket: Ticket, catch_up: CatchUp) -> LaneStore | RestoreFailed | None:
        """Attempt it until it is done or given up; tell what is in the way."""
        told: dict[type[Exception], Deadline] = {}
        pause, disk_faults = self._with.pause_seconds, 0
        while not ticket.stopped():
            try:
                return catch_up.attempt()
            except (KafkaFault, StoreFault) as fault:
                silence = told.get(type(fault))
                if silence is None or silence.expired():
                    told[type(fault)] = Deadline(self._with.clock, _TELL_SECONDS)
                    _log.warning("lane.restore_waits", lane=ticket.lane, reason=str(fault))
                if isinstance(fault, StoreFault) and not isinstance(fault, StoreBusy):
                    disk_faults += 1
                    catch_up.abandon()
                if disk_faults == _DISK_ATTEMPTS:
                    return RestoreFailed(ticket.lane, str(fault))
            ticket.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return None
