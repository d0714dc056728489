"""TLS is required where the URL says so, certificates are checked, and nothing falls back."""

import asyncio
from datetime import timedelta

import pytest

from consumers.delivery.message import Message
from retry_topics.failure import Accepted, Failure, FailureClass, Phase, Scope
from tests.smtp.conftest import SHORT, Connect
from tests.support.certificates import Authority
from tests.support.smtp_server import Drop, Raw, Say, ScriptedServer, Step

SCHEMES = {"smtp+starttls": Phase.STARTTLS, "smtps": Phase.CONNECT}


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_mail_goes_out_over_tls(
    connect: Connect, message: Message, authority: Authority, scheme: str
) -> None:
    """With an authority that signed the relay's certificate, everything is encrypted."""
    tls = authority.issue().context()
    async with ScriptedServer(tls=tls, implicit_tls=scheme == "smtps") as server:
        delivery = connect(server.url(scheme, query=f"?ca={authority.file}"))

        assert isinstance(await delivery.send(message), Accepted)
        assert isinstance(await delivery.send(message), Accepted)

        (session,) = server.sessions
        assert session.secure
        opening = ["EHLO"] if scheme == "smtps" else ["EHLO", "STARTTLS", "EHLO"]
        assert session.verbs == [*opening, *["MAIL", "RCPT", "DATA"] * 2]
        await delivery.close()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("host", "days", "trusted"),
    [("127.0.0.1", -1, True), ("mx.example.com", 1, True), ("127.0.0.1", 1, False)],
    ids=["expired", "other-name", "unknown-authority"],
)
async def test_a_certificate_that_does_not_convince_is_a_wrong_setting(
    connect: Connect,
    message: Message,
    authority: Authority,
    scheme: str,
    host: str,
    days: int,
    trusted: bool,
) -> None:
    """An expired, foreign or untrusted certificate stops everything, and no mail is shown."""
    tls = authority.issue(host, timedelta(days=days)).context()
    async with ScriptedServer(tls=tls, implicit_tls=scheme == "smtps") as server:
        query = f"?ca={authority.file}" if trusted else ""

        outcome = await connect(server.url(scheme, query=query)).send(message)

        assert isinstance(outcome, Failure)
        assert (outcome.phase, outcome.scope) == (SCHEMES[scheme], Scope.ENDPOINT)
        assert (outcome.kind, outcome.rule) == (FailureClass.CONFIG, "certificate-refused")
        assert all("MAIL" not in session.verbs for session in server.sessions)


async def test_a_relay_without_starttls_gets_no_mail(connect: Connect, message: Message) -> None:
    """Whoever strips the offer gets neither the mail nor the credentials."""
    async with ScriptedServer(extensions=("AUTH PLAIN",)) as server:
        delivery = connect(server.url("smtp+starttls", credentials="app:secret"))

        outcome = await delivery.send(message)

        assert isinstance(outcome, Failure)
        assert (outcome.phase, outcome.kind) == (Phase.STARTTLS, FailureClass.CONFIG)
        assert outcome.rule == "starttls-missing"
        assert server.sessions[0].verbs == ["EHLO"]


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (Say("454 4.7.0 TLS not available"), FailureClass.TRANSIENT),
        (Say("502 5.5.1 no"), FailureClass.CONFIG),
        (Drop(), FailureClass.TRANSIENT),
    ],
)
async def test_a_failing_starttls_is_an_outage_of_the_relay(
    connect: Connect, message: Message, authority: Authority, step: Step, kind: FailureClass
) -> None:
    """Refused, broken or garbled: never clear text, never the mail's fault."""
    async with ScriptedServer(tls=authority.issue().context()) as server:
        server.on(Phase.STARTTLS, step)
        url = server.url("smtp+starttls", query=f"?ca={authority.file}")

        outcome = await connect(url).send(message)

        assert isinstance(outcome, Failure)
        assert (outcome.phase, outcome.scope) == (Phase.STARTTLS, Scope.ENDPOINT)
        assert outcome.kind is kind
        assert "MAIL" not in server.sessions[0].verbs


async def test_starttls_that_is_no_tls_is_an_outage_of_the_relay(
    connect: Connect, message: Message, authority: Authority
) -> None:
    """What came in clear text behind the 220 is not taken for an answer; no handshake, no mail."""
    async with ScriptedServer(tls=authority.issue().context()) as server:
        server.on(Phase.STARTTLS, Raw(b"220 go ahead\r\n250 injected\r\n"))
        url = server.url("smtp+starttls", query=f"?ca={authority.file}")

        outcome = await connect(url, timeouts=SHORT).send(message)

        assert isinstance(outcome, Failure)
        assert (outcome.phase, outcome.scope) == (Phase.STARTTLS, Scope.ENDPOINT)
        assert outcome.rule == "starttls-injected"
        assert server.sessions[0].verbs.count("EHLO") == 1


async def test_a_handshake_that_hangs_times_out_in_its_phase(
    connect: Connect, message: Message
) -> None:
    """A 220 without a handshake behind it is a relay that is out."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in (b"220 hello\r\n", b"250-hello\r\n250 STARTTLS\r\n", b"220 go ahead\r\n"):
            writer.write(reply)
            await reader.readline()
        await reader.read()
        writer.close()

    relay = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with relay:
        url = f"smtp+starttls://127.0.0.1:{relay.sockets[0].getsockname()[1]}"

        outcome = await connect(url, timeouts=SHORT).send(message)

    assert isinstance(outcome, Failure)
    assert (outcome.phase, outcome.scope) == (Phase.STARTTLS, Scope.ENDPOINT)
    assert (outcome.rule, outcome.kind) == ("timeout", FailureClass.TRANSIENT)


async def test_tls_to_a_port_that_speaks_clear_text_is_a_wrong_setting(
    server: ScriptedServer, connect: Connect, message: Message
) -> None:
    """smtps:// to a STARTTLS port is a mistake that people make; it is named as one."""
    outcome = await connect(server.url("smtps")).send(message)

    assert isinstance(outcome, Failure)
    assert (outcome.phase, outcome.kind) == (Phase.CONNECT, FailureClass.CONFIG)
    assert outcome.rule == "tls-not-spoken"


async def test_a_missing_ca_file_is_a_wrong_setting(connect: Connect, message: Message) -> None:
    """What cannot be checked is not trusted."""
    outcome = await connect("smtps://127.0.0.1:1?ca=/nowhere/ca.pem").send(message)

    assert isinstance(outcome, Failure)
    assert (outcome.phase, outcome.kind) == (Phase.CONNECT, FailureClass.CONFIG)
    assert outcome.rule == "bad-ca-file"
