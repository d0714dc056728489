"""Where mails wait, the next envelope goes out behind a mail's dot, and nothing is mixed up."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec import structs

from consumers.delivery.message import Message
from consumers.delivery.smtp import SmtpDelivery
from retry_topics.failure import Accepted, Ambiguous, Failure, Outcome, Phase
from tests.smtp.conftest import SHORT, Connect
from tests.support.smtp_server import Drop, Hold, Keep, Say, ScriptedServer
from tests.support.wait import eventually


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A server that offers PIPELINING."""
    async with ScriptedServer(extensions=("PIPELINING",)) as server:
        yield server


def mail(name: str) -> Message:
    content = f"Subject: {name}\r\n\r\n.\r\nhello {name}\r\n".encode()
    return Message(f"<{name}@example.com>", "app@example.com", f"{name}@example.org", content)


async def send_all(delivery: SmtpDelivery, names: str) -> list[Outcome]:
    """Send as many mails at once, in this order."""
    return list(await asyncio.gather(*(delivery.send(mail(name)) for name in names)))


def received(server: ScriptedServer) -> list[str]:
    return [mail.recipient.partition("@")[0] for mail in server.mails]


async def test_the_next_envelope_is_written_with_the_mail(connect: Connect) -> None:
    """So two mails cost three writes, and the relay answers dot and envelope together."""
    writes: list[bytes] = []
    answers = [
        b"250 a\r\n250 b\r\n354 c\r\n",
        b"250 d\r\n250 e\r\n250 f\r\n354 g\r\n",
        b"250 h\r\n",
    ]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.readuntil(b"\r\n")
        writer.write(b"250-hello\r\n250 PIPELINING\r\n")
        for answer in answers:
            writes.append(await reader.read(65536))
            writer.write(answer)
        await reader.read()
        writer.close()

    relay = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with relay:
        delivery = connect(f"smtp://127.0.0.1:{relay.sockets[0].getsockname()[1]}", timeouts=SHORT)
        assert await send_all(delivery, "ab") == [Accepted("250 d"), Accepted("250 h")]
        await delivery.close()

    a, b = (
        b"MAIL FROM:<app@example.com>\r\nRCPT TO:<%b@example.org>\r\nDATA\r\n" % name
        for name in (b"a", b"b")
    )
    assert writes == [a, mail("a").wire_form() + b, mail("b").wire_form()]


async def test_nothing_is_announced_behind_a_large_mail(
    server: ScriptedServer, delivery: SmtpDelivery
) -> None:
    """While part of it has not reached the socket, a break is known to be before its dot."""
    answer = asyncio.Event()
    server.on(Phase.DOT, Hold(answer), recipient="a@example.org")
    large = structs.replace(mail("a"), content=mail("a").content + b"line\r\n" * 4_000)
    sending = [asyncio.ensure_future(delivery.send(each)) for each in (large, mail("b"))]
    await eventually(lambda: "DATA" in server.sessions[0].verbs if server.sessions else False)

    assert delivery.figures()[0].pool.waiting == 1

    answer.set()
    assert all(isinstance(outcome, Accepted) for outcome in await asyncio.gather(*sending))
    assert received(server) == ["a", "b"]


async def test_many_mails_go_over_one_session_in_order(
    server: ScriptedServer, delivery: SmtpDelivery
) -> None:
    """Each has its own bytes and its own answer."""
    server.on(Phase.DOT, Say("550 5.7.1 Spam"), recipient="c@example.org")
    server.on(Phase.RCPT, Say("550 5.1.1 User unknown"), recipient="e@example.org")
    server.on(Phase.DATA, Say("554 5.5.1 No valid recipients"), recipient="e@example.org")

    outcomes = await send_all(delivery, "abcdefgh")

    phases = [outcome.phase if isinstance(outcome, Failure) else None for outcome in outcomes]
    assert phases == [None, None, Phase.DOT, None, Phase.RCPT, None, None, None]
    assert received(server) == list("abdfgh")
    assert all(kept.content == mail(kept.recipient[0]).content for kept in server.mails)
    assert len(server.sessions) == 1


@pytest.mark.parametrize(
    ("steps", "first"),
    [
        ((Say("421 4.3.2 Going down"), Drop()), Failure),
        ((Drop(),), Ambiguous),
        ((Say("354 what?"), Drop()), Ambiguous),
    ],
)
async def test_a_mail_that_was_announced_on_a_session_that_ends_waits_for_the_next(
    server: ScriptedServer, delivery: SmtpDelivery, steps: tuple[Say | Drop, ...], first: type
) -> None:
    """The end is the first mail's; the second was never handed over, and goes out once."""
    server.on(Phase.DOT, *steps, recipient="a@example.org")

    one, two, three = await send_all(delivery, "abc")

    assert isinstance(one, first)
    assert isinstance(two, Accepted)
    assert isinstance(three, Accepted)
    assert received(server) == ["b", "c"]


async def test_a_relay_that_closes_behind_an_acceptance_has_accepted(
    server: ScriptedServer, delivery: SmtpDelivery
) -> None:
    """What was announced behind it is announced again elsewhere."""
    server.on(Phase.DOT, Keep(), Say("250 2.0.0 Ok"), Drop(), recipient="a@example.org")

    assert all(isinstance(outcome, Accepted) for outcome in await send_all(delivery, "ab"))
    assert received(server) == ["a", "b"]


async def test_a_421_to_an_announced_mail_costs_it_nothing(
    server: ScriptedServer, delivery: SmtpDelivery
) -> None:
    """A relay that wants no more mails on a session says so to the next MAIL."""
    server.on(Phase.MAIL, Say("421 4.7.0 Enough for one session"), times=1)
    server.on(Phase.MAIL, times=1)

    assert all(isinstance(outcome, Accepted) for outcome in await send_all(delivery, "ab"))
    assert len(server.sessions) == 2


async def test_a_relay_that_minds_is_spared(server: ScriptedServer, delivery: SmtpDelivery) -> None:
    """It hears the mail again, alone, and from then on no envelope before its turn."""
    server.on(Phase.MAIL, Say("503 5.5.0 Error: pipelining"), Drop(), times=1)
    server.on(Phase.MAIL, times=1)

    assert all(isinstance(outcome, Accepted) for outcome in await send_all(delivery, "abcd"))
    assert sorted(received(server)) == list("abcd")
    assert len(server.sessions) == 2


async def test_a_relay_that_hears_nothing_behind_a_dot_is_spared(
    server: ScriptedServer, connect: Connect
) -> None:
    """An announced mail that is never answered goes out on a new session."""
    delivery = connect(server.url(), timeouts=SHORT)
    server.on(Phase.MAIL, Hold(asyncio.Event()), times=1)
    server.on(Phase.MAIL, times=1)

    assert all(isinstance(outcome, Accepted) for outcome in await send_all(delivery, "ab"))
    assert len(server.sessions) == 2


async def test_a_mail_that_is_given_up_once_announced_is_not_sent(
    server: ScriptedServer, delivery: SmtpDelivery
) -> None:
    """The session waits for a mail that does not come, so it is cut; the others go on."""
    answer = asyncio.Event()
    server.on(Phase.DOT, Hold(answer), recipient="a@example.org")
    first, second, third = (asyncio.ensure_future(delivery.send(mail(name))) for name in "abc")
    await eventually(lambda: delivery.figures()[0].pool.waiting == 1)

    second.cancel()
    answer.set()

    assert isinstance(await first, Accepted)
    assert isinstance(await third, Accepted)
    assert received(server) == ["a", "c"]
    assert len(server.sessions) == 2


async def test_a_mail_that_is_stopped_in_its_turn_is_not_sent(
    server: ScriptedServer, delivery: SmtpDelivery
) -> None:
    """Though the relay has heard its envelope, not a byte of it goes out."""

    async def stop() -> None:
        raise LookupError

    first = asyncio.ensure_future(delivery.send(mail("a")))
    second = asyncio.ensure_future(delivery.send(mail("b"), stop))

    assert isinstance(await first, Accepted)
    with pytest.raises(LookupError):
        await second
    assert isinstance(await delivery.send(mail("c")), Accepted)
    assert received(server) == ["a", "c"]


async def test_a_delivery_that_closes_lets_nobody_wait(
    server: ScriptedServer, delivery: SmtpDelivery
) -> None:
    """Neither the mail on the wire nor the one that was announced behind it."""
    server.on(Phase.DOT, Hold(asyncio.Event()))
    sending = [asyncio.ensure_future(delivery.send(mail(name))) for name in "abc"]
    await eventually(lambda: delivery.figures()[0].pool.waiting == 1)

    await delivery.close()

    one, two, three = await asyncio.gather(*sending)
    assert isinstance(one, Ambiguous)
    assert [o.rule for o in (two, three) if isinstance(o, Failure)] == ["closed", "closed"]
