"""The worker without a ledger: the same ends, and not a word about them."""

import queue
from unittest.mock import create_autospec

from bench.unledgered import NoDesk, NoEntries, NoLedger
from consumers.mailer.job import Job, Subject
from consumers.mailer.ledger.desk import Fetched, Restoring
from retry_topics.failure import Failure, FailureClass, Phase, Scope
from retry_topics.headers import Journey
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.records import Partition, Record
from tests.support.clock import ManualClock

TOPOLOGY = Topology("mails", parse_tiers("1m"), 8)
SUBJECT = Subject(bytes(16), bytes(4), "signup-confirmation", "default")


def job(ledger: NoLedger) -> Job:
    record = Record("mails", 3, 7, 0, b"key", b"value", ())
    return Job(record, Partition("mails", 3), 1, ledger, subject=SUBJECT)


def test_a_mail_ends_with_its_offset_and_a_retry_with_its_forward() -> None:
    """Neither has an entry, so that neither may go before its offset."""
    endings = NoEntries(TOPOLOGY, "worker", ManualClock())
    failure = Failure(Scope.RECIPIENT, FailureClass.TRANSIENT, Phase.RCPT, "full", "mailbox-full")

    sent = endings.sent(job(NoLedger(3)), Journey(), "250 Ok")
    retried = endings.retry(job(NoLedger(3)), Journey(), failure, 60_000, 0)

    assert (sent.records, sent.change) == ((), None)
    assert [record.topic for record in retried.records] == ["mails.retry.1m"]
    assert not retried.ahead


def test_a_lane_is_there_at_once_and_nothing_of_it_is_known() -> None:
    """Not even what was made a moment ago."""
    reported: queue.SimpleQueue[Fetched] = queue.SimpleQueue()
    desk = NoDesk(create_autospec(Restoring), None, lambda lane: {}, lambda call: None)
    desk.fetch(3, self := object(), reported.put)
    fetched = reported.get_nowait()

    assert fetched.asker is self
    assert isinstance(fetched.result, NoLedger)
    assert fetched.result.standing(SUBJECT.event_id) is None
    assert not fetched.result.is_suppressed(bytes(16))
    assert desk.let_go(fetched.result, 0.0)
