"""Which loopback ports the stack's parts listen on."""

import errno
import random
import socket
from contextlib import closing
from typing import Final

HOST: Final = "127.0.0.1"

# Below the range from which the kernel takes a connection's own port. A client that keeps
# reconnecting to a stopped server's port in that range sooner or later connects to itself, and
# the server then cannot have its port back.
_FIRST, _LAST = 20_000, 32_000
_TRIES: Final = 200


class NoFreePort(OSError):
    """No free loopback port was found in the range."""


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the loopback port."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def free_ports(count: int) -> list[int]:
    """Return different loopback ports that nobody listens on at this moment.

    Raises:
        NoFreePort: too few were found.
    """
    found: list[int] = []
    for port in random.sample(range(_FIRST, _LAST), _TRIES):
        if len(found) == count:
            return found
        if is_free(port):
            found.append(port)
    raise NoFreePort(f"no {count} free ports between {_FIRST} and {_LAST} on {HOST}")
