"""`mailcascade relay check` tries a relay without a mail, and says what to do where it fails."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from console.relay_check import Usage, check_relays
from consumers.delivery.endpoint import parse_relays
from consumers.delivery.outcome import shipped_classifier
from retry_topics.failure import Phase
from runtime.clock import SystemClock
from tests.support.certificates import Authority
from tests.support.smtp_server import Hold, Say, ScriptedServer, Step

Check = Callable[[str], Awaitable[tuple[int, str]]]


@pytest.fixture
def check() -> Check:
    """Check the relays of a setting; the exit code, and what was said."""

    async def run(urls: str) -> tuple[int, str]:
        said: list[str] = []
        usage = Usage(shipped_classifier(), 8, SystemClock())
        return await check_relays(parse_relays(urls), usage, said.append), "\n".join(said)

    return run


async def test_a_relay_that_works_is_described(check: Check, authority: Authority) -> None:
    """Banner, extensions, TLS with the certificate's end, login, limits, how it would be used."""
    tls = authority.issue(lifetime=timedelta(days=90, hours=1)).context()
    offers = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 35882577", "AUTH PLAIN LOGIN")
    async with ScriptedServer(offers, tls=tls) as server:
        query = f"?ca={authority.file}&profile=ses&rate=14/s"
        code, said = await check(server.url("smtp+starttls", "app:secret", query))

        assert code == 0
        assert re.search(r"banner +\S", said)
        assert (
            "offers  8BITMIME, AUTH PLAIN LOGIN, HELP, PIPELINING, SIZE 35882577, SMTPUTF8" in said
        )
        assert re.search(r"TLS +TLSv1\.[23] with \S+; its certificate is valid for 90 more", said)
        assert "login   as app by a password: works" in said
        assert "mails   up to 35,882,577 bytes; also to addresses" in said
        assert "one write; up to 8 connections a worker, at most 14 mails/s" in said
        assert "read by the profile ses" in said
        assert "secret" not in said
        assert server.mails == []
        assert server.sessions[0].verbs == ["EHLO", "STARTTLS", "EHLO", "AUTH", "QUIT"]


async def test_a_relay_gets_the_time_that_its_url_gives_it(check: Check) -> None:
    """A slow one can be checked as it would be used, and a person need not wait for a dead one."""
    async with ScriptedServer() as server:
        server.on(Phase.BANNER, Hold(asyncio.Event()))
        code, said = await check(server.url(query="?reply-timeout=100ms"))

    assert code == 1
    assert "FAILED  banner: no answer within 0.1 s" in said


async def test_a_modest_relay_is_described(check: Check) -> None:
    """Clear text on this machine, no login, one command after the other."""
    async with ScriptedServer(("SIZE 5000", "AUTH PLAIN")) as server:
        code, said = await check(server.url())

    assert code == 0
    assert "TLS     none: clear text, on this machine only" in said
    assert "login   none: the URL has no user, though the relay offers AUTH" in said
    assert "up to 5,000 bytes (LITTLE: larger ones are refused before they are sent); not" in said
    assert "one command after the other" in said
    assert "read by the general rules" in said


async def test_a_certificate_near_its_end_is_told(check: Check, authority: Authority) -> None:
    """Before it stops all mail."""
    tls = authority.issue(lifetime=timedelta(days=3, hours=1)).context()
    async with ScriptedServer(tls=tls, implicit_tls=True) as server:
        code, said = await check(server.url("smtps", query=f"?ca={authority.file}"))

    assert code == 0
    assert "valid for 3 more days; RENEW IT SOON" in said


@pytest.mark.parametrize(
    ("host", "days", "trusted", "advice"),
    [
        ("127.0.0.1", -1, True, "has expired: its postmaster must renew it"),
        ("mx.example.com", 1, True, "the certificate is for another name"),
        ("127.0.0.1", 1, False, "name the authority's file by ?ca=FILE"),
    ],
    ids=["expired", "other-name", "unknown-authority"],
)
async def test_a_wrong_certificate_has_its_own_advice(
    check: Check, authority: Authority, host: str, days: int, trusted: bool, advice: str
) -> None:
    """Each of the three things that go wrong is mended by somebody else."""
    tls = authority.issue(host, timedelta(days=days)).context()
    async with ScriptedServer(tls=tls, implicit_tls=True) as server:
        query = f"?ca={authority.file}" if trusted else ""
        code, said = await check(server.url("smtps", query=query))

    assert code == 1
    assert "FAILED  connect: TLS failed" in said
    assert advice in said


@pytest.mark.parametrize(
    ("phase", "step", "rule", "advice"),
    [
        (Phase.BANNER, Say("554 no"), "session-refused (config)", "on a block list"),
        (Phase.BANNER, Say("421 busy"), "session-deferred (transient)", "may go by itself"),
        (Phase.EHLO, Say("501 bad HELO"), "session-refused (config)", "by ?helo=NAME"),
        (Phase.AUTH, Say("535 5.7.8 no"), "auth-refused (config)", "user and password in"),
        (Phase.AUTH, Say("454 later"), "auth-unavailable (transient)", "try again in some"),
        (
            Phase.AUTH,
            Say("454 4.7.0 Too many login attempts"),
            "auth-throttled (throttle)",
            "more logins now may lock the account",
        ),
        (
            Phase.AUTH,
            Say("535 5.7.139 basic authentication is disabled"),
            "outlook-basic-auth-off (config)",
            "use XOAUTH2",
        ),
    ],
)
async def test_a_refusal_has_its_phase_rule_and_advice(
    check: Check, authority: Authority, phase: Phase, step: Step, rule: str, advice: str
) -> None:
    """As the worker would classify it, and in words for whoever can mend it."""
    offers, tls = ("AUTH PLAIN",), authority.issue().context()
    async with ScriptedServer(offers, tls=tls, implicit_tls=True) as server:
        server.on(phase, step)
        query = f"?ca={authority.file}&profile=outlook"
        code, said = await check(server.url("smtps", "app:secret", query))

    assert code == 1
    assert f"FAILED  {phase}: " in said
    assert rule in said
    assert advice in said


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("smtp://127.0.0.1:1", "is something listening"),
        ("smtps://127.0.0.1:{port}", "use smtp+starttls://"),
        ("smtp+starttls://127.0.0.1:{port}", "does not offer STARTTLS here: use smtps://"),
        ("smtps://127.0.0.1:{port}?ca=/no/such/file", "must name a PEM file"),
    ],
)
async def test_a_wrong_url_has_its_advice(
    check: Check, server: ScriptedServer, url: str, advice: str
) -> None:
    """The wrong port, the wrong kind of TLS, a file that is not there."""
    code, said = await check(url.format(port=server.port))

    assert code == 1
    assert advice in said


async def test_a_login_that_is_not_offered_is_explained(check: Check, authority: Authority) -> None:
    """Where the URL has a user, the relay must let it log in."""
    tls = authority.issue().context()
    async with ScriptedServer(tls=tls, implicit_tls=True) as server:
        query = f"?ca={authority.file}"
        code, said = await check(server.url("smtps", "app:secret", query))

    assert code == 1
    assert "is it the port for submission" in said


async def test_every_relay_is_checked(check: Check, server: ScriptedServer) -> None:
    """One that fails does not hide the others, and makes the exit code 1."""
    code, said = await check(f"smtp://127.0.0.1:1 {server.url()}?weight=0")

    assert code == 1
    assert "FAILED  connect" in said
    assert "only while the others are out (weight 0)" in said
    assert "OK      it can be used" in said


async def test_the_command_takes_the_configured_relays(server: ScriptedServer) -> None:
    """And ends with 0 where they can be used."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "console", "relay", "check"),
        env={"HOME": "/nowhere", "MAILCASCADE_SMTP_URL": server.url()},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()

    assert process.returncode == 0
    assert said.decode().splitlines()[0] == server.url()
