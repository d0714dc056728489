"""Endings: the entry, the forward and the change that each way to end causes."""

from dataclasses import replace
from uuid import UUID

from consumers.mailer.completion import Completion
from consumers.mailer.endings import Endings
from consumers.mailer.job import Job, Subject
from consumers.mailer.ledger.lane import LaneLedger
from retry_topics.headers import Journey, read_journey
from retry_topics.policy import DeadReason
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.records import OutRecord, Record
from schemas.control import ControlAction, ControlCommand
from schemas.ledger import TEXT_CHARACTERS, LedgerEntry, owner_of, read_entry
from schemas.mail_states import MailState
from schemas.privacy import address_hash
from schemas.suppressions import read_suppression
from tests.support.clock import ManualClock
from tests.support.ledgers import MemoryStore
from tests.support.simulated_relay import LATER, NO_SUCH_RECIPIENT, REFUSED

TOPOLOGY = Topology("t", parse_tiers("1m,10m"), 8)
ADDRESS = "ada@example.com"
JOURNEY = Journey(attempts=1, generation=2, step=3)
MAIL = UUID(int=7).bytes


def endings() -> Endings:
    return Endings(TOPOLOGY, "host-0", ManualClock())


def job(*, decoded: bool = True) -> Job:
    record = Record("t", 5, 40, 0, b"key", b"value", (("x-kept", b"yes"),))
    made = Job(record, record.source, 1, LaneLedger(5, MemoryStore(), None, {}))
    made.subject = Subject(MAIL, owner_of("acme"), "welcome", "acme") if decoded else None
    return made


def told(done: Completion) -> tuple[LedgerEntry, tuple[OutRecord, ...]]:
    """Return the ledger's entry and the other records, after a look at where they all go."""
    first, *others = done.records
    assert {record.partition for record in done.records} == {5}
    assert (first.topic, first.key) == ("t.ledger", MAIL)
    return read_entry(first.value), tuple(others)


def test_a_sent_mail_is_one_entry_and_no_forward() -> None:
    """Its text is the relay's reply; the record that counts is the present one."""
    done = endings().sent(job(), JOURNEY, "250 Ok")
    entry, others = told(done)
    assert (entry.state, entry.generation, entry.step) == (MailState.SENT, 2, 3)
    assert (entry.text, entry.tenant, entry.worker) == ("250 Ok", "acme", "host-0")
    assert others == ()
    assert done.change is not None
    assert done.change.standing.state is MailState.SENT


def test_a_mail_that_a_relay_takes_for_nobody_is_sent_and_says_so() -> None:
    """It is out of our hands, and whoever looks for it learns why it did not arrive."""
    reply = "254 4.7.1 Suppression for user ocid1.user to ada@example.com"
    entry, _ = told(endings().sent(job(), JOURNEY, reply))
    assert (entry.state, entry.reason) == (MailState.SENT, "relay-suppressed")
    assert entry.text == "254 4.7.1 Suppression for user ocid1.user to a***@example.com"


def test_a_forward_and_its_entry_name_the_same_step() -> None:
    """So the ledger knows the record that comes next, and drops the one that went before."""
    now = ManualClock().now_ms()
    entry, (forward,) = told(endings().retry(job(), JOURNEY, LATER, now + 60_000, now))
    assert (entry.state, entry.step, entry.due_at) == (MailState.RETRY, 4, now + 60_000)
    assert (entry.code, entry.rule) == (450, "later")
    assert forward.topic == "t.retry.1m"
    assert (forward.key, forward.value) == (b"key", b"value")
    assert read_journey(forward.headers).step == 4
    assert ("x-kept", b"yes") in forward.headers


def test_a_dead_mail_takes_its_story_to_the_dead_letter_topic() -> None:
    """A refusal for another reason than the address suppresses nobody."""
    done = endings().dead(job(), JOURNEY, DeadReason.REFUSED, REFUSED, ADDRESS)
    entry, (forward,) = told(done)
    death = read_journey(forward.headers).death
    assert (entry.state, forward.topic) == (MailState.DEAD, "t.dlt")
    assert death is not None
    assert death.reason == "refused"
    assert done.suppression is None


def test_a_bad_address_is_suppressed_with_its_mail_s_death() -> None:
    """In the same transaction, and without the plain address."""
    done = endings().dead(job(), JOURNEY, DeadReason.REFUSED, NO_SUCH_RECIPIENT, ADDRESS)
    _, (_, record) = told(done)
    assert (record.topic, record.key) == ("t.suppressions", address_hash(ADDRESS))
    assert read_suppression(record.value).masked == "a***@example.com"
    assert done.suppression is not None
    assert done.suppression.suppressed


def test_what_a_relay_says_names_nobody() -> None:
    """The ledger and the suppressions outlive the mail; the dead-letter topic has its address."""
    said = f"<{ADDRESS}>: Recipient address rejected: {'x' * 300}"
    done = endings().dead(
        job(), JOURNEY, DeadReason.REFUSED, replace(NO_SUCH_RECIPIENT, text=said), ADDRESS
    )
    entry, (forward, record) = told(done)
    assert entry.text.startswith("<a***@example.com>: Recipient address rejected: xxx")
    assert read_suppression(record.value).reason == entry.text
    assert len(entry.text) == TEXT_CHARACTERS
    death = read_journey(forward.headers).death
    assert death is not None
    assert ADDRESS in death.text


def test_what_cannot_be_decoded_has_no_entry() -> None:
    """Nobody knows which mail it is; its record waits for its offset."""
    done = endings().dead(job(decoded=False), Journey(), DeadReason.UNDECODABLE, "no event")
    assert [record.topic for record in done.records] == ["t.dlt"]
    assert not done.ahead


def test_a_demand_s_entry_tells_who_asked_and_why() -> None:
    """By name, else by tenant, else as the operator."""
    for by, tenant, expected in (
        ("eve", "acme", "eve"),
        ("", "acme", "acme"),
        ("", "", "operator"),
    ):
        command = ControlCommand(
            ControlAction.CANCEL, 0, event_id="", tenant=tenant, by=by, reason="twice"
        )
        entry, _ = told(endings().cancelled(job(), JOURNEY, command))
        assert (entry.state, entry.reason, entry.text) == (MailState.CANCELLED, expected, "twice")
