"""What the figures were measured on, in one line; without it they mean nothing."""

import os
import platform
import re
import time
from pathlib import Path


def describe(kafka: str) -> str:
    """Return the date, the processor, the operating system, the versions, and how busy it is."""
    parts = [
        time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        f"{len(os.sched_getaffinity(0))} cores of {_processor()}",
        f"{_memory_gib():.0f} GiB",
        f"{platform.system()} {platform.release()}",
        f"{platform.python_implementation()} {platform.python_version()}",
        kafka,
        f"load {os.getloadavg()[0]:.1f} before the run",
    ]
    return ", ".join(parts)


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
