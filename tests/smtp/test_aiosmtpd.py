"""The delivery works with a server that others wrote, on asyncio's loop and on uvloop's."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest
import uvloop
from aiosmtpd.handlers import Message as MessageHandler
from aiosmtpd.smtp import SMTP

from consumers.delivery.endpoint import RelayEndpoint
from consumers.delivery.message import Message
from consumers.delivery.smtp import SmtpDelivery
from retry_topics.failure import Accepted, Outcome
from runtime.clock import SystemClock
from tests.support.certificates import Authority
from tests.support.smtp_server import ScriptedServer

Runner = Callable[[Coroutine[Any, Any, Any]], Any]


class Mailbox(MessageHandler):
    """Keeps what arrives, as the standard library reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[str] = []

    def handle_message(self, message: Any) -> None:
        self.bodies.append(message.get_payload())


async def deliver_many(mails: list[Message], mailbox: Mailbox) -> list[Outcome]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        partial(SMTP, mailbox, hostname="aiosmtpd.example", loop=loop), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    delivery = SmtpDelivery(RelayEndpoint.parse(f"smtp://127.0.0.1:{port}"), 4, SystemClock())
    try:
        return list(await asyncio.gather(*(delivery.send(mail) for mail in mails)))
    finally:
        await delivery.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_aiosmtpd_takes_every_mail(run: Runner) -> None:
    """Forty mails over four connections all arrive, each once and whole."""
    mailbox = Mailbox()
    mails = [
        Message(f"<{n}@x>", "app@example.com", f"u{n}@example.org", b"A: b\r\n\r\n.dot %d\r\n" % n)
        for n in range(40)
    ]

    outcomes = run(deliver_many(mails, mailbox))

    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert sorted(body.strip() for body in mailbox.bodies) == sorted(f".dot {n}" for n in range(40))


async def deliver_securely(authority: Authority, message: Message) -> list[Outcome]:
    async with ScriptedServer(("AUTH PLAIN",), authority.issue().context()) as server:
        url = server.url("smtp+starttls", "app:secret", f"?ca={authority.file}")
        delivery = SmtpDelivery(RelayEndpoint.parse(url), 1, SystemClock())
        first = await delivery.send(message)
        server.drop_sessions()
        second = await delivery.send(message)
        large = Message("<2@x>", "app@example.com", "a@example.org", b"A: b\r\n" * 500_000)
        third = await delivery.send(large)
        await delivery.close()
        assert server.mails[-1].content == large.content
        return [first, second, third]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_tls_login_and_reopening_work_on_either_loop(
    run: Runner, authority: Authority, message: Message
) -> None:
    """Both loops upgrade a connection, notice that it ended, and write what is large in pieces."""
    outcomes = run(deliver_securely(authority, message))

    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
