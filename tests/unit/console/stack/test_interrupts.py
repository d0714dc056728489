"""Signals of a command that owns processes."""

import os
import signal

import pytest

from console.stack.interrupts import Interrupts


def send(number: signal.Signals) -> None:
    """Send a signal to this process; its handler runs before the next statement."""
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_raises_and_the_old_handlers_come_back(number: signal.Signals) -> None:
    """Outside the block nothing has changed."""
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), Interrupts():
        send(number)

    assert signal.getsignal(number) is before


def test_a_shield_holds_the_exception_back_and_tells_at_once() -> None:
    """What is in the block is finished; the exception comes at its end."""
    told: list[str] = []
    finished = False
    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:  # noqa: PT012
        with interrupts.shielded(lambda: told.append("told")):
            send(signal.SIGINT)
            finished = True
        pytest.fail("not reached")

    assert finished
    assert told == ["told"]


def test_once_all_is_being_stopped_a_signal_only_hurries() -> None:
    """Stopping is never broken off by impatience."""
    hurried: list[str] = []
    with Interrupts() as interrupts:
        interrupts.hurry_with(lambda: hurried.append("hurried"))
        send(signal.SIGINT)
        send(signal.SIGTERM)

    assert hurried == ["hurried", "hurried"]
