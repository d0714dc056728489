"""One TCP connection that speaks SMTP: writes commands, hands out replies, notices every break.

It knows how many replies the relay owes us. One that nobody asked for means that the two sides are
out of step, and from then on no reply on this connection would mean what it says.
"""

import asyncio
from dataclasses import dataclass
from typing import Final, cast

from consumers.delivery.reply_parser import GarbledReply, RawReply, ReplyParser

#: RFC 5321: the relay says this before it closes, in place of whatever reply was due.
CLOSING: Final = 421

TIMEOUT: Final = "timeout"
CONNECTION_LOST: Final = "connection-lost"
GARBLED_REPLY: Final = "garbled-reply"
UNASKED_REPLY: Final = "unasked-reply"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a connection is over: the rule's name, and what happened."""

    rule: str
    text: str


class Wire(asyncio.Protocol):
    """The protocol of one connection. One task at a time sends and receives.

        STANDING --lost, timeout, garbage, unasked reply--> OVER (`fault` says why)

    `unsent` tells whether bytes of ours have not reached the socket; behind TLS it may say False
    while up to 64 KiB have not. `answered_early` tells that the last replies came before what they
    answer was out.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = ReplyParser()
        self._replies: list[RawReply] = []
        #: The greeting comes unasked, and is due from the start.
        self._owed = 1
        self._wanted = 0
        self._waiter: asyncio.Future[None] | None = None
        self._waits_for_room = False
        self._unsent_bytes = 0
        self._tail = 0
        self._seconds = 0.0
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self.unsent = False
        self.answered_early = False
        self.fault: Fault | None = None

    @property
    def stands(self) -> bool:
        """Tell whether the connection can be used, as far as is known without asking."""
        return self.fault is None and self._transport is not None

    @property
    def transport(self) -> asyncio.Transport:
        """The transport; only after the connection was made."""
        return cast(asyncio.Transport, self._transport)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start; called by the loop."""
        # uvloop's transports are no subclasses of asyncio's, though they do as they do.
        self._transport = cast(asyncio.Transport, transport)
        # Behind TLS, a limit of zero would count as reached with nothing to write.
        tls = transport.get_extra_info("ssl_object") is not None
        self._transport.set_write_buffer_limits(high=1 if tls else 0)

    def upgraded(self, transport: asyncio.BaseTransport) -> None:
        """Go on over TLS."""
        self.connection_made(transport)

    def send(self, data: bytes, replies: int, tail: int = 0) -> None:
        """Write commands that so many replies answer; nothing where the connection is over.

        The last `tail` bytes only belong to the replies behind the first one.
        """
        self._owed += replies
        self._tail = tail
        if self.fault is None and self._transport is not None:
            self._transport.write(data)

    async def receive(self, count: int, seconds: float) -> list[RawReply]:
        """Return the next `count` replies, waiting at most so many seconds for each.

        Fewer: the last one is a 421, or there are no more, and `fault` says why.
        """
        if len(self._replies) < count and self.fault is None and not self._says_goodbye():
            self._wanted = count
            try:
                await self._awaited(seconds)
            finally:
                self._waiter = None
        return self.take(count)

    def here(self, count: int) -> list[RawReply] | None:
        """Return the next `count` replies if all are here already, else None; they stay."""
        return self._replies[:count] if len(self._replies) >= count else None

    def take(self, count: int) -> list[RawReply]:
        """Return at most `count` replies that are here already."""
        replies, self._replies = self._replies[:count], self._replies[count:]
        self._owed -= len(replies)
        return replies

    async def make_room(self, seconds: float) -> None:
        """Wait until all is written, a reply comes, or nothing moves for so many seconds."""
        while self.unsent and not self._replies and self.fault is None:
            self._wanted, self._waits_for_room = 1, True
            self._unsent_bytes = self.transport.get_write_buffer_size()
            try:
                await self._awaited(seconds)
            finally:
                self._waiter, self._waits_for_room = None, False

    def break_off(self, rule: str, text: str) -> None:
        """Cut the connection for a reason; the first one counts."""
        if self.fault is None:
            self.fault = Fault(rule, text)
        if self._transport is not None:
            self._transport.abort()
        self._over()

    def leave(self) -> None:
        """Say QUIT and close without waiting for the answer."""
        if self._transport is None or self.fault is not None:
            return
        self._transport.write(b"QUIT\r\n")
        self.fault = Fault(CONNECTION_LOST, "we took leave")
        self._transport.close()
        self._over()

    async def wait_closed(self, seconds: float) -> None:
        """Wait until the connection is gone, and cut it if that takes too long."""
        await asyncio.wait((self._closed,), timeout=seconds)
        if not self._closed.done():
            self.break_off(TIMEOUT, "the relay did not close")

    def data_received(self, data: bytes) -> None:
        """Read replies; called by the loop."""
        if self.fault is not None:
            return
        try:
            self._replies += self._parser.feed(data)
        except GarbledReply as error:
            self.break_off(GARBLED_REPLY, str(error))
            return
        self.answered_early = self.unsent and self.transport.get_write_buffer_size() > self._tail
        had = len(self._replies)
        if had > self._owed or (had == self._owed and self._parser.in_reply):
            del self._replies[self._owed :]
            self.break_off(UNASKED_REPLY, "the relay answered what nobody had asked")
        elif had >= self._wanted or self._says_goodbye():
            self._wake()
        else:
            self._deadline = self._loop.time() + self._seconds

    def pause_writing(self) -> None:
        """Note that bytes wait; called by the loop."""
        self.unsent = True

    def resume_writing(self) -> None:
        """Note that all bytes are written; called by the loop."""
        self.unsent = False
        if self._waits_for_room:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end; called by the loop."""
        if self.fault is None:
            text = f"the connection broke: {exc}" if exc else "the relay closed the connection"
            self.fault = Fault(CONNECTION_LOST, text)
        if not self._closed.done():
            self._closed.set_result(None)
        self._over()

    def _says_goodbye(self) -> bool:
        return bool(self._replies) and self._replies[-1].code == CLOSING

    def _awaited(self, seconds: float) -> asyncio.Future[None]:
        """Return what is done once something has come, or for so many seconds nothing has."""
        self._seconds = seconds
        self._deadline = self._loop.time() + seconds
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._look_at_clock)
        elif self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._look_at_clock)
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _look_at_clock(self) -> None:
        """End a wait that took too long. One timer serves many waits, since few ever end so."""
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._waits_for_room and self._has_moved():
            self._deadline = self._loop.time() + self._seconds
        if self._loop.time() >= self._deadline:
            self.break_off(TIMEOUT, f"no answer within {self._seconds:g} s")
        else:
            self._timer = self._loop.call_at(self._deadline, self._look_at_clock)

    def _has_moved(self) -> bool:
        before, self._unsent_bytes = self._unsent_bytes, self.transport.get_write_buffer_size()
        return self._unsent_bytes < before

    def _over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake()
