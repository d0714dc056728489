"""Ctrl-C, SIGTERM and SIGHUP for a command that owns processes: end them in order, then end."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Final, Self

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_Handler = Callable[[int, FrameType | None], object] | int | None


class Interrupts:
    """A context manager for the main thread in which these signals raise KeyboardInterrupt.

    Not inside `shielded`: there the exception waits for the end of the block. And not any more
    after `hurry_with`: whoever asks again while all is being stopped wants it to be quick.
    """

    def __init__(self) -> None:
        self._previous: dict[signal.Signals, _Handler] = {}
        self._notify: Callable[[], object] | None = None
        self._pending = False
        self._hurry: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._received)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    @contextmanager
    def shielded(self, notify: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Hold the exception back until the end of the block; `notify` is called at once.

        For a child that is being started and noted down, and for an event loop, which an
        exception at any point would leave in pieces.
        """
        self._notify = notify
        try:
            yield
        finally:
            self._notify = None
            if self._pending:
                self._pending = False
                raise KeyboardInterrupt

    def hurry_with(self, hurry: Callable[[], None]) -> None:
        """From here on, call this at each signal instead of raising."""
        self._hurry = hurry

    def _received(self, number: int, frame: FrameType | None) -> None:
        if self._hurry is not None:
            self._hurry()
        elif self._notify is not None:
            self._pending = True
            self._notify()
        else:
            raise KeyboardInterrupt
