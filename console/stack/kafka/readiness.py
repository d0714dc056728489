"""Asks a broker on a loopback port for its metadata, in the few bytes that takes."""

import socket
import struct
from typing import Final

_METADATA, _VERSION, _CORRELATION = 3, 1, 1
_CLIENT: Final = b"mailcascade-readiness"
_TIMEOUT_SECONDS: Final = 2.0
_MAX_ANSWER: Final = 1 << 20


def answers(host: str, port: int) -> bool:
    """Tell whether the broker is up: it names at least one broker (itself) when asked.

    An open port alone is not enough; the listener opens before the broker has joined its cluster.
    """
    try:
        with socket.create_connection((host, port), _TIMEOUT_SECONDS) as connection:
            connection.sendall(_request())
            return _brokers_in(connection) > 0
    except OSError:
        return False


def _request() -> bytes:
    header = struct.pack(">hhih", _METADATA, _VERSION, _CORRELATION, len(_CLIENT)) + _CLIENT
    no_topics = struct.pack(">i", 0)
    body = header + no_topics
    return struct.pack(">i", len(body)) + body


def _brokers_in(connection: socket.socket) -> int:
    size, correlation, brokers = struct.unpack(">iii", _exactly(connection, 12))
    if correlation != _CORRELATION or not 0 < size <= _MAX_ANSWER:
        raise ConnectionError("what answers is not Kafka")
    return int(brokers)


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            raise ConnectionError("closed before the answer was complete")
        received += part
    return received
