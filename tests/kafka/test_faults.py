"""What a real worker does about each fault of a relay: mails received, attempts used, status."""

import ssl
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from consumers.delivery.blame import Blame
from retry_topics.failure import Phase
from retry_topics.topology import Topology, parse_tiers
from schemas.events import SignupEvent
from schemas.ledger import LedgerEntry
from schemas.mail_states import MailState
from schemas.privacy import address_hash
from tests.support.broker import BrokerAddress, create_topology
from tests.support.certificates import Authority
from tests.support.mailer import Kafka, event_of, signup
from tests.support.smtp_server import Drop, Keep, Raw, Say, ScriptedServer, Step
from tests.support.wait import wait_until
from tests.support.worker_thread import WorkerThread

EXTENSIONS = ("8BITMIME", "SIZE 100000", "PIPELINING", "AUTH PLAIN")


def kafka_at(broker: BrokerAddress, name: str, partitions: int = 1) -> Kafka:
    prefix = f"faults-{name}-{uuid.uuid4().hex[:8]}"
    topology = Topology(prefix, parse_tiers("200ms,400ms"), partitions)
    create_topology(broker.bootstrap, topology)
    return Kafka(broker.bootstrap, topology)


@pytest.fixture(scope="module")
def worker(
    broker: BrokerAddress, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerThread]:
    """A worker that logs in to a relay on a connection that is kept, for all rows."""
    server = ScriptedServer(EXTENSIONS)
    state = tmp_path_factory.mktemp("state")
    kafka = kafka_at(broker, "clear")
    with WorkerThread(kafka, server, lambda s: s.url(credentials="app:secret"), state) as running:
        yield running


@pytest.fixture
def address(request: pytest.FixtureRequest, worker: WorkerThread) -> Iterator[str]:
    """A recipient at a domain of its own, and a relay that is friendly before and afterwards."""
    yield f"ada@{uuid.uuid4().hex[:10]}.example"
    worker.on(worker.server.friendly)
    wait_until(lambda: worker.outage() is None, 20, "nothing to be out")


def entries_of(kafka: Kafka, event: SignupEvent) -> list[LedgerEntry]:
    return [entry for event_id, entry in kafka.entries() if event_id == event.event_id]


def until(kafka: Kafka, event: SignupEvent, state: MailState) -> list[LedgerEntry]:
    """Wait for a mail's state, and return what the ledger says of it."""
    found: list[LedgerEntry] = []

    def reached() -> bool:
        found[:] = entries_of(kafka, event)
        return bool(found) and found[-1].state is state

    try:
        wait_until(reached, 20)
    except AssertionError:
        raise AssertionError(f"the mail did not become {state}: {found}") from None
    return found


def until_seen_again(worker: WorkerThread, sessions: int) -> None:
    wait_until(lambda: len(worker.server.sessions) > sessions, 20, "a probe")


def moved(kafka: Kafka, event: SignupEvent) -> list[str]:
    """Return the topics behind the main topic on which a mail has been."""
    topics = (*kafka.topology.retries, kafka.topology.dlt)
    return [t for t in topics for r in kafka.read(t) if event_of(r).event_id == event.event_id]


SESSION_ROWS = [
    ("banner-421", Phase.BANNER, [Say("421 4.3.2 Service not active")], "session-deferred"),
    ("banner-554", Phase.BANNER, [Say("554 no service")], "session-refused"),
    ("banner-eof", Phase.BANNER, [Drop()], "connection-lost"),
    ("banner-garbage", Phase.BANNER, [Raw(b"\x00what?\r\n")], "garbled-reply"),
    ("ehlo-5xx", Phase.EHLO, [Say("550 5.5.1 not you")], None),
    ("auth-454", Phase.AUTH, [Say("454 4.7.0 Temporary authentication failure")], None),
    ("auth-421", Phase.AUTH, [Say("421 4.3.0 closing")], None),
    ("auth-535", Phase.AUTH, [Say("535 5.7.8 Bad credentials")], None),
    ("auth-534", Phase.AUTH, [Say("534 5.7.9 Log in with your browser")], None),
    ("auth-538", Phase.AUTH, [Say("538 5.7.11 Encryption required")], None),
    ("auth-432", Phase.AUTH, [Say("432 4.7.12 A password transition is needed")], None),
    ("auth-basic", Phase.AUTH, [Say("550 5.7.30 Basic authentication is not supported")], None),
]
TRANSACTION_ROWS = [
    ("mail-530", Phase.MAIL, [Say("530 5.7.0 Authentication required")], Blame.RELAY),
    ("mail-553", Phase.MAIL, [Say("553 5.7.1 Sender rejected: not owned by user")], Blame.SENDER),
    ("mail-5.7.60", Phase.MAIL, [Say("550 5.7.60 not permitted to send as")], Blame.SENDER),
    ("dot-unverified", Phase.DOT, [Say("554 Message rejected: Email address is not verified.")],
     Blame.SENDER),
    ("mail-rate", Phase.MAIL, [Say("452 4.4.5 Messages per second limit exceeded")], Blame.RELAY),
    ("dot-rate", Phase.DOT, [Say("454 Throttling failure: Maximum sending rate exceeded.")],
     Blame.RELAY),
    ("rcpt-quota", Phase.RCPT, [Say("550 5.4.5 Daily user sending quota exceeded")], Blame.RELAY),
    ("mail-421", Phase.MAIL, [Say("421 4.3.0 closing")], Blame.RELAY),
    ("dot-421", Phase.DOT, [Say("421 4.3.0 closing")], Blame.RELAY),
    ("data-lost", Phase.DATA, [Drop()], Blame.RELAY),
    ("rcpt-lost", Phase.RCPT, [Drop()], Blame.RELAY),
]  # fmt: skip


@pytest.mark.parametrize(
    ("phase", "steps", "rule"), [row[1:] for row in SESSION_ROWS], ids=[r[0] for r in SESSION_ROWS]
)
def test_a_session_that_cannot_begin_is_the_relays(
    worker: WorkerThread, address: str, phase: Phase, steps: Sequence[Step], rule: str | None
) -> None:
    """The mail stays where it is, uses no attempt, and is sent once when the relay is back."""
    worker.on(lambda: worker.server.on(phase, *steps), fresh=True)
    event = signup(address)
    worker.kafka.post([event])
    out = worker.until_out()
    assert out.kind is Blame.RELAY
    assert rule in (None, out.outage.failure.rule)
    until_seen_again(worker, len(worker.server.sessions))
    assert entries_of(worker.kafka, event) == []
    assert worker.received(address) == 0

    worker.on(worker.server.friendly)
    assert [e.attempts for e in until(worker.kafka, event, MailState.SENT)] == [0]
    assert worker.received(address) == 1
    assert moved(worker.kafka, event) == []


@pytest.mark.parametrize(
    ("phase", "steps", "kind"),
    [row[1:] for row in TRANSACTION_ROWS],
    ids=[row[0] for row in TRANSACTION_ROWS],
)
def test_a_refusal_of_us_is_nobodys_attempt(
    worker: WorkerThread, address: str, phase: Phase, steps: Sequence[Step], kind: Blame
) -> None:
    """A sender, a rate, a quota or a broken connection pauses everything until a probe passes."""
    worker.on(lambda: worker.server.on(phase, *steps))
    event = signup(address)
    worker.kafka.post([event])
    assert worker.until_out().kind is kind
    wait_until(lambda: not worker.outages.readiness().ready, 5, "the worker to say so")
    assert entries_of(worker.kafka, event) == []

    worker.on(worker.server.friendly)
    assert [e.attempts for e in until(worker.kafka, event, MailState.SENT)] == [0]
    assert worker.received(address) == 1
    assert moved(worker.kafka, event) == []


@pytest.mark.parametrize(
    ("phase", "reply"),
    [
        (Phase.RCPT, "450 4.2.0 Greylisted"),
        (Phase.RCPT, "451 4.7.1 Greylisted, come back"),
        (Phase.RCPT, "452 4.2.2 mailbox full"),
        (Phase.RCPT, "552 5.2.2 over quota"),
        (Phase.DOT, "451 4.3.0 Queue file write error"),
        (Phase.DATA, "451 4.3.0 not now"),
    ],
)
def test_a_mail_that_may_come_later_takes_a_tier(
    worker: WorkerThread, address: str, phase: Phase, reply: str
) -> None:
    """One attempt, nothing is out, and it is sent from the first tier."""
    worker.on(lambda: worker.server.on(phase, Say(reply), recipient=address, times=1))
    event = signup(address)
    worker.kafka.post([event])
    told = until(worker.kafka, event, MailState.SENT)
    assert [(e.state, e.attempts) for e in told] == [(MailState.RETRY, 1), (MailState.SENT, 1)]
    assert worker.outage() is None
    assert worker.received(address) == 1


@pytest.mark.parametrize(
    ("phase", "reply", "suppressed"),
    [
        (Phase.RCPT, "550 5.1.1 User unknown", True),
        (Phase.RCPT, "556 5.1.10 Domain does not accept mail", True),
        (Phase.RCPT, "550 5.7.1 Recipient restricted: not allowed sender list", False),
        (Phase.MAIL, "552 5.3.4 Message too big", False),
        (Phase.MAIL, "555 5.5.4 Unsupported option", False),
        (Phase.DOT, "554 5.6.0 Malformed", False),
        (Phase.DOT, "550 spam message rejected", False),
    ],
)
def test_a_mail_that_is_refused_for_good_is_dead_and_alone_in_that(
    worker: WorkerThread, address: str, phase: Phase, reply: str, suppressed: bool
) -> None:
    """One attempt, the dead-letter topic, and the next mail goes out."""
    recipient = None if phase is Phase.MAIL else address
    worker.on(lambda: worker.server.on(phase, Say(reply), recipient=recipient, times=1))
    event = signup(address)
    worker.kafka.post([event])
    (dead,) = until(worker.kafka, event, MailState.DEAD)
    assert (dead.attempts, dead.code) == (1, int(reply[:3]))
    assert moved(worker.kafka, event) == [worker.kafka.topology.dlt]
    known = {record.key for record in worker.kafka.read(worker.kafka.topology.suppressions)}
    assert (address_hash(address) in known) is suppressed
    after = signup(f"bob@{address.partition('@')[2]}")
    worker.kafka.post([after])
    until(worker.kafka, after, MailState.SENT)
    assert worker.outage() is None
    assert worker.received(address) == 0


@pytest.mark.parametrize(
    "step", [Say("503 5.5.1 sequence"), Say("500 what"), Say("334 eh"), Raw(b"?\r\n")]
)
def test_a_relay_out_of_step_is_asked_once_more_on_a_fresh_connection(
    worker: WorkerThread, address: str, step: Step
) -> None:
    """Once is mended at once; twice in a row is the mail's own attempt, never an outage."""
    worker.on(lambda: worker.server.on(Phase.RCPT, step, recipient=address, times=1))
    event = signup(address)
    worker.kafka.post([event])
    assert [e.attempts for e in until(worker.kafka, event, MailState.SENT)] == [0]

    worker.on(lambda: worker.server.on(Phase.RCPT, step, recipient=address, times=2))
    event = signup(address)
    worker.kafka.post([event])
    told = until(worker.kafka, event, MailState.SENT)
    assert [(e.state, e.attempts) for e in told] == [(MailState.RETRY, 1), (MailState.SENT, 1)]
    assert worker.received(address) == 2
    assert worker.outage() is None


@pytest.mark.parametrize("kept", [True, False])
def test_a_break_behind_the_dot_is_tried_again_after_the_second_tier(
    worker: WorkerThread, address: str, kept: bool
) -> None:
    """Nobody knows whether it was taken, so it may come twice; it uses an attempt."""
    steps = [*([Keep()] if kept else []), Drop()]
    worker.on(lambda: worker.server.on(Phase.DOT, *steps, recipient=address, times=1))
    event = signup(address)
    worker.kafka.post([event])
    told = until(worker.kafka, event, MailState.SENT)
    assert [(e.state, e.kind, e.attempts) for e in told] == [
        (MailState.RETRY, "ambiguous", 1),
        (MailState.SENT, "", 1),
    ]
    assert told[0].due_at is not None
    assert told[0].due_at - told[0].at >= 400
    assert worker.received(address) == 1 + kept


def test_a_domain_that_has_us_on_a_list_waits_alone(worker: WorkerThread, address: str) -> None:
    """Its mails are scheduled with the reason, and use no attempt; other domains' go out."""
    blocked = Say("554 5.7.1 Client host blocked using sbl-xbl.spamhaus.org")
    worker.on(lambda: worker.server.on(Phase.RCPT, blocked, recipient=address))
    event, other = signup(address), signup(f"bob@{uuid.uuid4().hex[:8]}.example")
    worker.kafka.post([event])
    (put_off,) = until(worker.kafka, event, MailState.SCHEDULED)[:1]
    assert (put_off.attempts, put_off.reason, put_off.rule) == (0, "domain-out", "address-blocked")
    assert "(since " in put_off.text
    out = worker.until_out()
    assert (out.kind, out.name) == (Blame.DOMAIN, address.partition("@")[2])
    assert worker.outages.readiness().ready
    worker.kafka.post([other])
    assert [e.attempts for e in until(worker.kafka, other, MailState.SENT)] == [0]

    worker.on(worker.server.friendly)
    told = until(worker.kafka, event, MailState.SENT)
    assert {e.attempts for e in told} == {0}
    assert worker.received(address) == 1
    assert worker.kafka.topology.dlt not in moved(worker.kafka, event)


def test_a_template_that_relays_refuse_waits_alone(worker: WorkerThread, address: str) -> None:
    """Nineteen of twenty are dead; those behind them wait, and other templates go out."""
    domain = address.partition("@")[2]
    addresses = [f"user{number}@{domain}" for number in range(25)]
    spam = Say("554 5.7.1 spam content refused")
    for each in addresses:
        worker.on(lambda each=each: worker.server.on(Phase.DOT, spam, recipient=each))
    events = [signup(each, template="welcome", data={"name": "Ada"}) for each in addresses]
    worker.kafka.post(events)
    out = worker.until_out()
    assert (out.kind, out.name) == (Blame.TEMPLATE, "welcome")
    other = signup(f"bob@{domain}")
    worker.kafka.post([other])
    until(worker.kafka, other, MailState.SENT)

    worker.on(worker.server.friendly)
    wait_until(lambda: worker.kafka.lag() == 0, 30, "everything to be sent or dead")
    last = dict(worker.kafka.entries())
    states = [last[event.event_id] for event in events]
    assert sum(entry.state is MailState.DEAD for entry in states) == 19
    assert [e.attempts for e in states if e.state is MailState.SENT] == [0] * 6


def test_recipients_in_a_row_that_are_not_relayed_to_are_the_relays(
    worker: WorkerThread, address: str
) -> None:
    """The first two use an attempt, since the relay took others before; no mail is dead."""
    domain = address.partition("@")[2]
    before = signup(f"first@{domain}")
    worker.kafka.post([before])
    until(worker.kafka, before, MailState.SENT)
    worker.on(lambda: worker.server.on(Phase.RCPT, Say("554 5.7.1 Relay access denied")))
    events = [signup(f"user{number}@{domain}") for number in range(10)]
    worker.kafka.post(events)
    assert worker.until_out().kind is Blame.RELAY

    worker.on(worker.server.friendly)
    wait_until(lambda: worker.kafka.lag() == 0, 30, "everything to be sent")
    last = dict(worker.kafka.entries())
    told = [last[event.event_id] for event in events]
    assert {entry.state for entry in told} == {MailState.SENT}
    assert sum(entry.attempts for entry in told) == 2


@pytest.mark.parametrize("days", [-1, 1], ids=["expired", "no-starttls"])
def test_without_tls_that_convinces_nothing_leaves(
    broker: BrokerAddress, tmp_path: Path, days: int
) -> None:
    """Neither an expired certificate nor its lack makes us fall back to clear text."""
    authority = Authority(tmp_path)
    bad = authority.issue("127.0.0.1", timedelta(days=-1)).context() if days < 0 else None
    server = ScriptedServer(("8BITMIME",), tls=bad)
    query = f"?ca={authority.file}"
    kafka = kafka_at(broker, "tls")

    def url(server: ScriptedServer) -> str:
        return server.url("smtp+starttls", query=query)

    with WorkerThread(kafka, server, url, tmp_path / "state") as worker:
        event = signup("ada@example.com")
        kafka.post([event])
        out = worker.until_out()
        assert (out.kind, out.outage.failure.kind) == (Blame.RELAY, "config")
        until_seen_again(worker, len(server.sessions))
        assert entries_of(kafka, event) == []
        assert not any("MAIL" in session.verbs for session in server.sessions)
        good: ssl.SSLContext = authority.issue().context()
        worker.on(lambda: setattr(server, "tls", good))
        assert [e.attempts for e in until(kafka, event, MailState.SENT)] == [0]
        assert all(session.secure for session in server.sessions if "MAIL" in session.verbs)
