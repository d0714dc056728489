"""A relay that is far away and slow to accept, as a process: `python -m bench.distant_relay PORT`.

It answers what came together one round trip later, and later still if a mail ended in it. Nothing
else holds a mail up, so that what a client reaches can be worked out.
"""

import asyncio
import sys
from typing import Final

import uvloop

#: What commands and their replies are on their way, in seconds.
ROUND_TRIP_SECONDS: Final = 0.020
#: What the relay takes to accept a mail beside that, in seconds.
ACCEPTANCE_SECONDS: Final = 0.030

_END: Final = b"\r\n.\r\n"
_GREETING: Final = b"220 distant\r\n"
_OK: Final = b"250 2.0.0 OK\r\n"
_REPLIES: Final = {
    b"EHLO": b"250-distant\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n",
    b"MAIL": _OK,
    b"RCPT": _OK,
    b"RSET": _OK,
    b"NOOP": _OK,
    b"DATA": b"354 Go on\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
}


def mails_per_second(connections: int) -> float:
    """Return what so many connections can do.

    The next mail's envelope comes with the end of the one before it, so that a mail takes one round
    trip and its acceptance.
    """
    return connections / (ROUND_TRIP_SECONDS + ACCEPTANCE_SECONDS)


class DistantSession(asyncio.Protocol):
    """One client's session."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None
        self._received = bytearray()
        self._in_mail = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A loop of uvloop's has transports that are no subclasses of asyncio's.
        self._transport = transport  # type: ignore[assignment]
        self._reply(_GREETING, ROUND_TRIP_SECONDS)

    def data_received(self, data: bytes) -> None:
        self._received += data
        words, seconds = b"", ROUND_TRIP_SECONDS
        if self._in_mail:
            _, end, rest = self._received.partition(_END)
            if not end:
                return
            self._received, self._in_mail = rest, False
            words, seconds = _OK, seconds + ACCEPTANCE_SECONDS
        if self._received.endswith(b"\r\n"):
            verbs = [bytes(line[:4]).upper() for line in self._received.split(b"\r\n") if line]
            self._received.clear()
            self._in_mail = verbs[-1] == b"DATA"
            words += b"".join(_REPLIES.get(verb, b"500 5.5.1 What?\r\n") for verb in verbs)
        if words:
            self._reply(words, seconds)

    def _reply(self, words: bytes, seconds: float) -> None:
        if self._transport is not None:
            self._loop.call_later(seconds, self._transport.write, words)


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(DistantSession, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
