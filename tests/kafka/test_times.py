"""A mail's own times: not before, not after, by the ladder over shortened tiers."""

from pathlib import Path

import pytest

from console.stack.catcher.threaded import CatcherThread
from runtime.clock import SystemClock
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress
from tests.support.catcher import recipients, wait_for_all
from tests.support.mailer import Kafka, signup, start_worker, worker_environ
from tests.support.wait import wait_until


@pytest.fixture
def kafka(broker: BrokerAddress, topics: TopicsFactory) -> Kafka:
    return Kafka(broker.bootstrap, topics("500ms,1s,2s", 2))


def test_a_scheduled_mail_is_sent_when_due_and_not_before(
    kafka: Kafka, catcher: CatcherThread, tmp_path: Path
) -> None:
    """Several hops down the ladder; never early, and late by less than a second."""
    with start_worker(worker_environ(kafka, catcher.smtp_url, tmp_path / "s"), tmp_path / "log"):
        wait_until(lambda: "lanes.assigned" in (tmp_path / "log").read_text(), 30, "lanes")
        now = SystemClock().now_ms()
        due = {f"user{wait}@example.com": now + wait for wait in (800, 1_700, 3_300, 5_900)}
        kafka.post(signup(address, not_before=at) for address, at in due.items())
        wait_for_all(catcher, list(due))
    for mail in catcher.store.mails():
        at = due[mail.recipients[0]]
        assert at <= mail.received_at < at + 1_000


def test_a_mail_whose_time_is_over_is_settled_without_being_sent(
    kafka: Kafka, catcher: CatcherThread, tmp_path: Path
) -> None:
    """Expired on arrival, or before its next attempt: no mail, no dead letter, the lane goes on."""
    log = tmp_path / "log"
    with start_worker(worker_environ(kafka, catcher.smtp_url, tmp_path / "s"), log):
        wait_until(lambda: "lanes.assigned" in log.read_text(), 30, "lanes")
        now = SystemClock().now_ms()
        kafka.post(
            [
                signup("over@example.com", expires_at=now - 1),
                signup("full+tempfail@example.com", expires_at=now + 1_200),
                signup("fine@example.com", expires_at=now + 60_000),
            ]
        )
        wait_for_all(catcher, ["fine@example.com"])
        wait_until(lambda: kafka.lag() == 0, 30, "everything to be settled")
    assert set(recipients(catcher)) == {"fine@example.com"}
    assert kafka.read(kafka.topology.dlt) == []
    assert len(kafka.read(kafka.topology.retries[0])) == 1
