"""Clocks for tests: one that moves only when a test says so, and one that is ahead."""

from runtime.clock import SystemClock


class ManualClock:
    """Both of its clocks stand at `now_ms` until they are moved."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return self._now_ms / 1000

    def advance(self, seconds: float) -> None:
        """Let time pass: whole milliseconds, and one at least, or a deadline would never come."""
        self._now_ms += max(round(seconds * 1000), int(seconds > 0))

    async def sleep(self, seconds: float) -> None:
        """Pass for `asyncio.sleep`: the time is over at once."""
        self.advance(seconds)


class ClockAhead(SystemClock):
    """The machine's clocks, of which the one that others see is ahead by so many milliseconds."""

    def __init__(self, ahead_ms: int) -> None:
        self._ahead_ms = ahead_ms

    def now_ms(self) -> int:
        return super().now_ms() + self._ahead_ms
