"""Lanes that move while their tier records wait: the records fire when due, wherever they are."""

from pathlib import Path

import pytest

from console.stack.catcher.threaded import CatcherThread
from retry_topics.headers import read_journey
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress
from tests.support.catcher import recipients, wait_for_all
from tests.support.mailer import Kafka, signup, start_worker, worker_environ
from tests.support.wait import wait_until

TIER_SECONDS = 12


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_a_waiting_tier_record_fires_when_due_after_its_lane_moved_and_came_back(
    protocol: str,
    broker: BrokerAddress,
    topics: TopicsFactory,
    catcher: CatcherThread,
    tmp_path: Path,
) -> None:
    """A second worker takes lanes and gives them back while their tier partitions wait."""
    kafka = Kafka(broker.bootstrap, topics(f"{TIER_SECONDS}s,20s", 4))
    addresses = [f"user{number}+greylist@example.com" for number in range(40)]
    settings = {"MAILCASCADE_KAFKA_GROUP_PROTOCOL": protocol}
    environ = worker_environ(kafka, catcher.smtp_url, tmp_path / "state", settings)
    first_log, second_log = tmp_path / "first.log", tmp_path / "second.log"
    tier = kafka.topology.retries[0]
    with start_worker(environ, first_log):
        kafka.post(signup(address) for address in addresses)
        wait_until(lambda: len(kafka.read(tier)) == len(addresses), 30, "all to be greylisted")
        with start_worker(environ, second_log):
            wait_until(lambda: '"lanes": 2' in second_log.read_text(), 30, "two lanes to move")
        assert recipients(catcher) == {}, "the lanes moved too late to prove anything"
        wait_for_all(catcher, addresses)
        wait_until(lambda: kafka.lag() == 0, 30, "everything to be committed")
    assert set(recipients(catcher).values()) == {1}
    due = {record.value: read_journey(record.headers).due_at or 0 for record in kafka.read(tier)}
    arrived = [mail.received_at for mail in catcher.store.mails()]
    assert min(arrived) >= min(due.values())
    assert max(arrived) <= max(due.values()) + 1_500
