"""Where the relay offers PIPELINING, an envelope is one write, and each reply finds its command."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from consumers.delivery.message import Message
from consumers.delivery.smtp import SmtpDelivery
from retry_topics.failure import Accepted, Ambiguous, Failure, Phase, Scope
from tests.smtp.conftest import SHORT, Connect
from tests.support.smtp_server import Drop, Hold, Raw, Say, ScriptedServer

NO_RECIPIENTS = Say("554 5.5.1 Error: no valid recipients")


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A server that offers PIPELINING."""
    async with ScriptedServer(extensions=("PIPELINING", "8BITMIME", "SMTPUTF8")) as server:
        yield server


async def test_an_envelope_is_one_write_and_so_is_the_mail(
    connect: Connect, message: Message
) -> None:
    """A relay that answers nothing before it has all three commands, and the dot, is served."""
    writes: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.readuntil(b"\r\n")
        writer.write(b"250-hello\r\n250 PIPELINING\r\n")
        writes.append(await reader.read(65536))
        writer.write(b"250 a\r\n250 b\r\n354 c\r\n")
        writes.append(await reader.read(65536))
        writer.write(b"250 d\r\n")
        await reader.read()
        writer.close()

    relay = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with relay:
        port = relay.sockets[0].getsockname()[1]
        delivery = connect(f"smtp://127.0.0.1:{port}", timeouts=SHORT)

        assert await delivery.send(message) == Accepted("250 d")
        await delivery.close()

    envelope = b"MAIL FROM:<app@example.com>\r\nRCPT TO:<ada@example.org>\r\nDATA\r\n"
    assert writes == [envelope, message.wire_form()]


async def test_mail_after_mail_goes_over_one_session(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """The replies of one mail are never taken for those of another."""
    for _ in range(5):
        assert isinstance(await delivery.send(message), Accepted)

    (session,) = server.sessions
    assert session.verbs == ["EHLO", *["MAIL", "RCPT", "DATA"] * 5]
    assert [mail.content for mail in server.mails] == [message.content] * 5


@pytest.mark.parametrize("answer", [NO_RECIPIENTS, Say("250 2.0.0 Ok: queued as NOTHING")])
async def test_a_354_behind_a_refused_recipient_is_answered_with_a_lone_dot(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message, answer: Say
) -> None:
    """No line of the mail goes out, the refusal is the recipient's, the session goes on."""
    server.on(Phase.RCPT, Say("550 5.1.1 User unknown"), times=1)
    server.on(Phase.DOT, answer, times=1)

    failure = await delivery.send(message)

    assert isinstance(failure, Failure)
    assert (failure.phase, failure.scope) == (Phase.RCPT, Scope.RECIPIENT)
    assert server.mails == []
    assert isinstance(await delivery.send(message), Accepted)
    (session,) = server.sessions
    assert session.verbs == ["EHLO", *["MAIL", "RCPT", "DATA"] * 2]


async def test_a_data_that_is_refused_with_its_recipient_is_reset(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """The first refusal counts; the envelope that stands open is thrown away."""
    server.on(Phase.RCPT, Say("450 4.2.0 Greylisted"), times=1)
    server.on(Phase.DATA, NO_RECIPIENTS, times=1)

    failure = await delivery.send(message)

    assert isinstance(failure, Failure)
    assert (failure.phase, failure.code) == (Phase.RCPT, 450)
    assert isinstance(await delivery.send(message), Accepted)
    (session,) = server.sessions
    assert session.verbs.count("RSET") == 1


async def test_a_refused_sender_takes_the_rest_with_it(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """What a relay says to RCPT and DATA without a sender is no failure of theirs."""
    server.on(Phase.MAIL, Say("552 5.3.4 Message too big"), times=1)
    server.on(Phase.RCPT, Say("503 5.5.1 Need MAIL"), times=1)
    server.on(Phase.DATA, Say("503 5.5.1 Need RCPT"), times=1)

    failure = await delivery.send(message)

    assert isinstance(failure, Failure)
    assert (failure.phase, failure.scope) == (Phase.MAIL, Scope.MESSAGE)
    assert isinstance(await delivery.send(message), Accepted)
    assert len(server.sessions) == 1


@pytest.mark.parametrize(
    ("phase", "reply"), [(Phase.RCPT, "421 4.3.2 Bye"), (Phase.DATA, "421 4.7.0 Too many errors")]
)
async def test_a_421_amid_the_envelope_ends_the_session_at_once(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message, phase: Phase, reply: str
) -> None:
    """It stands for the reply that was due, and nobody waits for those behind it."""
    server.on(phase, Say(reply), Hold(asyncio.Event()), times=1)

    failure = await delivery.send(message)

    assert isinstance(failure, Failure)
    assert (failure.phase, failure.code) == (phase, 421)
    assert failure.is_outage
    assert isinstance(await delivery.send(message), Accepted)
    assert len(server.sessions) == 2


@pytest.mark.parametrize("phase", [Phase.MAIL, Phase.RCPT, Phase.DATA])
async def test_a_break_amid_the_envelope_has_its_phase(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message, phase: Phase
) -> None:
    """The commands that were answered are known to have been."""
    server.on(phase, Drop())

    failure = await delivery.send(message)

    assert isinstance(failure, Failure)
    assert (failure.phase, failure.rule) == (phase, "connection-lost")


@pytest.mark.parametrize("phase", [Phase.MAIL, Phase.RCPT, Phase.DATA])
async def test_silence_amid_the_envelope_has_its_phase(
    server: ScriptedServer, connect: Connect, message: Message, phase: Phase
) -> None:
    """Each command has its own time, though all were sent together."""
    server.on(phase, Hold(asyncio.Event()))

    failure = await connect(server.url(), timeouts=SHORT).send(message)

    assert isinstance(failure, Failure)
    assert (failure.phase, failure.rule) == (phase, "timeout")


async def test_a_relay_that_is_a_reply_ahead_is_never_believed(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """A 250 too many behind the 354 would pass for the mail's acceptance; the session ends."""
    server.on(Phase.DATA, Raw(b"354 go ahead\r\n250 2.0.0 Ok\r\n"), times=1)

    assert await delivery.send(message) == Accepted("250 2.0.0 Ok: queued as SCRIPTED")
    assert len(server.sessions) == 2
    assert len(server.mails) == 1


async def test_a_relay_that_is_a_reply_behind_is_never_believed(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """With MAIL answered twice, the reply in DATA's place is RCPT's, so nothing is handed over."""
    server.on(Phase.MAIL, Raw(b"250 2.1.0 Ok\r\n250 2.1.0 Ok\r\n"), times=1)

    assert isinstance(await delivery.send(message), Accepted)
    assert len(server.sessions) == 2
    assert len(server.mails) == 1


async def test_a_stale_connection_is_known_by_its_first_reply(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """The whole envelope was written to a session that had ended: it goes out on a new one."""
    await delivery.send(message)
    server.on(Phase.MAIL, Say("451 4.4.2 Timeout waiting for data from client."), times=1)
    server.on(Phase.RCPT, Drop(), times=1)

    assert isinstance(await delivery.send(message), Accepted)
    assert len(server.sessions) == 2


async def test_replies_may_come_byte_by_byte(connect: Connect, message: Message) -> None:
    """A slow relay is waited for, its multi-line replies are put together."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(text: bytes) -> None:
            for byte in text:
                writer.write(bytes((byte,)))
                await writer.drain()
                await asyncio.sleep(0)

        await say(b"220-hello\r\n220 there\r\n")
        await reader.readuntil(b"\r\n")
        await say(b"250-hello\r\n250-SIZE 1000\r\n250 PIPELINING\r\n")
        await reader.readuntil(b"DATA\r\n")
        await say(b"250-a\r\n250 a\r\n250 b\r\n354-c\r\n354 c\r\n")
        await reader.readuntil(b"after\r\n.\r\n")
        await say(b"250-2.0.0 queued\r\n250 2.0.0 as X\r\n")
        await reader.read()
        writer.close()

    relay = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with relay:
        delivery = connect(f"smtp://127.0.0.1:{relay.sockets[0].getsockname()[1]}")
        assert await delivery.send(message) == Accepted("250 2.0.0 queued as X")
        await delivery.close()


async def test_a_break_behind_the_dot_stays_ambiguous(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """Pipelining moves the border by nothing."""
    server.on(Phase.DOT, Drop())

    assert isinstance(await delivery.send(message), Ambiguous)
