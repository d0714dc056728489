"""A cheap HTTP/1.1 load generator: keep-alive connections, one request at a time on each.

One thread over epoll and plain sockets: it has to leave the machine to what is measured.
"""

import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

_END = b"\r\n\r\n"
_RECEIVE = 65536


@dataclass(frozen=True, slots=True)
class Load:
    """What was answered: requests per second, and every status but the expected one."""

    requests: int
    seconds: float
    unexpected: tuple[int, ...]

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)

    def status(self) -> int | None:
        """Return the status of a complete answer and forget it; None while it is not complete."""
        head_end = self.received.find(_END)
        if head_end < 0:
            return None
        head = bytes(self.received[:head_end])
        _, _, rest = head.partition(b"content-length: ")
        if len(self.received) < head_end + len(_END) + int(rest.partition(b"\r\n")[0]):
            return None
        self.received.clear()
        return int(head[9:12])


def post(path: str, body: bytes, content_type: str = "application/json") -> bytes:
    """Return the bytes of a request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def drive(
    port: int, requests: Iterator[bytes], seconds: float, connections: int = 32, expect: int = 202
) -> Load:
    """Send requests for so many seconds; the next on a connection when the last was answered."""
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        raw = socket.create_connection(("127.0.0.1", port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.sendall(next(requests))
        selector.register(raw, selectors.EVENT_READ, _Connection(raw))
    started = time.perf_counter()
    answered, unexpected = _exchange(selector, requests, started + seconds, expect)
    took = time.perf_counter() - started
    for key in list(selector.get_map().values()):
        key.data.socket.close()
    selector.close()
    return Load(answered, took, tuple(unexpected))


def _exchange(
    selector: selectors.BaseSelector, requests: Iterator[bytes], end: float, expect: int
) -> tuple[int, list[int]]:
    answered, unexpected = 0, []
    while time.perf_counter() < end:
        for key, _ in selector.select(1.0):
            connection: _Connection = key.data
            chunk = connection.socket.recv(_RECEIVE)
            if not chunk:
                raise ConnectionError("the server closed a connection")
            connection.received += chunk
            status = connection.status()
            if status is None:
                continue
            answered += 1
            if status != expect:
                unexpected.append(status)
            connection.socket.sendall(next(requests))
    return answered, unexpected
