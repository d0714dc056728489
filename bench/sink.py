"""An SMTP server that takes every mail and tells when: as little work for each as there can be.

It announces no extension, so a client speaks one command at a time, as smtp-sink makes it do.
"""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Final

#: Told the recipient of each accepted mail, and when, in seconds of the monotonic clock.
Accepted = Callable[[str, float], None]

_END: Final = b"\r\n.\r\n"
_MAILBOX: Final = re.compile(rb"<([^>]*)>")
_OK: Final = b"250 OK\r\n"
_REPLIES: Final = {
    b"EHLO": b"250 sink\r\n",
    b"HELO": b"250 sink\r\n",
    b"MAIL": _OK,
    b"RCPT": _OK,
    b"RSET": _OK,
    b"NOOP": _OK,
    b"DATA": b"354 Go on\r\n",
    b"QUIT": b"221 Bye\r\n",
}


class SinkSession(asyncio.Protocol):
    """One client's session. A mail counts from the moment its last reply is written."""

    def __init__(self, accepted: Accepted) -> None:
        self._accepted = accepted
        self._transport: asyncio.WriteTransport | None = None
        self._received = bytearray()
        self._recipient = ""
        self._in_mail = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A loop of uvloop's has transports that are no subclasses of asyncio's.
        self._transport = transport  # type: ignore[assignment]
        self._write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._end_mail() if self._in_mail else self._obey():
            pass

    def _obey(self) -> bool:
        """Answer one command; False: there is none."""
        line, end, rest = self._received.partition(b"\r\n")
        if not end:
            return False
        verb = bytes(line[:4]).upper()
        self._received = rest
        if verb == b"RCPT" and (mailbox := _MAILBOX.search(line)):
            self._recipient = mailbox[1].decode()
        elif verb == b"DATA":
            self._in_mail = True
            # An empty mail ends with its first line, so the end of this one counts as its start.
            self._received = bytearray(b"\r\n") + rest
        self._write(_REPLIES.get(verb, b"500 What?\r\n"))
        if verb == b"QUIT" and self._transport is not None:
            self._transport.close()
        return True

    def _end_mail(self) -> bool:
        """Accept the mail; False: it has not ended."""
        at = self._received.find(_END)
        if at < 0:
            return False
        del self._received[: at + len(_END)]
        self._in_mail = False
        self._write(_OK)
        self._accepted(self._recipient, time.monotonic())
        return True

    def _write(self, reply: bytes) -> None:
        if self._transport is not None:
            self._transport.write(reply)


async def serve(port: int, accepted: Accepted) -> asyncio.Server:
    """Listen on a loopback port; `accepted` is called on this loop."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: SinkSession(accepted), "127.0.0.1", port)
