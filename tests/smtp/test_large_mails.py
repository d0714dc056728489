"""A mail that does not fit into the socket: until its dot is out, every break is safe to retry."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from consumers.delivery.message import Message
from consumers.delivery.timeouts import Timeouts
from retry_topics.failure import Accepted, Ambiguous, Failure, Phase, Scope
from tests.smtp.conftest import Connect

LARGE = Message(
    "<1@example.com>",
    "app@example.com",
    "ada@example.org",
    b"A: b\r\n\r\n" + b"line\r\n" * 4_000_000,
)
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def relay_that(behaves: Behaviour) -> AsyncIterator[str]:
    """Serve up to the 354 reply and then do as the test says; give the relay's URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.readuntil(b"\r\n")
        writer.write(b"250-hello\r\n250 PIPELINING\r\n")
        await reader.readuntil(b"DATA\r\n")
        writer.write(b"250 a\r\n250 b\r\n354 c\r\n")
        await behaves(reader, writer)
        writer.transport.abort()

    listener = socket.create_server(("127.0.0.1", 0))
    # So that most of the mail has to wait in the client.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    async with await asyncio.start_server(serve, sock=listener):
        yield f"smtp://127.0.0.1:{listener.getsockname()[1]}"


async def read_all(reader: asyncio.StreamReader) -> None:
    tail = b""
    while not tail.endswith(b"\r\n.\r\n"):
        read = await reader.read(1_000_000)
        assert read
        tail = (tail + read)[-5:]


async def test_a_large_mail_is_written_as_fast_as_it_is_read(connect: Connect) -> None:
    """It waits in the client and arrives whole."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_all(reader)
        writer.write(b"250 d\r\n")
        await reader.read()

    async with relay_that(take) as url:
        delivery = connect(url)
        assert await delivery.send(LARGE) == Accepted("250 d")
        await delivery.close()


async def test_a_break_before_the_dot_is_out_is_no_doubt(connect: Connect) -> None:
    """The relay cannot have a mail whose end was never written."""

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(100_000)

    async with relay_that(leave) as url:
        failure = await connect(url).send(LARGE)

    assert isinstance(failure, Failure)
    assert (failure.phase, failure.scope) == (Phase.DATA, Scope.ENDPOINT)
    assert failure.rule == "connection-lost"


async def test_a_break_when_the_dot_is_out_is_a_doubt(connect: Connect) -> None:
    """The relay has read it all, and nobody knows what it did with it."""

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_all(reader)

    async with relay_that(leave) as url:
        assert isinstance(await connect(url).send(LARGE), Ambiguous)


async def test_a_relay_that_stops_reading_times_out(connect: Connect) -> None:
    """The time counts from the last byte that was taken, not to the end of data."""
    stopped = asyncio.Event()

    async def stop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stopped.wait()

    async with relay_that(stop) as url:
        timeouts = Timeouts(connect=5.0, command=0.4, end_of_data=600.0)
        failure = await connect(url, timeouts=timeouts).send(LARGE)
        stopped.set()

    assert isinstance(failure, Failure)
    assert (failure.phase, failure.rule) == (Phase.DATA, "timeout")


@pytest.mark.parametrize(
    ("reply", "code"), [(b"552 5.3.4 too big\r\n", 552), (b"421 4.3.2 bye\r\n", 421)]
)
async def test_a_refusal_amid_the_mail_counts(connect: Connect, reply: bytes, code: int) -> None:
    """Some relays do not wait for the end; the rest of the mail is not written."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(100_000)
        writer.write(reply)
        await reader.read(1)
        await asyncio.sleep(0)
        await writer.drain()

    async with relay_that(refuse) as url:
        failure = await connect(url).send(LARGE)

    assert isinstance(failure, Failure)
    assert (failure.phase, failure.code) == (Phase.DOT, code)


async def test_an_acceptance_amid_the_mail_is_not_believed(connect: Connect) -> None:
    """A 250 before the end has been written answers something else; the dot never leaves."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(100_000)
        writer.write(b"250 2.0.0 Ok\r\n")
        await writer.drain()
        await reader.read(1)

    async with relay_that(accept) as url:
        failure = await connect(url).send(LARGE)

    assert isinstance(failure, Failure)
    assert (failure.scope, failure.rule) == (Scope.MESSAGE, "unasked-reply")
