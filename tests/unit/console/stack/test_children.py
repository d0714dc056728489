"""Child processes: how they end, and that they end with their parent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from console.stack.children import Child, ChildSpec, tail
from tests.support.processes import is_running
from tests.support.wait import wait_until

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("on", flush=True)
time.sleep(60)
"""

PARENT = """
import sys, time
from pathlib import Path
from console.stack.children import Child, ChildSpec
command = [sys.executable, "-c", "import time; time.sleep(60)"]
print(Child(ChildSpec("child", command, Path(sys.argv[1]))).pid, flush=True)
time.sleep(60)
"""


def spec(log: Path, code: str, grace: float = 10.0) -> ChildSpec:
    """Return a child that runs Python code."""
    return ChildSpec("child", [sys.executable, "-c", code], log, grace=grace)


def test_stop_ends_a_child_by_sigterm(tmp_path: Path) -> None:
    """A child that does nothing about SIGTERM ends by it, and its exit code says so."""
    with Child(spec(tmp_path / "log", "import time; time.sleep(60)")) as child:
        assert child.exit_code() is None
        assert child.stop() == -signal.SIGTERM


def test_stop_kills_a_child_that_ignores_sigterm(tmp_path: Path) -> None:
    """When the grace is over, SIGKILL ends it."""
    log = tmp_path / "log"
    with Child(spec(log, STUBBORN, grace=0.2)) as child:
        wait_until(lambda: "on" in tail(log, 1))
        assert child.stop() == -signal.SIGKILL


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """No handler runs in a parent that gets SIGKILL; the leash holds all the same."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert is_running(child)
        os.kill(process.pid, signal.SIGKILL)

    wait_until(lambda: not is_running(child), timeout=5)


def test_a_command_that_does_not_exist_says_so_in_the_log(tmp_path: Path) -> None:
    """The reason is where people look for it."""
    log = tmp_path / "log"
    with Child(ChildSpec("child", ["no-such-command"], log)) as child:
        wait_until(lambda: child.exit_code() is not None)

        assert child.exit_code() == 1
        assert "cannot run no-such-command" in child.last_lines()


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    """Long logs are not read as a whole, missing ones are empty."""
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(10_000)))

    assert tail(log, 2) == "line 9998\nline 9999"
    assert tail(tmp_path / "none", 2) == ""


def test_kill_ends_descendants_with_process_groups_of_their_own(tmp_path: Path) -> None:
    """A supervisor's children are in its session, whatever groups it puts them into."""
    log = tmp_path / "log"
    code = (
        "import subprocess, sys, time\n"
        "command = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "print(subprocess.Popen(command, process_group=0).pid, flush=True)\n"
        "time.sleep(60)"
    )
    with Child(spec(log, code)) as child:
        wait_until(lambda: tail(log, 1).isdigit())
        grandchild = int(tail(log, 1))
        child.kill()

        wait_until(lambda: not is_running(grandchild), timeout=5)
