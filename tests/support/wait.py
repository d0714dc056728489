"""Waiting for a condition instead of for a time."""

import asyncio
import time
from collections.abc import Callable

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.1


def wait_until(condition: Callable[[], object], timeout: float = 30.0, what: str = "") -> None:
    """Return as soon as the condition is true; fail the test when the seconds are over."""
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while not condition():
        if time.monotonic() >= deadline:
            raise AssertionError(_missed(what, timeout))
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


async def eventually(condition: Callable[[], object], within: float = 30.0, what: str = "") -> None:
    """Do the same in a coroutine, leaving the loop to others."""
    deadline = time.monotonic() + within
    pause = _FIRST_PAUSE
    while not condition():
        if time.monotonic() >= deadline:
            raise AssertionError(_missed(what, within))
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _missed(what: str, timeout: float) -> str:
    return f"{what or 'the condition'} did not come true within {timeout:g} s"
