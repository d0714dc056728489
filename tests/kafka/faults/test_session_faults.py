"""A session that does not come about, whyever, is the relay's: no mail pays for it."""

import asyncio
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from consumers.delivery.blame import Blame
from retry_topics.failure import FailureClass, Phase
from schemas.mail_states import MailState
from tests.support.certificates import Authority
from tests.support.fault_bench import FaultBench
from tests.support.mailer import signup
from tests.support.smtp_server import Drop, Hold, Raw, Say, Step
from tests.support.wait import wait_until

HOST = "relay.example"
CONFIG, TRANSIENT, THROTTLE = FailureClass.CONFIG, FailureClass.TRANSIENT, FailureClass.THROTTLE
Fault = Callable[[FaultBench], None]


def says(phase: Phase, *steps: Step) -> Fault:
    return lambda bench: bench.says(phase, *steps, fresh=True)


def silent(phase: Phase, *before: Step) -> Fault:
    return lambda bench: bench.says(phase, *before, Hold(asyncio.Event()), fresh=True)


CONNECT_ROWS = {
    "no-such-name": (lambda bench: bench.no_name(socket.EAI_NONAME), CONFIG, "name-lookup"),
    "name-server-out": (lambda bench: bench.no_name(socket.EAI_AGAIN), TRANSIENT, "name-lookup"),
    "refused": (lambda bench: bench.away(), TRANSIENT, "unreachable"),
}
BANNER, EHLO, STARTTLS, AUTH = Phase.BANNER, Phase.EHLO, Phase.STARTTLS, Phase.AUTH
GO_AHEAD = "220 2.0.0 go ahead"
SESSION_ROWS = {
    "banner-421": (says(BANNER, Say("421 4.3.2 not active")), TRANSIENT, "session-deferred"),
    "banner-450": (says(BANNER, Say("450 4.3.2 not yet")), TRANSIENT, "session-deferred"),
    "banner-554": (says(BANNER, Say("554 no service")), CONFIG, "session-refused"),
    "banner-eof": (says(BANNER, Drop()), TRANSIENT, "connection-lost"),
    "banner-garbage": (says(BANNER, Raw(b"\x00what?\r\n")), TRANSIENT, "garbled-reply"),
    "banner-silent": (silent(BANNER), TRANSIENT, "timeout"),
    "ehlo-550": (says(EHLO, Say("550 5.5.1 not you")), CONFIG, "session-refused"),
    "no-starttls": (lambda bench: bench.shows(None), CONFIG, "starttls-missing"),
    "starttls-454": (says(STARTTLS, Say("454 4.7.0 not now")), TRANSIENT, "session-deferred"),
    "handshake-reset": (says(STARTTLS, Say(GO_AHEAD), Drop()), TRANSIENT, "connection-lost"),
    "handshake-silent": (silent(STARTTLS, Say(GO_AHEAD)), TRANSIENT, "timeout"),
    "auth-454": (says(AUTH, Say("454 4.7.0 Temporary failure")), TRANSIENT, "auth-unavailable"),
    "auth-421": (says(AUTH, Say("421 4.3.0 closing")), TRANSIENT, "auth-unavailable"),
    "auth-too-many": (says(AUTH, Say("421 Too many auth failures")), THROTTLE, "auth-throttled"),
    "auth-535": (says(AUTH, Say("535 5.7.8 Bad credentials")), CONFIG, "auth-refused"),
    "auth-534": (says(AUTH, Say("534 5.7.9 Log in with your browser")), CONFIG, "auth-refused"),
    "auth-530": (says(AUTH, Say("530 5.7.0 Authentication required")), CONFIG, "auth-refused"),
    "auth-538": (says(AUTH, Say("538 5.7.11 Encryption required")), CONFIG, "auth-tls-required"),
    "auth-432": (says(AUTH, Say("432 4.7.12 A transition")), CONFIG, "auth-password-transition"),
    "auth-basic": (says(AUTH, Say("550 5.7.30 Basic: not supported")), CONFIG, "auth-refused"),
    "auth-silent": (silent(AUTH), TRANSIENT, "timeout"),
}  # fmt: skip
ROWS = CONNECT_ROWS | SESSION_ROWS


def out_and_back(
    bench: FaultBench, address: str, fault: Fault, expected: tuple[FailureClass, str]
) -> None:
    """Have a relay fail as a row of the table says, and come back."""
    seen = len(bench.server.sessions)
    fault(bench)
    event = signup(address)
    bench.post(event)
    out = bench.until_out()
    assert out.kind is Blame.RELAY
    assert (out.outage.failure.kind, out.outage.failure.rule) == expected
    wait_until(lambda: not bench.worker.outages.readiness().ready, 5, "the worker to say so")
    assert bench.entries(event) == []
    assert not any("MAIL" in session.verbs for session in bench.server.sessions[seen:])

    bench.recover()
    assert [e.attempts for e in bench.until(event, MailState.SENT)] == [0]
    assert bench.worker.received(address) == 1
    assert bench.moved(event) == []
    mailed = [session for session in bench.server.sessions[seen:] if "MAIL" in session.verbs]
    assert all(session.secure for session in mailed)


@pytest.mark.parametrize(("fault", "kind", "rule"), ROWS.values(), ids=ROWS)
def test_a_session_that_cannot_begin_is_the_relays(
    secure: FaultBench, address: str, fault: Fault, kind: FailureClass, rule: str
) -> None:
    """The mail stays where it is, uses no attempt, and is sent once when the relay is back."""
    out_and_back(secure, address, fault, (kind, rule))


@pytest.mark.parametrize(
    ("host", "days", "known"),
    [(HOST, -1, True), ("other.example", 1, True), (HOST, 1, False)],
    ids=["expired", "other-name", "unknown-authority"],
)
def test_a_certificate_that_does_not_convince_is_the_relays(
    secure: FaultBench,
    authority: Authority,
    tmp_path: Path,
    address: str,
    host: str,
    days: int,
    known: bool,
) -> None:
    """Neither the mail nor the login is shown, and nothing falls back to clear text."""
    issuer = authority if known else Authority(tmp_path)
    bad = issuer.issue(host, timedelta(days=days)).context()
    seen = len(secure.server.sessions)

    out_and_back(secure, address, lambda bench: bench.shows(bad), (CONFIG, "certificate-refused"))

    logins = [session for session in secure.server.sessions[seen:] if session.login]
    assert all(session.secure for session in logins)


def test_a_relay_that_is_out_is_asked_again_and_again(secure: FaultBench, address: str) -> None:
    """By one mail at a time, however many wait."""
    secure.says(Phase.AUTH, Say("535 5.7.8 Bad credentials"), fresh=True)
    events = [signup(f"{number}.{address}") for number in range(5)]
    secure.post(*events)
    secure.until_out()
    secure.until_seen_again()
    secure.until_seen_again()
    assert all(secure.entries(event) == [] for event in events)

    secure.recover()
    for event in events:
        assert [e.attempts for e in secure.until(event, MailState.SENT)] == [0]


def test_a_relay_without_ehlo_is_greeted_by_helo(clear: FaultBench, address: str) -> None:
    """Once, at once: that is no outage, and no attempt."""
    clear.says(Phase.EHLO, Say("502 5.5.1 not known"), times=1, fresh=True)
    event = signup(address)
    clear.post(event)
    assert [e.attempts for e in clear.until(event, MailState.SENT)] == [0]
    assert clear.server.sessions[-1].verbs[:3] == ["EHLO", "HELO", "MAIL"]
    assert clear.worker.received(address) == 1
    assert not clear.is_out


def test_a_token_that_has_expired_is_fetched_anew(
    by_token: FaultBench, token_file: Path, address: str
) -> None:
    """A 535 to it is no outage, and no mail pays for it: the next login has the new one."""
    first, second = signup(address), signup(address)
    by_token.post(first)
    by_token.until(first, MailState.SENT)
    token_file.write_text("fresh")
    seen = len(by_token.server.sessions)
    by_token.says(AUTH, Say("535 5.7.8 Token expired"), times=1, fresh=True)

    by_token.post(second)

    assert [e.attempts for e in by_token.until(second, MailState.SENT)] == [0]
    logins = [session.login for session in by_token.server.sessions[seen:]]
    assert logins[:2] == [("app", "expired"), ("app", "fresh")]
    assert not by_token.is_out
