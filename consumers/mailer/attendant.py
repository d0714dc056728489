"""Has the event loop attend to something for another thread, until it is done."""

import asyncio
import threading
from collections.abc import Callable
from typing import Final

#: Pause between two looks, in seconds.
_PAUSE_SECONDS: Final = 0.001


class LoopAttendant:
    """Looks on the loop, for any thread but the loop's own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Call `done` on the loop until it says so; False if it has not within so many seconds.

        It is not called any more once this has returned, but for a call that is under way.
        """
        told = threading.Event()
        given_up = False

        def look() -> None:
            if given_up:
                return
            if done():
                told.set()
            else:
                self._loop.call_later(_PAUSE_SECONDS, look)

        self._loop.call_soon_threadsafe(self._loop.call_later, _PAUSE_SECONDS, look)
        if told.wait(seconds):
            return True
        given_up = True
        return False
