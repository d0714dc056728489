"""The mail server that tells when it accepted."""

import asyncio
import smtplib
import time

import pytest

from bench.sink import SinkSession, serve


class Wire(asyncio.Transport):
    """The other end of a session: keeps what was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True


MAIL = b"Subject: hello\r\n\r\n..dot\r\n.\r\n"
SESSION = b"EHLO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n" + MAIL + b"QUIT\r\n"


def feed(*chunks: bytes) -> tuple[Wire, list[str]]:
    """Return what a session wrote for these chunks, and the recipients it accepted."""
    wire, recipients = Wire(), []
    session = SinkSession(lambda recipient, at: recipients.append(recipient))
    session.connection_made(wire)
    for chunk in chunks:
        session.data_received(chunk)
    return wire, recipients


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(SESSION)])
def test_chunks_do_not_matter(size: int) -> None:
    """However the bytes are cut, the session is the same."""
    wire, recipients = feed(*(SESSION[at : at + size] for at in range(0, len(SESSION), size)))

    codes = [line[:3] for line in wire.written.splitlines()]
    assert codes == [b"220", b"250", b"250", b"250", b"354", b"250", b"221"]
    assert recipients == ["b@x"]
    assert wire.closed


def test_an_empty_mail_ends_with_its_only_line() -> None:
    """The line of DATA is the line before the dot."""
    _, recipients = feed(b"RCPT TO:<b@x>\r\nDATA\r\n.\r\n")

    assert recipients == ["b@x"]


def test_a_mail_that_has_not_ended_is_not_accepted() -> None:
    """A dot inside a mail, or a stuffed one, ends nothing."""
    _, recipients = feed(b"RCPT TO:<b@x>\r\nDATA\r\na.\r\n..\r\n")

    assert recipients == []


def test_an_unknown_command_is_refused() -> None:
    """The session goes on."""
    wire, _ = feed(b"STARTTLS\r\nNOOP\r\n")

    assert wire.written.splitlines()[1:] == [b"500 What?", b"250 OK"]


async def test_the_standard_library_s_client_is_served() -> None:
    """Each mail is told with its recipient, at a moment after the call began."""
    accepted: list[tuple[str, float]] = []
    server = await serve(0, lambda recipient, at: accepted.append((recipient, at)))
    port = server.sockets[0].getsockname()[1]

    def send() -> float:
        with smtplib.SMTP("127.0.0.1", port) as client:
            began = time.monotonic()
            client.sendmail("a@x", ["b@x"], "Subject: hello\r\n\r\n.\r\nafter a dot\r\n")
            return began

    async with server:
        began = await asyncio.to_thread(send)

    [(recipient, at)] = accepted
    assert recipient == "b@x"
    assert began <= at <= time.monotonic()
