"""What a relay holds against one mail: attempts, tiers, dead letters, and others that go on."""

import pytest

from retry_topics.failure import Phase
from runtime.clock import SystemClock
from schemas.ledger import LedgerEntry
from schemas.mail_states import MailState
from tests.support.fault_bench import FaultBench
from tests.support.mailer import signup
from tests.support.smtp_server import Drop, Keep, Raw, Say, Step

MAIL, RCPT, DATA, DOT = Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT
SECOND_TIER_MS = 300


@pytest.mark.parametrize(
    ("phase", "reply"),
    [
        (RCPT, "450 4.2.0 Greylisted"),
        (RCPT, "450 4.2.1 mailbox busy"),
        (RCPT, "451 4.7.1 Greylisted, come back"),
        (RCPT, "452 4.2.2 mailbox full"),
        (RCPT, "552 5.2.2 over quota"),
        (DATA, "451 4.3.0 not now"),
        (DOT, "451 4.3.0 Queue file write error"),
    ],
)
def test_a_mail_that_may_come_later_takes_a_tier(
    clear: FaultBench, address: str, phase: Phase, reply: str
) -> None:
    """One attempt, nothing is out, nobody is suppressed, and it is sent from the first tier."""
    clear.says(phase, Say(reply), recipient=address, times=1)
    event = signup(address)
    clear.post(event)
    told = clear.until(event, MailState.SENT)
    assert [(e.state, e.attempts) for e in told] == [(MailState.RETRY, 1), (MailState.SENT, 1)]
    assert (told[0].code, told[0].kind) == (int(reply[:3]), "transient")
    assert not clear.is_out
    assert not clear.is_suppressed(address)
    assert clear.worker.received(address) == 1
    assert clear.moved(event) == [clear.kafka.topology.retries[0]]


def test_a_mail_that_throws_the_relay_out_of_step_twice_pays_for_it(
    clear: FaultBench, address: str
) -> None:
    """Once may be the session's fault; what trips two of them is the mail's own, and no outage."""
    sessions = len(clear.server.sessions)
    clear.says(RCPT, Say("503 5.5.1 Bad sequence of commands"), recipient=address, times=2)
    event = signup(address)
    clear.post(event)
    told = clear.until(event, MailState.SENT)
    assert [(e.state, e.attempts) for e in told] == [(MailState.RETRY, 1), (MailState.SENT, 1)]
    assert (told[0].code, told[0].scope, told[0].rule) == (503, "message", "out-of-step")
    assert len(clear.server.sessions) - sessions >= 2
    assert not clear.is_out
    assert clear.worker.received(address) == 1


def test_a_mail_comes_back_when_the_relay_asks_it_to(clear: FaultBench, address: str) -> None:
    """A delay in its words counts where it is longer than the tier's."""
    reply = Say("451 4.7.1 Greylisted, please try again in 1 seconds")
    clear.says(RCPT, reply, recipient=address, times=1)
    event = signup(address)
    clear.post(event)
    told = clear.until(event, MailState.SENT)
    assert told[0].due_at is not None
    assert told[0].due_at - told[0].at > 900
    assert told[-1].at >= told[0].due_at
    assert {e.attempts for e in told} == {1}


def test_a_mail_that_fails_behind_the_last_tier_is_dead(clear: FaultBench, address: str) -> None:
    """Each tier once, then the dead-letter topic; the address is no bad one for that."""
    clear.says(RCPT, Say("452 4.2.2 mailbox full"), recipient=address)
    event = signup(address)
    clear.post(event)
    told = clear.until(event, MailState.DEAD)
    assert [(e.state, e.attempts) for e in told] == [
        (MailState.RETRY, 1),
        (MailState.RETRY, 2),
        (MailState.DEAD, 3),
    ]
    assert told[-1].reason == "exhausted"
    topology = clear.kafka.topology
    assert sorted(clear.moved(event)) == sorted([*topology.retries, topology.dlt])
    assert not clear.is_suppressed(address)
    assert clear.worker.received(address) == 0


@pytest.mark.parametrize(
    ("phase", "reply", "suppressed"),
    [
        (RCPT, "550 5.1.1 User unknown", True),
        (RCPT, "550 5.1.2 Bad destination system address", True),
        (RCPT, "550 5.1.3 Bad destination mailbox address syntax", True),
        (RCPT, "550 5.2.1 mailbox disabled", True),
        (RCPT, "551 User not local", True),
        (RCPT, "553 mailbox name not allowed", True),
        (RCPT, "521 this host does not accept mail", True),
        (RCPT, "556 5.1.10 Domain does not accept mail", True),
        (RCPT, "550 5.7.1 Recipient restricted: not allowed sender list", False),
        (MAIL, "552 5.3.4 Message too big", False),
        (MAIL, "501 5.5.4 Syntax error in parameters", False),
        (MAIL, "504 5.5.4 Parameter not implemented", False),
        (MAIL, "555 5.5.4 Unsupported option", False),
        (DATA, "554 5.6.0 no valid recipients", False),
        (DOT, "552 5.2.3 Message length exceeds limit", False),
        (DOT, "552 5.3.4 Message too big", False),
        (DOT, "554 5.6.0 Malformed", False),
        (DOT, "554 5.7.1 message content rejected", False),
        (DOT, "550 spam message rejected", False),
    ],
)
def test_a_mail_that_is_refused_for_good_is_dead_and_alone_in_that(
    clear: FaultBench, address: str, phase: Phase, reply: str, suppressed: bool
) -> None:
    """One attempt, the dead-letter topic, and the next mail goes out; a bad address gets none."""
    recipient = None if phase is MAIL else address
    clear.says(phase, Say(reply), recipient=recipient, times=1)
    event = signup(address)
    clear.post(event)
    (dead,) = clear.until(event, MailState.DEAD)
    assert (dead.attempts, dead.code, dead.reason) == (1, int(reply[:3]), "refused")
    assert clear.moved(event) == [clear.kafka.topology.dlt]
    assert clear.is_suppressed(address) is suppressed
    again, other = signup(address), signup(f"bob@{address.partition('@')[2]}")
    clear.post(again, other)
    clear.until(other, MailState.SENT)
    (told,) = clear.until(again, MailState.SUPPRESSED if suppressed else MailState.SENT)
    assert told.attempts == 0
    assert clear.worker.received(address) == (not suppressed)
    assert not clear.is_out


@pytest.mark.parametrize("reply", ["501 5.5.4 Syntax", "504 5.5.4 Parameter", "555 5.5.4 Option"])
def test_a_relay_that_does_not_understand_mail_gets_a_new_connection(
    clear: FaultBench, address: str, reply: str
) -> None:
    """The one on which it said so is closed."""
    clear.says(MAIL, Say(reply), times=1)
    after = f"bob@{address.partition('@')[2]}"
    for recipient, state in ((address, MailState.DEAD), (after, MailState.SENT)):
        event = signup(recipient)
        clear.post(event)
        clear.until(event, state)
    commands = (f"RCPT TO:<{address}>", f"RCPT TO:<{after}>")
    used = [[c in session.commands for c in commands] for session in clear.server.sessions]
    assert [True, True] not in used
    assert [any(column) for column in zip(*used, strict=True)] == [True, True]


@pytest.mark.parametrize("step", [Drop(), Raw(b"what?\r\n"), Say("354 eh")])
@pytest.mark.parametrize("kept", [True, False])
def test_no_answer_to_the_dot_is_tried_again_after_the_second_tier(
    clear: FaultBench, address: str, kept: bool, step: Step
) -> None:
    """Nobody knows whether the mail was taken, so it may come twice; it uses an attempt."""
    steps = [*([Keep()] if kept else []), step]
    clear.says(DOT, *steps, recipient=address, times=1)
    event = signup(address)
    clear.post(event)
    expect_a_doubt(clear, event.recipient.address, clear.until(event, MailState.SENT), kept)


def test_silence_behind_the_dot_is_a_doubt(secure: FaultBench, address: str) -> None:
    """As a break there is: the relay may be storing the mail this moment."""
    secure.silent(DOT, recipient=address, times=1)
    event = signup(address)
    secure.post(event)
    expect_a_doubt(secure, address, secure.until(event, MailState.SENT), kept=False)
    assert not secure.is_out


def expect_a_doubt(bench: FaultBench, address: str, told: list[LedgerEntry], kept: bool) -> None:
    assert [(e.state, e.kind, e.attempts) for e in told] == [
        (MailState.RETRY, "ambiguous", 1),
        (MailState.SENT, "", 1),
    ]
    # The entry is made a moment after the decision.
    assert told[0].due_at is not None
    assert told[0].due_at - told[0].at > SECOND_TIER_MS / 2
    assert bench.worker.received(address) == 1 + kept


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("250 2.0.0 Ok: queued as 4XYZ", ""),
        ("251 will forward", ""),
        ("254 4.7.1 Suppression for user ocid1 to ada", "relay-suppressed"),
    ],
)
def test_any_2yz_behind_the_dot_is_acceptance(
    clear: FaultBench, address: str, reply: str, reason: str
) -> None:
    """The mail is sent, with the relay's words, and says so if the relay sends it to nobody."""
    clear.says(DOT, Keep(), Say(reply), recipient=address, times=1)
    event = signup(address)
    clear.post(event)
    (sent,) = clear.until(event, MailState.SENT)
    assert (sent.attempts, sent.text, sent.reason) == (0, reply, reason)
    assert clear.worker.received(address) == 1


@pytest.mark.parametrize(
    ("offers", "recipient", "rule"),
    [
        (("PIPELINING", "8BITMIME"), "zoë@", "smtputf8-missing"),
        (("PIPELINING", "SIZE 200"), "zoe@", "size-limit"),
    ],
)
def test_a_mail_that_the_relay_cannot_take_is_not_offered(
    clear: FaultBench, address: str, offers: tuple[str, ...], recipient: str, rule: str
) -> None:
    """It is dead with one attempt, and the relay is not asked, nor blamed."""
    clear.offers(*offers)
    seen = len(clear.server.sessions)
    recipient += address.partition("@")[2]
    event = signup(recipient)
    clear.post(event)
    (dead,) = clear.until(event, MailState.DEAD)
    assert (dead.attempts, dead.rule, dead.reason) == (1, rule, "refused")
    assert not any("MAIL" in session.verbs for session in clear.server.sessions[seen:])
    assert clear.worker.received(recipient) == 0
    assert not clear.is_out


@pytest.mark.parametrize(
    ("offers", "recipient"), [((), "zoe@"), (("SMTPUTF8", "8BITMIME"), "zoë@")]
)
def test_a_mail_in_any_language_needs_no_8bitmime(
    clear: FaultBench, address: str, offers: tuple[str, ...], recipient: str
) -> None:
    """Its parts are encoded; only an address that is not ASCII asks for more."""
    clear.offers(*offers)
    recipient += address.partition("@")[2]
    event = signup(recipient, locale="zh-CN")
    clear.post(event)
    assert [e.attempts for e in clear.until(event, MailState.SENT)] == [0]
    assert clear.worker.received(recipient) == 1


def test_a_mail_whose_time_is_over_is_not_offered(clear: FaultBench, address: str) -> None:
    """It is expired, without an attempt, and no dead letter."""
    event = signup(address, expires_at=SystemClock().now_ms() - 1)
    clear.post(event)
    (expired,) = clear.until(event, MailState.EXPIRED)
    assert expired.attempts == 0
    assert clear.worker.received(address) == 0
    assert clear.moved(event) == []
