"""Credentials in the URL are used, and a refusal of them is an outage of the sender's."""

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest

from consumers.delivery.message import Message
from retry_topics.failure import Accepted, Failure, FailureClass, Phase, Scope
from tests.smtp.conftest import SHORT, Connect
from tests.support.smtp_server import Drop, Say, ScriptedServer


@pytest.mark.parametrize("offer", ["AUTH LOGIN PLAIN", "AUTH LOGIN", "AUTH=PLAIN"])
async def test_the_relay_learns_the_credentials(
    connect: Connect, message: Message, offer: str
) -> None:
    """PLAIN or LOGIN, with every character that a password may have."""
    async with ScriptedServer(extensions=(offer,)) as server:
        delivery = connect(server.url(credentials="app%40example.com:p%3A%2F%40ss%C3%A9"))

        assert isinstance(await delivery.send(message), Accepted)
        assert server.sessions[0].login == ("app@example.com", "p:/@ssé")


@pytest.mark.parametrize(
    ("reply", "scope", "kind"),
    [
        ("535 5.7.8 Bad credentials", Scope.SENDER, FailureClass.CONFIG),
        ("534 5.7.9 Log in with your browser", Scope.SENDER, FailureClass.CONFIG),
        ("550 5.7.30 Basic authentication is not supported", Scope.SENDER, FailureClass.CONFIG),
        ("454 4.7.0 Temporary authentication failure", Scope.ENDPOINT, FailureClass.TRANSIENT),
        ("454 4.7.0 Too many login attempts", Scope.SENDER, FailureClass.THROTTLE),
    ],
)
async def test_a_refused_login_is_an_outage(
    connect: Connect, message: Message, reply: str, scope: Scope, kind: FailureClass
) -> None:
    """No mail is at fault when we cannot log in, so none uses an attempt."""
    async with ScriptedServer(extensions=("AUTH PLAIN",)) as server:
        server.on(Phase.AUTH, Say(reply))

        outcome = await connect(server.url(credentials="app:secret")).send(message)

        assert isinstance(outcome, Failure)
        assert (outcome.phase, outcome.scope, outcome.kind) == (Phase.AUTH, scope, kind)
        assert outcome.is_outage


async def test_a_break_during_login_is_the_relays(connect: Connect, message: Message) -> None:
    """A connection that ends in AUTH says nothing about the credentials."""
    async with ScriptedServer(extensions=("AUTH PLAIN",)) as server:
        server.on(Phase.AUTH, Drop())

        outcome = await connect(server.url(credentials="a:b"), timeouts=SHORT).send(message)

        assert isinstance(outcome, Failure)
        assert (outcome.phase, outcome.scope) == (Phase.AUTH, Scope.ENDPOINT)
        assert outcome.kind is FailureClass.TRANSIENT


@pytest.mark.parametrize("extensions", [(), ("AUTH GSSAPI",)])
async def test_a_relay_that_offers_no_known_login_is_a_wrong_setting(
    connect: Connect, message: Message, extensions: tuple[str, ...]
) -> None:
    """Credentials that cannot be used are not quietly left out."""
    async with ScriptedServer(extensions=extensions) as server:
        outcome = await connect(server.url(credentials="a:b")).send(message)

        assert isinstance(outcome, Failure)
        assert (outcome.phase, outcome.rule) == (Phase.AUTH, "auth-missing")
        assert outcome.kind is FailureClass.CONFIG


async def test_a_password_is_replaced_while_the_worker_runs(
    connect: Connect, message: Message, tmp_path: Path
) -> None:
    """The next login after the file has changed shows the new password; kept sessions stay."""
    file = tmp_path / "password"
    file.write_text("first\n")
    async with ScriptedServer(extensions=("AUTH PLAIN",)) as server:
        query = f"?password-file={quote(str(file))}"
        delivery = connect(server.url(credentials="app", query=query))
        assert isinstance(await delivery.send(message), Accepted)
        await asyncio.to_thread(file.write_text, "second\n")
        assert isinstance(await delivery.send(message), Accepted)
        server.drop_sessions()

        assert isinstance(await delivery.send(message), Accepted)
        logins = [session.login for session in server.sessions]
        assert logins == [("app", "first"), ("app", "second")]


async def test_no_password_is_an_outage_of_the_sender(
    connect: Connect, message: Message, tmp_path: Path
) -> None:
    """Without the file no session is opened, and no mail uses an attempt."""
    async with ScriptedServer(extensions=("AUTH PLAIN",)) as server:
        query = f"?password-file={quote(str(tmp_path / 'missing'))}"

        outcome = await connect(server.url(credentials="app", query=query)).send(message)

        assert isinstance(outcome, Failure)
        assert (outcome.phase, outcome.rule) == (Phase.AUTH, "password-unavailable")
        assert (outcome.scope, outcome.kind) == (Scope.SENDER, FailureClass.CONFIG)
        assert server.sessions == []
