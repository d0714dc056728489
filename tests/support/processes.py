"""Which processes there are, so that a test can claim it left none."""

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.wait import wait_until

_PROC = Path("/proc")


def children() -> set[int]:
    """Return the running direct children of this process; empty where there is no /proc."""
    found: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(int(pid) for pid in task.read_text().split())
        except FileNotFoundError:
            continue  # the thread has ended since it was listed
    return {pid for pid in found if not _is_zombie(pid) and not _is_python_helper(pid)}


def processes_with(marker: str) -> dict[int, str]:
    """Return the command line of every other process that has the text in it or in its environment.

    Finds orphans, too, whoever their parent has become.
    """
    needle = marker.encode()
    found: dict[int, str] = {}
    for entry in _PROC.glob("[0-9]*"):
        pid = int(entry.name)
        if pid == os.getpid():
            continue
        command = _read(pid, "cmdline")
        if needle in command or needle in _read(pid, "environ"):
            found[pid] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return {pid: command for pid, command in found.items() if not _is_zombie(pid)}


def command_line(pid: int) -> str:
    """Return what a process runs, empty when it has ended."""
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def is_running(pid: int) -> bool:
    """Tell whether there is such a process that has not ended."""
    return bool(_read(pid, "stat")) and not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    state = _read(pid, "stat").rpartition(b")")[2].split()
    return not state or state[0] == b"Z"


def _is_python_helper(pid: int) -> bool:
    return b"multiprocessing.resource_tracker" in _read(pid, "cmdline")


def _read(pid: int, name: str) -> bytes:
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


class Command:
    """A running `mailcascade ...`, its output line by line, and whatever it starts.

    A context manager; at its end the command is killed if it still runs.
    """

    def __init__(self, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        self._mark = f"mark-{uuid.uuid4().hex}"
        variables = {**os.environ, **(environ or {}), "TESTS_MARK": self._mark}
        variables["COLUMNS"] = "100"
        command = [sys.executable, "-P", "-m", "console", *arguments]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def output(self) -> str:
        """What it has printed, both streams together."""
        return "".join(self._lines)

    def wait_for(self, text: str, timeout: float = 90.0) -> None:
        """Return when it has printed the text; fail when it ends or takes too long."""
        wait_until(
            lambda: text in self.output or self._process.poll() is not None, timeout, repr(text)
        )
        self._reader.join(0.1)
        assert text in self.output, self.output

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def exit_code(self, timeout: float = 120.0) -> int:
        """Return how it ended, once it has and all of its output is there."""
        code = self._process.wait(timeout)
        self._reader.join(10)
        return code

    def left_behind(self) -> dict[int, str]:
        """Return the processes that it started, at any remove, and that still run."""
        return {
            pid: line
            for pid, line in processes_with(self._mark).items()
            if pid != self._process.pid or self._process.poll() is None
        }

    def find(self, text: str) -> int:
        """Return the process among those that it started whose command line has the text."""
        (pid,) = (pid for pid, line in self.left_behind().items() if text in line)
        return pid

    def _read(self) -> None:
        if self._process.stdout is not None:
            self._lines.extend(iter(self._process.stdout.readline, ""))
