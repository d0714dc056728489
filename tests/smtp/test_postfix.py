"""The delivery and a real Postfix: what it takes arrives, and what it refuses is understood."""

import asyncio
import os
import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from consumers.delivery.message import Message
from retry_topics.failure import Accepted, Failure, FailureClass, Outcome, Phase, Scope
from tests.smtp.conftest import Connect
from tests.support.certificates import Authority
from tests.support.postfix import (
    FOREIGN,
    GREYLISTED,
    MISSING,
    NOT_ROOT,
    REFUSED_SUBJECT,
    SIZE_LIMIT,
    UNKNOWN,
    PostfixServer,
    find_program,
)
from tests.support.sasl import PASSWORD, USER
from tests.support.wait import eventually

#: Complete, so that Postfix adds nothing behind our first line.
HEAD = (
    b"From: app@example.com\r\nDate: Fri, 2 Jan 2026 03:04:05 +0000\r\n"
    b"Message-ID: <1@example.com>\r\nSubject: %b\r\n"
)
BODY = b"\r\nbefore\r\n.\r\n..dots\r\n\r\nafter\r\n"


@pytest.fixture(scope="module")
def postfix(authority: Authority) -> Iterator[PostfixServer]:
    """One Postfix for all of these tests."""
    if find_program() is None:
        pytest.fail(MISSING)
    if os.geteuid() != 0:
        # Where all tests count, one that cannot run is no success.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(NOT_ROOT)
    with PostfixServer(authority.issue()) as server:
        yield server


def mail_to(recipient: str, subject: str = "hello", body: bytes = BODY) -> Message:
    content = HEAD % subject.encode() + body
    return Message("<1@example.com>", "app@example.com", recipient, content)


def failure_of(outcome: Outcome) -> Failure:
    assert isinstance(outcome, Failure), outcome
    return outcome


def relay_urls(postfix: PostfixServer, authority: Authority) -> dict[str, str]:
    ca = f"?ca={authority.file}"
    return {
        "clear": f"smtp://127.0.0.1:{postfix.port}",
        "starttls": f"smtp+starttls://127.0.0.1:{postfix.port}{ca}",
        "tls": f"smtps://127.0.0.1:{postfix.tls_port}{ca}",
    }


@pytest.mark.parametrize("way", ["clear", "starttls", "tls"])
async def test_postfix_takes_mail_and_delivers_it(
    postfix: PostfixServer, connect: Connect, authority: Authority, way: str
) -> None:
    """The reply names the queue id, and the very lines are in the mailbox, over TLS or without."""
    mail = mail_to("ada@example.org", subject=f"by {way}")

    outcome = await connect(relay_urls(postfix, authority)[way]).send(mail)

    assert isinstance(outcome, Accepted), outcome
    assert re.fullmatch(r"250 2\.0\.0 Ok: queued as [0-9A-Za-z]{6,}", outcome.reply)
    await eventually(lambda: [m for m in postfix.delivered() if m.endswith(mail.content)])


async def test_postfix_does_not_know_a_recipient(postfix: PostfixServer, connect: Connect) -> None:
    """Refused in RCPT for good, the recipient's own failure; the connection goes on."""
    delivery = connect(f"smtp://127.0.0.1:{postfix.port}")

    failure = failure_of(await delivery.send(mail_to(UNKNOWN)))

    assert (failure.phase, failure.code, failure.enhanced) == (Phase.RCPT, 550, "5.1.1")
    assert (failure.scope, failure.kind) == (Scope.RECIPIENT, FailureClass.PERMANENT)
    for _ in range(3):
        assert isinstance(await delivery.send(mail_to("ada@example.org")), Accepted)


async def test_postfix_greylists_a_recipient(postfix: PostfixServer, connect: Connect) -> None:
    """Refused for now, and the delay that the text names is heeded."""
    delivery = connect(f"smtp://127.0.0.1:{postfix.port}")

    failure = failure_of(await delivery.send(mail_to(GREYLISTED)))

    assert (failure.phase, failure.code) == (Phase.RCPT, 450)
    assert (failure.scope, failure.kind) == (Scope.RECIPIENT, FailureClass.TRANSIENT)
    assert failure.retry_after_ms == 300_000


async def test_postfix_does_not_relay_for_us(postfix: PostfixServer, connect: Connect) -> None:
    """That is a setting's fault and an outage, not the recipient's."""
    delivery = connect(f"smtp://127.0.0.1:{postfix.port}")

    failure = failure_of(await delivery.send(mail_to(FOREIGN)))

    assert (failure.phase, failure.scope) == (Phase.RCPT, Scope.ENDPOINT)
    assert failure.kind is FailureClass.CONFIG


async def test_postfix_refuses_the_content(postfix: PostfixServer, connect: Connect) -> None:
    """Refused behind the dot, the message's own failure; the connection goes on."""
    delivery = connect(f"smtp://127.0.0.1:{postfix.port}")

    failure = failure_of(await delivery.send(mail_to("ada@example.org", REFUSED_SUBJECT)))

    assert (failure.phase, failure.scope) == (Phase.DOT, Scope.MESSAGE)
    assert failure.kind is FailureClass.PERMANENT
    assert isinstance(await delivery.send(mail_to("ada@example.org")), Accepted)


@pytest.mark.parametrize("way", ["clear", "starttls", "tls"])
async def test_postfix_hears_an_envelope_behind_the_dot_of_another_mail(
    postfix: PostfixServer, connect: Connect, authority: Authority, way: str
) -> None:
    """Each of many mails over one connection has its own answer, and none is lost or doubled."""
    delivery = connect(relay_urls(postfix, authority)[way])
    wanted = [f"announced {number} by {way}" for number in range(4)]
    taken = [mail_to("ada@example.org", subject) for subject in wanted]
    bad = [mail_to(UNKNOWN), mail_to("ada@example.org", REFUSED_SUBJECT), mail_to(GREYLISTED)]
    mails = [taken[0], bad[0], taken[1], bad[1], taken[2], bad[2], taken[3]]

    outcomes = await asyncio.gather(*map(delivery.send, mails))

    assert [None if isinstance(o, Accepted) else failure_of(o).phase for o in outcomes] == [
        None, Phase.RCPT, None, Phase.DOT, None, Phase.RCPT, None,
    ]  # fmt: skip
    for mail in taken:
        await eventually(lambda m=mail: [d for d in postfix.delivered() if d.endswith(m.content)])
        assert sum(d.endswith(mail.content) for d in postfix.delivered()) == 1


async def test_a_mail_above_postfix_s_size_limit_is_not_offered(
    postfix: PostfixServer, connect: Connect
) -> None:
    """EHLO says how much it takes, and a mail that is larger is dead without a byte of it sent."""
    delivery = connect(f"smtp://127.0.0.1:{postfix.port}")
    large = mail_to("ada@example.org", body=b"\r\n" + b"line\r\n" * SIZE_LIMIT)

    failure = failure_of(await delivery.send(large))

    assert (failure.scope, failure.rule) == (Scope.MESSAGE, "size-limit")
    assert failure.code is None


async def test_postfix_s_certificate_must_convince(
    postfix: PostfixServer, connect: Connect
) -> None:
    """An authority that nobody told us to trust ends the session before the mail."""
    failure = failure_of(
        await connect(f"smtp+starttls://127.0.0.1:{postfix.port}").send(mail_to("ada@example.org"))
    )

    assert (failure.phase, failure.rule) == (Phase.STARTTLS, "certificate-refused")
    assert failure.kind is FailureClass.CONFIG


async def test_postfix_gets_letters_beyond_ascii_in_an_address(
    postfix: PostfixServer, connect: Connect
) -> None:
    """Postfix offers SMTPUTF8 and 8BITMIME, and both are used for such a mail."""
    delivery = connect(f"smtp://127.0.0.1:{postfix.port}")

    outcome = await delivery.send(mail_to("jürgen@example.org", body="\r\nGrüße\r\n".encode()))

    assert isinstance(outcome, Accepted), outcome


def login_url(postfix: PostfixServer, authority: Authority, mechanism: str, password: str) -> str:
    credentials = f"{quote(USER, safe='')}:{quote(password, safe='')}"
    port = postfix.login_ports[mechanism]
    return f"smtp+starttls://{credentials}@127.0.0.1:{port}?ca={authority.file}"


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_postfix_logs_us_in(
    postfix: PostfixServer, connect: Connect, authority: Authority, mechanism: str
) -> None:
    """Over STARTTLS, by the one mechanism that it offers; only then it takes mail on this port."""
    url = login_url(postfix, authority, mechanism, PASSWORD)

    assert isinstance(await connect(url).send(mail_to("ada@example.org")), Accepted)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_postfix_refuses_a_wrong_password(
    postfix: PostfixServer, connect: Connect, authority: Authority, mechanism: str
) -> None:
    """That is a setting's fault and an outage, and no mail is to blame."""
    url = login_url(postfix, authority, mechanism, "wrong")

    failure = failure_of(await connect(url).send(mail_to("ada@example.org")))

    assert (failure.phase, failure.code, failure.enhanced) == (Phase.AUTH, 535, "5.7.8")
    assert (failure.scope, failure.kind) == (Scope.SENDER, FailureClass.CONFIG)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_postfix_wants_a_login_that_we_do_not_have(
    postfix: PostfixServer, connect: Connect, authority: Authority, mechanism: str
) -> None:
    """Without credentials the mail is not taken there, and it is not the recipient's fault."""
    url = f"smtp+starttls://127.0.0.1:{postfix.login_ports[mechanism]}?ca={authority.file}"

    failure = failure_of(await connect(url).send(mail_to("ada@example.org")))

    assert failure.phase is Phase.RCPT
    assert failure.is_outage, failure
