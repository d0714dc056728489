"""Tells of something that should come again and again whether it still does."""

from runtime.clock import Clock


class Pulse:
    """The pulse of one process. Whoever does its work beats, any thread may feel it."""

    def __init__(self, clock: Clock, patience_seconds: float) -> None:
        """Without a beat for `patience_seconds` the process is taken for dead."""
        self._clock = clock
        self._patience = patience_seconds
        self._at = clock.monotonic()

    def beat(self) -> None:
        """Tell that the work goes on."""
        self._at = self._clock.monotonic()

    def missing(self) -> str:
        """Return for how long nothing has moved, if that is too long; else an empty text."""
        silent = self._clock.monotonic() - self._at
        return f"nothing has moved for {silent:.0f} s" if silent > self._patience else ""
