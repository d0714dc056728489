"""The stack's child processes: started on a leash, logging to a file, stopped in order."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_LEASH: Final = Path(__file__).with_name("leash.py")
_TAIL_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run. Without `environ` the child has ours; its output goes to `log`."""

    name: str
    command: Sequence[str]
    log: Path
    environ: Mapping[str, str] | None = None
    #: Seconds between SIGTERM and SIGKILL, which ends its whole session.
    grace: float = 30.0


class Child:
    """One running child in a session of its own.

    Ctrl-C in the terminal does not reach it, so the parent decides the order of stopping; the
    leash ends it with the parent whatever happens.
    """

    def __init__(self, spec: ChildSpec) -> None:
        """Start it. Its log is appended to, so a restart keeps what came before."""
        self.spec = spec
        leashed = [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *spec.command]
        with spec.log.open("ab") as log:
            self._process = subprocess.Popen(
                leashed,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if spec.environ is None else dict(spec.environ),
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id, which the command shares with its leash."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return how it ended (negative: by that signal), None while it runs."""
        return self._process.poll()

    def request_stop(self) -> None:
        """Send SIGTERM and return at once."""
        if self.exit_code() is None:
            self._process.terminate()

    def stop(self) -> int:
        """End it in order: SIGTERM, and `kill` when the grace is over."""
        self.request_stop()
        try:
            return self._process.wait(self.spec.grace)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it and its descendants at once with SIGKILL."""
        if self.exit_code() is None:
            _kill_session(self.pid)
        return self._process.wait()

    def last_lines(self, count: int = 20) -> str:
        """Return the last lines of its log."""
        return tail(self.spec.log, count)


def _kill_session(leader: int) -> None:
    """Kill every process of the session; descendants may have process groups of their own."""
    os.killpg(leader, signal.SIGKILL)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            session = int(stat.read_text().rpartition(")")[2].split()[3])
            if session == leader:
                os.kill(int(stat.parent.name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since it was listed


def tail(path: Path, count: int) -> str:
    """Return the last lines of a log, an empty text where there is no such file."""
    try:
        with path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-count:])
