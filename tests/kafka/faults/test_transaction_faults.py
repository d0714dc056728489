"""What a relay holds against us, not against a mail: senders, rates, quotas, broken connections."""

import pytest

from consumers.delivery.blame import Blame
from retry_topics.failure import Phase
from schemas.mail_states import MailState
from tests.support.fault_bench import FaultBench
from tests.support.mailer import signup
from tests.support.smtp_server import Drop, Raw, Say, Step, Take
from tests.support.wait import wait_until

MAIL, RCPT, DATA, DOT = Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT
RELAY, SENDER = Blame.RELAY, Blame.SENDER
GONE = "421 4.3.0 closing"

ROWS = {
    "mail-530": (MAIL, "530 5.7.0 Authentication required", RELAY, "login-required"),
    "mail-553": (MAIL, "553 5.7.1 Sender rejected: not owned by user", SENDER, "sender-forbidden"),
    "mail-5.1.7": (MAIL, "553 5.1.7 Bad sender's mailbox syntax", SENDER, "sender-refused"),
    "mail-5.1.8": (MAIL, "550 5.1.8 Bad sender's system address", SENDER, "sender-refused"),
    "mail-5.7.60": (MAIL, "550 5.7.60 not permitted to send as", SENDER, "sender-forbidden"),
    "mail-403": (MAIL, "403 not authorized to send from that address", SENDER, "sender-forbidden"),
    "dot-unverified": (DOT, "554 Email address is not verified.", SENDER, "sender-forbidden"),
    "mail-452-rate": (MAIL, "452 4.4.5 Messages per second limit exceeded", RELAY, "send-quota"),
    "mail-451-rate": (MAIL, "451 4.7.1 Rate limited, slow down", RELAY, "throttled"),
    "mail-421-rate": (MAIL, "421 4.7.0 Too many messages, slow down", RELAY, "throttled"),
    "mail-450-peak": (MAIL, "450 4.2.1 Peak SMTP relay limit exceeded", RELAY, "send-quota"),
    "dot-454-rate": (DOT, "454 Throttling failure: Maximum sending rate exceeded.", RELAY,
                     "send-quota"),
    "rcpt-quota": (RCPT, "550 5.4.5 Daily user sending quota exceeded", RELAY, "send-quota"),
    "mail-frequency": (MAIL, "550 Connection frequency limited", RELAY, "throttled"),
    "dot-quota": (DOT, "454 Throttling failure: Daily message quota exceeded.", RELAY,
                  "send-quota"),
    "mail-421": (MAIL, GONE, RELAY, "relay-closing"),
    "rcpt-421": (RCPT, GONE, RELAY, "relay-closing"),
    "data-421": (DATA, GONE, RELAY, "relay-closing"),
    "dot-421": (DOT, GONE, RELAY, "relay-closing"),
    "mail-lost": (MAIL, None, RELAY, "connection-lost"),
    "rcpt-lost": (RCPT, None, RELAY, "connection-lost"),
    "data-lost": (DATA, None, RELAY, "connection-lost"),
}  # fmt: skip


@pytest.mark.parametrize(("phase", "reply", "kind", "rule"), ROWS.values(), ids=ROWS)
def test_a_refusal_of_us_is_nobodys_attempt(
    clear: FaultBench, address: str, phase: Phase, reply: str | None, kind: Blame, rule: str
) -> None:
    """A sender, a rate, a quota or a broken connection pauses everything until a probe passes."""
    clear.says(phase, Say(reply) if reply else Drop())
    event = signup(address)
    clear.post(event)
    out = clear.until_out()
    assert (out.kind, out.outage.failure.rule) == (kind, rule)
    wait_until(lambda: not clear.worker.outages.readiness().ready, 5, "the worker to say so")
    assert clear.entries(event) == []

    clear.recover()
    assert [e.attempts for e in clear.until(event, MailState.SENT)] == [0]
    assert clear.worker.received(address) == 1
    assert clear.moved(event) == []


def test_a_relay_that_says_nothing_to_an_envelope_is_out(secure: FaultBench, address: str) -> None:
    """Its time is over, and the connection is not used again."""
    secure.silent(Phase.RCPT)
    event = signup(address)
    secure.post(event)
    out = secure.until_out()
    assert (out.kind, out.outage.failure.rule) == (RELAY, "timeout")
    assert secure.entries(event) == []

    secure.recover()
    assert [e.attempts for e in secure.until(event, MailState.SENT)] == [0]
    assert secure.worker.received(address) == 1


def test_a_break_before_the_dot_is_out_is_the_relays(clear: FaultBench, address: str) -> None:
    """It cannot have a mail whose end was not written yet: no attempt, no doubt, no copy."""
    clear.says(Phase.DATA, Say("354 go ahead"), Take(50_000), Drop(), recipient=address)
    large = {"subject": "large", "body": "\u5927" * 100_000}
    event = signup(address, template="plain", data=large)
    clear.post(event)
    out = clear.until_out()
    assert (out.kind, out.outage.failure.phase) == (RELAY, Phase.DATA)
    assert clear.entries(event) == []

    clear.recover()
    assert [e.attempts for e in clear.until(event, MailState.SENT)] == [0]
    assert clear.worker.received(address) == 1


def test_a_domain_that_has_us_on_a_list_waits_alone(clear: FaultBench, address: str) -> None:
    """Its mails are scheduled with the reason, and use no attempt; other domains' go out."""
    blocked = Say("554 5.7.1 Client host blocked using sbl-xbl.spamhaus.org")
    clear.says(Phase.RCPT, blocked, recipient=address)
    event, other = signup(address), signup(f"bob@other-{address.partition('@')[2]}")
    clear.post(event)
    out = clear.until_out()
    assert (out.kind, out.name) == (Blame.DOMAIN, address.partition("@")[2])
    assert clear.worker.outages.readiness().ready
    clear.post(other)
    assert [e.attempts for e in clear.until(other, MailState.SENT)] == [0]
    put_off = clear.until(event, MailState.SCHEDULED)[0]
    assert (put_off.attempts, put_off.reason, put_off.rule) == (0, "domain-out", "address-blocked")
    assert "(since " in put_off.text

    clear.recover()
    assert {e.attempts for e in clear.until(event, MailState.SENT)} == {0}
    assert clear.worker.received(address) == 1
    assert clear.kafka.topology.dlt not in clear.moved(event)


def test_a_template_that_relays_refuse_waits_alone(clear: FaultBench, address: str) -> None:
    """Nineteen of twenty are dead; those behind them wait, and other templates go out."""
    domain = address.partition("@")[2]
    addresses = [f"user{number}@{domain}" for number in range(25)]
    for each in addresses:
        clear.says(Phase.DOT, Say("554 5.7.1 spam content refused"), recipient=each)
    events = [signup(each, template="welcome", data={"name": "Ada"}) for each in addresses]
    clear.post(*events)
    out = clear.until_out()
    assert (out.kind, out.name) == (Blame.TEMPLATE, "welcome")
    other = signup(f"bob@{domain}")
    clear.post(other)
    clear.until(other, MailState.SENT)

    clear.recover()
    last = [clear.until(event, MailState.DEAD, MailState.SENT)[-1] for event in events]
    assert sum(entry.state is MailState.DEAD for entry in last) == 19
    assert [e.attempts for e in last if e.state is MailState.SENT] == [0] * 6


def test_recipients_in_a_row_that_are_not_relayed_to_are_the_relays(
    clear: FaultBench, address: str
) -> None:
    """The first one uses an attempt, since the relay took others before; no mail is dead."""
    before = signup(f"first.{address}")
    clear.post(before)
    clear.until(before, MailState.SENT)
    clear.says(Phase.RCPT, Say("554 5.7.1 Relay access denied"))
    events = [signup(f"user{number}.{address}") for number in range(10)]
    clear.post(*events)
    assert clear.until_out().kind is RELAY

    clear.recover()
    last = [clear.until(event, MailState.SENT)[-1] for event in events]
    assert sum(entry.attempts for entry in last) == 1


@pytest.mark.parametrize("phase", [MAIL, RCPT, DATA])
@pytest.mark.parametrize(
    "step",
    [Say("503 5.5.1 sequence"), Say("500 what"), Say("334 eh"), Raw(b"?\r\n")],
    ids=["503", "500", "334", "garbage"],
)
def test_a_relay_out_of_step_is_asked_once_more_on_a_fresh_connection(
    clear: FaultBench, address: str, phase: Phase, step: Step
) -> None:
    """At once, which mends it: no attempt, no outage, one copy."""
    clear.says(phase, step, times=1)
    event = signup(address)
    clear.post(event)
    assert [e.attempts for e in clear.until(event, MailState.SENT)] == [0]
    assert clear.worker.received(address) == 1
    assert not clear.is_out


@pytest.mark.parametrize(
    "step",
    [Say("503 5.5.1 sequence"), Raw(b"?\r\n"), Raw(b"250 2.1.0 Ok\r\n" * 4)],
    ids=["503", "garbage", "ahead"],
)
def test_a_relay_out_of_step_twice_is_the_mails_own_attempt(
    clear: FaultBench, address: str, step: Step
) -> None:
    """The mail may be what trips it, so it takes the tiers, and others go out meanwhile."""
    clear.says(Phase.RCPT, step, recipient=address, times=2)
    event, other = signup(address), signup(f"bob@{address.partition('@')[2]}")
    clear.post(event, other)
    assert [e.attempts for e in clear.until(other, MailState.SENT)] == [0]
    told = clear.until(event, MailState.SENT)
    assert [(e.state, e.attempts) for e in told] == [(MailState.RETRY, 1), (MailState.SENT, 1)]
    assert clear.worker.received(address) == 1
    assert not clear.is_out


@pytest.mark.parametrize("ahead", [b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n"])
def test_a_reply_that_nobody_asked_for_is_never_taken_for_an_acceptance(
    clear: FaultBench, address: str, ahead: bytes
) -> None:
    """A relay that is a reply ahead is left, and the mail arrives once on a new connection."""
    clear.says(Phase.DATA, Raw(b"354 go ahead\r\n" + ahead), times=1)
    event = signup(address)
    clear.post(event)
    assert [e.attempts for e in clear.until(event, MailState.SENT)] == [0]
    assert clear.worker.received(address) == 1
    assert not clear.is_out
