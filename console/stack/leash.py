"""Runs a command that the kernel ends when its parent ends: `leash.py PARENT_PID COMMAND...`.

A script of its own, because code between fork and exec is unsafe in a process with threads. The
wish survives exec. It is tied to the parent's thread that started the command, so that thread has
to live as long as the command should.
"""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def main(arguments: list[str]) -> None:
    """Ask for the signal, then become the command."""
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(f"the parent of {command[0]} ended before it began")
    try:
        os.execvp(command[0], command)  # noqa: S606 - a list of arguments, no shell
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
