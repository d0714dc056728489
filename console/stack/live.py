"""One line that is kept up to date: redrawn on a terminal, printed now and then elsewhere."""

from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from runtime.clock import Clock

_PRINTED_EVERY_SECONDS: Final = 5.0


def status_line(accepted: int, sent: int, waiting: Mapping[str, int], dead: int) -> str:
    """Return the state of a pipeline in one line."""
    tiers = "  ".join(f"{label}: {count}" for label, count in waiting.items())
    return f"accepted {accepted} | sent {sent} | waiting  {tiers} | dead-lettered {dead}"


class LiveLine:
    """A context manager around the line."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._last = ""
        self._printed_at = clock.monotonic()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, line: str) -> None:
        """Show the line; without a terminal only if it changed, and not more often than that."""
        if self._live is not None:
            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
            return
        now = self._clock.monotonic()
        if line != self._last and now - self._printed_at >= _PRINTED_EVERY_SECONDS:
            self._console.print(Text(line), soft_wrap=True)
            self._last, self._printed_at = line, now
