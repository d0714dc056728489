"""Each phase's failure becomes the outcome that names the phase and whose fault it is."""

import asyncio
import socket

import pytest

from consumers.delivery.message import Message
from consumers.delivery.smtp import SmtpDelivery
from consumers.delivery.timeouts import Timeouts
from retry_topics.failure import (
    Accepted,
    Ambiguous,
    Failure,
    FailureClass,
    Outcome,
    Phase,
    Scope,
)
from tests.smtp.conftest import SHORT, Connect
from tests.support.smtp_server import Drop, Hold, Keep, Raw, Say, ScriptedServer
from tests.support.wait import eventually

BEFORE_THE_DOT = (Phase.BANNER, Phase.EHLO, Phase.MAIL, Phase.RCPT, Phase.DATA)


def failure_of(outcome: Outcome) -> Failure:
    assert isinstance(outcome, Failure), outcome
    return outcome


async def test_mail_arrives_as_composed(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """The relay gets the envelope and the very bytes, lines of dots included."""
    outcome = await delivery.send(message)

    assert outcome == Accepted("250 2.0.0 Ok: queued as SCRIPTED")
    (mail,) = server.mails
    assert (mail.sender, mail.recipient) == ("app@example.com", "ada@example.org")
    assert mail.content == message.content


async def test_any_2yz_after_the_dot_is_acceptance(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """Some relays answer 254 or 251 where they take a mail."""
    server.on(Phase.DOT, Keep(), Say("254 4.7.1 Suppression"))

    assert await delivery.send(message) == Accepted("254 4.7.1 Suppression")


@pytest.mark.parametrize(
    ("phase", "reply", "scope", "kind"),
    [
        (Phase.BANNER, "421 4.3.2 Service not active", Scope.ENDPOINT, FailureClass.TRANSIENT),
        (Phase.BANNER, "554 No service", Scope.ENDPOINT, FailureClass.CONFIG),
        (Phase.EHLO, "421 4.3.2 Shutting down", Scope.ENDPOINT, FailureClass.TRANSIENT),
        (Phase.EHLO, "550 Bad HELO", Scope.ENDPOINT, FailureClass.CONFIG),
        (Phase.MAIL, "452 4.4.5 Rate exceeded", Scope.SENDER, FailureClass.THROTTLE),
        (Phase.MAIL, "530 5.7.0 Authentication required", Scope.SENDER, FailureClass.CONFIG),
        (Phase.RCPT, "450 4.2.0 Greylisted", Scope.RECIPIENT, FailureClass.TRANSIENT),
        (Phase.RCPT, "550 5.1.1 User unknown", Scope.RECIPIENT, FailureClass.PERMANENT),
        (Phase.RCPT, "554 5.7.1 Relay access denied", Scope.ENDPOINT, FailureClass.CONFIG),
        (Phase.DATA, "451 4.3.0 Not now", Scope.MESSAGE, FailureClass.TRANSIENT),
        (Phase.DOT, "451 4.3.0 Queue file write error", Scope.MESSAGE, FailureClass.TRANSIENT),
        (Phase.DOT, "554 5.6.0 Refused", Scope.MESSAGE, FailureClass.PERMANENT),
        (Phase.DOT, "421 4.3.0 Going down", Scope.ENDPOINT, FailureClass.TRANSIENT),
    ],
)
async def test_a_refusal_is_classified_in_its_phase(
    server: ScriptedServer,
    delivery: SmtpDelivery,
    message: Message,
    phase: Phase,
    reply: str,
    scope: Scope,
    kind: FailureClass,
) -> None:
    """The outcome has the reply's code, the phase it came in, and the rules' verdict."""
    server.on(phase, Say(reply))

    failure = failure_of(await delivery.send(message))

    assert (failure.phase, failure.scope, failure.kind) == (phase, scope, kind)
    assert failure.code == int(reply[:3])
    assert server.mails == []


@pytest.mark.parametrize("phase", BEFORE_THE_DOT)
async def test_a_break_before_the_dot_is_the_relays(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message, phase: Phase
) -> None:
    """A new connection that breaks has delivered nothing, so it is an outage, not an attempt."""
    server.on(phase, Drop())

    failure = failure_of(await delivery.send(message))

    assert (failure.phase, failure.scope) == (phase, Scope.ENDPOINT)
    assert failure.rule == "connection-lost"
    assert failure.is_outage
    assert server.mails == []


@pytest.mark.parametrize("phase", BEFORE_THE_DOT)
async def test_silence_before_the_dot_is_a_timeout_of_the_relay(
    server: ScriptedServer, connect: Connect, message: Message, phase: Phase
) -> None:
    """A relay that does not answer is out; its connection is closed and not used again."""
    silence = asyncio.Event()
    server.on(phase, Hold(silence))
    delivery = connect(server.url(), timeouts=SHORT)

    failure = failure_of(await delivery.send(message))

    assert (failure.phase, failure.scope, failure.rule) == (phase, Scope.ENDPOINT, "timeout")
    assert failure.is_outage


@pytest.mark.parametrize("kept", [True, False])
async def test_a_break_behind_the_dot_is_ambiguous(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message, kept: bool
) -> None:
    """Whether the relay took the mail before it broke cannot be told from here."""
    server.on(Phase.DOT, *([Keep()] if kept else []), Drop())

    assert isinstance(await delivery.send(message), Ambiguous)
    assert len(server.mails) == kept


async def test_silence_behind_the_dot_is_ambiguous(
    server: ScriptedServer, connect: Connect, message: Message
) -> None:
    """The relay may be storing the mail this moment."""
    silence = asyncio.Event()
    server.on(Phase.DOT, Hold(silence))
    delivery = connect(server.url(), timeouts=SHORT)

    assert isinstance(await delivery.send(message), Ambiguous)


@pytest.mark.parametrize("answer", [Raw(b"what?\r\n"), Say("354 go ahead")])
async def test_no_proper_answer_to_the_dot_is_ambiguous(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message, answer: Raw | Say
) -> None:
    """Garbage or a reply to something else does not say what became of the mail."""
    server.on(Phase.DOT, Keep(), answer)

    assert isinstance(await delivery.send(message), Ambiguous)


@pytest.mark.parametrize("phase", [Phase.MAIL, Phase.RCPT, Phase.DATA])
@pytest.mark.parametrize(
    "answer", [Say("503 5.5.1 Bad sequence"), Raw(b"gibberish\r\n"), Say("334 eh")]
)
async def test_a_relay_out_of_step_gets_a_second_connection(
    server: ScriptedServer,
    delivery: SmtpDelivery,
    message: Message,
    phase: Phase,
    answer: Say | Raw,
) -> None:
    """One 503, garbage line or unexpected code is mended by a new session, without an outcome."""
    server.on(phase, answer, times=1)

    assert isinstance(await delivery.send(message), Accepted)
    assert len(server.sessions) == 2
    assert len(server.mails) == 1


async def test_a_mail_that_trips_the_relay_twice_uses_an_attempt(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """Out of step on two connections, the mail itself is the likely cause, so it is bounded."""
    server.on(Phase.DATA, Say("503 5.5.1 RCPT first"))

    failure = failure_of(await delivery.send(message))

    assert (failure.scope, failure.kind) == (Scope.MESSAGE, FailureClass.TRANSIENT)
    assert len(server.sessions) == 2


async def test_a_relay_that_does_not_answer_the_handshake_is_given_up_soon(
    connect: Connect, message: Message
) -> None:
    """Connecting has a short time of its own, TLS included, so a dead relay holds up nobody."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        timeouts = Timeouts(connect=0.3, command=60.0)

        failure = failure_of(
            await connect(f"smtps://127.0.0.1:{port}", timeouts=timeouts).send(message)
        )

    assert (failure.phase, failure.rule) == (Phase.CONNECT, "timeout")
    assert failure.is_outage


async def test_nobody_listening_is_an_outage(connect: Connect, message: Message) -> None:
    """A refused connection is the relay's failure in the phase connect."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        failure = failure_of(await connect(f"smtp://127.0.0.1:{port}").send(message))

    assert (failure.phase, failure.scope) == (Phase.CONNECT, Scope.ENDPOINT)
    assert (failure.kind, failure.rule) == (FailureClass.TRANSIENT, "unreachable")


@pytest.mark.parametrize(
    ("errno", "kind"),
    [
        (socket.EAI_NONAME, FailureClass.CONFIG),
        (socket.EAI_AGAIN, FailureClass.TRANSIENT),
    ],
)
async def test_a_name_that_does_not_exist_is_a_wrong_setting(
    connect: Connect,
    message: Message,
    monkeypatch: pytest.MonkeyPatch,
    errno: int,
    kind: FailureClass,
) -> None:
    """No waiting makes an unknown host name right; a name server that is down comes back."""

    async def fail(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(errno, "as the test wants it")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)

    failure = failure_of(await connect("smtps://mx.example.com").send(message))

    assert (failure.phase, failure.scope) == (Phase.CONNECT, Scope.ENDPOINT)
    assert (failure.rule, failure.kind) == ("name-lookup", kind)


async def test_a_relay_without_ehlo_is_greeted_by_helo(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """EHLO that is refused for good falls back to HELO once, and the mail goes out."""
    server.on(Phase.EHLO, Say("502 5.5.2 what?"), times=1)

    assert isinstance(await delivery.send(message), Accepted)
    assert server.sessions[0].verbs[:2] == ["EHLO", "HELO"]


async def test_a_mail_above_the_relays_size_is_not_offered(
    connect: Connect, message: Message
) -> None:
    """SIZE tells beforehand, so nothing is sent and the mail is dead at once."""
    async with ScriptedServer(extensions=("SIZE 10",)) as server:
        failure = failure_of(await connect(server.url()).send(message))

        assert (failure.scope, failure.kind) == (Scope.MESSAGE, FailureClass.PERMANENT)
        assert failure.rule == "size-limit"
        assert "MAIL" not in server.sessions[0].verbs


async def test_smtputf8_is_used_where_it_is_needed(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """A local part beyond ASCII goes out in UTF-8 with the extension named."""
    mail = Message("<2@example.com>", "app@example.com", "jürgen@example.org", message.content)

    assert isinstance(await delivery.send(mail), Accepted)
    await delivery.send(message)
    mails = [command for command in server.sessions[0].commands if command.startswith("MAIL")]
    assert ["SMTPUTF8" in command for command in mails] == [True, False]
    assert server.mails[0].recipient == "jürgen@example.org"


async def test_a_relay_without_smtputf8_cannot_take_such_an_address(
    connect: Connect, message: Message
) -> None:
    """Another attempt would not help, so the mail is dead at once and the connection stays."""
    mail = Message("<2@example.com>", "app@example.com", "jürgen@example.org", message.content)
    async with ScriptedServer(extensions=()) as server:
        delivery = connect(server.url())

        failure = failure_of(await delivery.send(mail))

        assert (failure.scope, failure.kind) == (Scope.MESSAGE, FailureClass.PERMANENT)
        assert isinstance(await delivery.send(message), Accepted)
        assert len(server.sessions) == 1


async def test_a_relay_without_8bitmime_gets_no_8_bit_mail(
    connect: Connect, message: Message
) -> None:
    """It may cut the eighth bit off, so such a mail is dead at once; elsewhere it is announced."""
    mail = Message("<2@x>", "app@example.com", "a@example.org", "A: b\r\n\r\nGrüße".encode())
    async with ScriptedServer(extensions=()) as server:
        failure = failure_of(await connect(server.url()).send(mail))

        assert (failure.scope, failure.rule) == (Scope.MESSAGE, "8bitmime-missing")
        assert failure.kind is FailureClass.PERMANENT
        assert server.sessions[0].verbs == ["EHLO"]
    async with ScriptedServer(extensions=("8BITMIME",)) as server:
        delivery = connect(server.url())

        assert isinstance(await delivery.send(mail), Accepted)
        await delivery.send(message)
        mails = [line for line in server.sessions[0].commands if line.startswith("MAIL")]
        assert ["BODY=8BITMIME" in line for line in mails] == [True, False]


@pytest.mark.parametrize(
    "address", ["a@b\r\nRCPT TO:<eve@example.org>", "a@b>\n", "a b@example.org", "a@b\0"]
)
async def test_an_envelope_cannot_carry_commands(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message, address: str
) -> None:
    """An address that could end its command is refused before a byte of it is sent."""
    mail = Message("<2@example.com>", "app@example.com", address, message.content)

    failure = failure_of(await delivery.send(mail))

    assert (failure.scope, failure.rule) == (Scope.MESSAGE, "unsafe-address")
    assert server.sessions[0].verbs == ["EHLO"]


async def test_bare_line_ends_never_leave(server: ScriptedServer, delivery: SmtpDelivery) -> None:
    """A bare CR or LF around a dot, which smuggles mails past relays, becomes CRLF."""
    mail = Message("<3@x>", "app@example.com", "a@example.org", b"A: b\n\nx\n.\ny\r.\rz")

    assert isinstance(await delivery.send(mail), Accepted)
    assert server.mails[0].content == b"A: b\r\n\r\nx\r\n.\r\ny\r\n.\r\nz\r\n"


async def test_a_cancelled_mail_closes_its_connection(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """The reply of a mail that was given up can never be read as the reply of the next one."""
    late = asyncio.Event()
    server.on(Phase.DOT, Hold(late), times=1)
    sending = asyncio.ensure_future(delivery.send(message))
    await eventually(lambda: server.sessions and server.sessions[0].verbs[-1:] == ["DATA"])

    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    late.set()

    assert isinstance(await delivery.send(message), Accepted)
    assert len(server.sessions) == 2


async def test_cancelling_while_the_session_opens_frees_the_slot(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """The only connection there may be is available again after its opening was given up."""
    server.on(Phase.BANNER, Hold(asyncio.Event()), times=1)
    sending = asyncio.ensure_future(delivery.send(message))
    await eventually(lambda: server.sessions)

    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending

    assert isinstance(await delivery.send(message), Accepted)
