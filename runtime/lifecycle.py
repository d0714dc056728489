"""How a process is told to stop: once to finish what it has in hand, twice to stop at once."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Final, Self

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_Handler = Callable[[int, FrameType | None], object] | int | None


class StopSignal:
    """An event that SIGTERM and SIGINT set; a second signal ends the process with code 1.

    An asynchronous context manager for the main thread's event loop. The handlers that were there
    before are back when it is left.
    """

    def __init__(self, exit_now: Callable[[int], object] = os._exit) -> None:
        self._exit_now = exit_now
        self._event = asyncio.Event()
        self._previous: dict[signal.Signals, _Handler] = {}
        self.reason: str | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            self._previous[number] = signal.getsignal(number)
            loop.add_signal_handler(number, self._received, number)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        for number, handler in self._previous.items():
            loop.remove_signal_handler(number)
            # None stands for a handler that was not set from Python; it cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    async def wait(self) -> None:
        """Return when the process is to stop."""
        await self._event.wait()

    def is_set(self) -> bool:
        """Tell whether the process is to stop."""
        return self._event.is_set()

    def set(self, reason: str = "requested") -> None:
        """Stop as if a signal had come; the first reason stays."""
        if not self._event.is_set():
            self.reason = reason
            self._event.set()

    def _received(self, number: signal.Signals) -> None:
        if self._event.is_set():
            self._exit_now(1)
        else:
            self.set(number.name)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a thread's work ended: why it was stopped, if it was, and whether it had to be cut off.

    `failure` is what it raised.
    """

    reason: str | None
    cut_off: bool
    failure: BaseException | None


async def run_in_thread(
    name: str, work: Callable[[], object], stop: Callable[[], object], patience_seconds: float
) -> Ended:
    """Run `work` in a thread until it ends, or until SIGTERM or SIGINT; these call `stop`.

    `work` then has `patience_seconds` to return. One that hangs does not hold back the process.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a thread's boundary: told to who waits
            failures.append(error)
        loop.call_soon_threadsafe(ended.set)

    async with StopSignal() as signalled:
        threading.Thread(target=run, name=name, daemon=True).start()
        stopping = asyncio.ensure_future(signalled.wait())
        ending = asyncio.ensure_future(ended.wait())
        await asyncio.wait((stopping, ending), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        stop()
        _, hanging = await asyncio.wait((ending,), timeout=patience_seconds)
    return Ended(signalled.reason, bool(hanging), failures[0] if failures else None)


def stop_when_closed(descriptor: int) -> None:
    """Send this process a SIGTERM when the pipe that `descriptor` reads reaches its end.

    For the child of a supervisor that holds the other end: however the supervisor dies, the pipe
    closes with it and the child stops gracefully instead of outliving it.
    """

    def watch() -> None:
        while os.read(descriptor, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="stop-when-closed", daemon=True).start()
