"""Keeps a number of worker processes running: starts them again with back-off, stops them in order.

A child ends when its standard input closes, so none outlives a supervisor that was killed.
"""

import asyncio
import asyncio.subprocess
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from runtime.clock import Clock
from runtime.lifecycle import StopSignal
from runtime.logs import get_logger

_log = get_logger("supervisor")

#: A child that ran this long was healthy: its next restart waits the least again. Seconds.
_HEALTHY_SECONDS: Final = 60.0
_LEAST_PAUSE_SECONDS: Final = 0.5
_MOST_PAUSE_SECONDS: Final = 30.0
#: Beyond the drain, a child gets this long before it is killed. Seconds.
_KILL_MARGIN_SECONDS: Final = 15.0
#: The exit code for settings that cannot work: starting again would not help.
_UNUSABLE: Final = 2


def restart_pause(failures: int) -> float:
    """Return the seconds to wait before a restart after so many failures in a row (from 1)."""
    return float(min(_MOST_PAUSE_SECONDS, _LEAST_PAUSE_SECONDS * 2 ** (min(failures, 10) - 1)))


@dataclass(frozen=True, slots=True)
class Supervision:
    """What to run: the command of one worker, how many of it, and how long each may drain."""

    command: Sequence[str]
    processes: int
    drain_seconds: float


async def supervise(what: Supervision, clock: Clock) -> int:
    """Run until SIGTERM or SIGINT, and return the exit code.

    0 after a graceful stop; 1 where a child had to be killed; a child's own code where it says
    that its settings cannot work.
    """
    async with StopSignal() as stop:
        keepers = [
            asyncio.create_task(_keep(what, number, stop, clock))
            for number in range(what.processes)
        ]
        codes = await asyncio.gather(*keepers)
    return max(codes)


async def _keep(what: Supervision, number: int, stop: StopSignal, clock: Clock) -> int:
    failures = 0
    while True:
        began = clock.monotonic()
        child = await asyncio.create_subprocess_exec(
            *what.command, stdin=asyncio.subprocess.PIPE, process_group=0
        )
        _log.info("worker.spawned", worker=number, pid=child.pid)
        code = await _until_ended(child, stop, what.drain_seconds + _KILL_MARGIN_SECONDS)
        if stop.is_set():
            # A worker that has not begun knows nothing of our signal yet, and has nothing in hand.
            return 0 if code in (0, -signal.SIGTERM) else 1
        if code == _UNUSABLE:
            stop.set("a worker cannot use its settings")
            return code
        failures = 1 if clock.monotonic() - began > _HEALTHY_SECONDS else failures + 1
        pause = restart_pause(failures)
        _log.error("worker.died", worker=number, exit_code=code, restart_in_seconds=pause)
        if await _stopped_within(stop, pause):
            return 0


async def _until_ended(child: asyncio.subprocess.Process, stop: StopSignal, patience: float) -> int:
    """Return the child's exit code; once we are to stop, make it stop too."""
    ended = asyncio.create_task(child.wait())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not ended.done():
        child.terminate()
        _, late = await asyncio.wait((ended,), timeout=patience)
        if late:
            _log.error("worker.killed", pid=child.pid, waited_seconds=patience)
            child.kill()
    return await ended


async def _stopped_within(stop: StopSignal, seconds: float) -> bool:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True
