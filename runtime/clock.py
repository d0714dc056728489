"""Time as a collaborator, so that every decision can be tested with a clock set by hand."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the code may ask about time."""

    def now_ms(self) -> int:
        """Wall clock: milliseconds since the Unix epoch. May jump; used for due times."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; used for deadlines and durations."""


class SystemClock:
    """The machine's own clocks."""

    #: Asked some ten times for each mail, so without a method's call around it.
    monotonic = staticmethod(time.monotonic)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class Deadline:
    """One budget of seconds that several blocking steps share."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds that are left, never below zero."""
        return max(0.0, self._end - self._clock.monotonic())

    def expired(self) -> bool:
        """Tell whether the budget is used up."""
        return self.remaining() == 0.0
