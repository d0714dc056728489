"""A first signal asks the process to finish, a second one ends it; a closed pipe is a signal."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine

import pytest
import uvloop

from runtime.lifecycle import StopSignal

Runner = Callable[[Coroutine[None, None, None]], None]


def _send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    """Both event loops that the project may run on."""
    runner: Runner = request.param
    return runner


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait(run: Runner, number: signal.Signals) -> None:
    """Either signal sets the event and is its reason."""

    async def scenario() -> None:
        async with StopSignal() as stop:
            _send(number)
            await asyncio.wait_for(stop.wait(), 5)
            assert stop.is_set()
            assert stop.reason == number.name

    run(scenario())


def test_a_second_signal_ends_the_process_at_once(run: Runner) -> None:
    """Who signals twice does not want to wait for the drain."""

    async def scenario() -> None:
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        async with StopSignal(exit_now=ended.set_result) as stop:
            _send(signal.SIGTERM)
            await asyncio.wait_for(stop.wait(), 5)
            _send(signal.SIGINT)
            assert await asyncio.wait_for(ended, 5) == 1

    run(scenario())


def test_the_handlers_of_before_are_back_afterwards(run: Runner) -> None:
    """Whoever handled signals before handles them again."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    seen: list[int] = []

    def mine(number: int, _frame: object) -> None:
        seen.append(number)

    async def scenario() -> None:
        async with StopSignal():
            pass
        assert signal.getsignal(signal.SIGTERM) is mine
        _send(signal.SIGTERM)

    signal.signal(signal.SIGTERM, mine)
    try:
        run(scenario())
        assert seen == [signal.SIGTERM]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_the_first_reason_stays(run: Runner) -> None:
    """Code may stop the process as a signal does; later reasons change nothing."""

    async def scenario() -> None:
        async with StopSignal() as stop:
            stop.set("the reader failed")
            stop.set("another")
            await stop.wait()
            assert stop.reason == "the reader failed"

    run(scenario())


_CHILD = """
import asyncio
from runtime.lifecycle import StopSignal, stop_when_closed

async def main():
    async with StopSignal() as stop:
        stop_when_closed(0)
        print("ready", flush=True)
        await stop.wait()
        print(stop.reason, flush=True)

asyncio.run(main())
"""


def test_a_child_stops_gracefully_when_its_supervisor_s_pipe_closes() -> None:
    """Bytes on the pipe mean nothing; its end means SIGTERM."""
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.stdin.write("still here\n")
        child.stdin.close()
        assert child.stdout.readline() == "SIGTERM\n"
        assert child.wait(10) == 0
