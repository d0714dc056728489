"""Which processes there are, so that a test can claim it left none."""

import os
from pathlib import Path

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
