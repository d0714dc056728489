"""XOAUTH2: a token from a file or a command, fetched anew once when the relay refuses it."""

import asyncio
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from consumers.delivery.message import Message
from retry_topics.failure import Accepted, Failure, FailureClass, Phase, Scope
from tests.smtp.conftest import Connect
from tests.support.smtp_server import Say, ScriptedServer

REFUSED = Say("535 5.7.8 Username and Password not accepted")
REASON = Say("334 eyJzdGF0dXMiOiI0MDAifQ==")


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A server that offers tokens and passwords."""
    async with ScriptedServer(extensions=("AUTH PLAIN LOGIN XOAUTH2",)) as server:
        yield server


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A file with a token, as an agent beside the worker writes it."""
    file = tmp_path / "token"
    file.write_text("first-token\n")
    return file


def url_with_file(server: ScriptedServer, file: Path) -> str:
    return server.url(credentials="app%40example.com", query=f"?token-file={quote(str(file))}")


def url_with_command(server: ScriptedServer, *words: str) -> str:
    command = quote(shlex.join(words))
    return server.url(credentials="app%40example.com", query=f"?token-command={command}")


async def test_a_token_from_a_file_is_shown(
    server: ScriptedServer, connect: Connect, message: Message, token_file: Path
) -> None:
    """With the user's name, as Google and Microsoft want it."""
    assert isinstance(await connect(url_with_file(server, token_file)).send(message), Accepted)
    assert server.sessions[0].login == ("app@example.com", "first-token")
    assert server.sessions[0].commands[1].startswith("AUTH XOAUTH2 ")


async def test_a_token_from_a_command_is_shown(
    server: ScriptedServer, connect: Connect, message: Message
) -> None:
    """The command is started without a shell, and what it prints is the token."""
    url = url_with_command(server, sys.executable, "-c", "print('$HOME;')")

    assert isinstance(await connect(url).send(message), Accepted)
    assert server.sessions[0].login == ("app@example.com", "$HOME;")


@pytest.mark.parametrize("with_reason", [False, True])
async def test_a_token_that_has_run_out_is_fetched_anew(
    server: ScriptedServer, connect: Connect, message: Message, token_file: Path, with_reason: bool
) -> None:
    """A 535, with the reason in a challenge before it or not, costs no mail anything."""
    delivery = connect(url_with_file(server, token_file))
    await delivery.send(message)
    await asyncio.to_thread(token_file.write_text, "second-token\n")
    server.drop_sessions()
    server.on(Phase.AUTH, REFUSED, times=1)
    if with_reason:
        server.on(Phase.AUTH, REASON, times=1)

    assert isinstance(await delivery.send(message), Accepted)
    assert [session.login for session in server.sessions] == [
        ("app@example.com", "first-token"),
        ("app@example.com", "first-token"),
        ("app@example.com", "second-token"),
    ]


async def test_a_token_is_refused_twice_and_not_shown_again(
    server: ScriptedServer, connect: Connect, message: Message, token_file: Path
) -> None:
    """Then it is our credentials' outage; hammering a relay with them locks accounts."""
    server.on(Phase.AUTH, REFUSED)

    outcome = await connect(url_with_file(server, token_file)).send(message)

    assert isinstance(outcome, Failure)
    assert (outcome.phase, outcome.scope) == (Phase.AUTH, Scope.SENDER)
    assert outcome.kind is FailureClass.CONFIG
    assert len(server.sessions) == 2


async def test_a_password_is_refused_once(
    server: ScriptedServer, connect: Connect, message: Message
) -> None:
    """A password does not run out, so there is nothing to fetch anew."""
    server.on(Phase.AUTH, REFUSED)

    assert isinstance(await connect(server.url(credentials="a:b")).send(message), Failure)
    assert len(server.sessions) == 1


async def test_no_token_is_an_outage_of_the_sender(
    server: ScriptedServer, connect: Connect, message: Message, tmp_path: Path
) -> None:
    """Whatever is wrong with the file or the command, no session is opened and nothing shown."""
    empty = tmp_path / "empty"
    empty.write_text("\n")
    two_words = tmp_path / "two"
    two_words.write_text("a secret")
    urls = [
        url_with_file(server, tmp_path / "missing"),
        url_with_file(server, empty),
        url_with_file(server, two_words),
        url_with_command(server, "/nowhere/command"),
        url_with_command(server, sys.executable, "-c", "raise SystemExit(3)"),
    ]
    for url in urls:
        outcome = await connect(url).send(message)

        assert isinstance(outcome, Failure)
        assert (outcome.phase, outcome.rule) == (Phase.AUTH, "token-unavailable")
        assert (outcome.scope, outcome.kind) == (Scope.SENDER, FailureClass.CONFIG)
        assert "secret" not in outcome.text
    assert server.sessions == []


async def test_a_token_is_not_shown_to_a_relay_that_wants_passwords(
    connect: Connect, message: Message, token_file: Path
) -> None:
    """It is no password, so it is not tried as one."""
    async with ScriptedServer(extensions=("AUTH PLAIN LOGIN",)) as server:
        outcome = await connect(url_with_file(server, token_file)).send(message)

        assert isinstance(outcome, Failure)
        assert (outcome.phase, outcome.rule) == (Phase.AUTH, "auth-missing")
        assert server.sessions[0].verbs == ["EHLO"]
