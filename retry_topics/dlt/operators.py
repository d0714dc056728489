"""Names for whoever works with dead-lettered records: processes and jobs."""

import os
import secrets
import socket
from typing import Final

_ID_BYTES: Final = 5


def process_name() -> str:
    """Return a name that no other process has: `host/pid/mark`."""
    return f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(3)}"


def is_gone(process: str) -> bool:
    """Tell whether a process of this host has ended; of other hosts nobody here knows."""
    host, _, rest = process.partition("/")
    number = rest.partition("/")[0]
    if host != socket.gethostname() or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def new_job_id() -> str:
    """Return a short id that no other job has."""
    return secrets.token_hex(_ID_BYTES)
