"""A crash between any two steps of the commit leaves each event exactly once in one place."""

from collections import Counter
from pathlib import Path

import pytest

from console.stack.catcher.threaded import CatcherThread
from consumers.mailer.ledger.judge import Verdict, judge
from retry_topics.headers import read_journey
from runtime.kafka.records import Partition
from runtime.kafka.transactions import CommitStep
from schemas.ledger import owner_of
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress
from tests.support.catcher import recipients, wait_for_all
from tests.support.mailer import Kafka, event_of, signup, start_worker, worker_environ
from tests.support.wait import wait_until

CRASHING = ("-m", "tests.support.crashing_worker")
SENT = [f"user{number}@example.com" for number in range(6)]
DEAD = [f"gone{number}+bounce@example.com" for number in range(6)]
FAILING = [f"full{number}+tempfail@example.com" for number in range(6)]


def places(kafka: Kafka) -> Counter[bytes]:
    """Count in how many places each event still is or has ended, as a read_committed reader sees.

    A place is: not yet committed on main or on a tier and the one that counts by the ledger, or on
    the DLT.
    """
    committed = kafka.committed()
    standings = kafka.standings()
    found: Counter[bytes] = Counter()
    for topic in (*kafka.topology.consumed, kafka.topology.dlt):
        for record in kafka.read(topic):
            standing = standings.get(event_of(record).event_id.bytes)
            journey = read_journey(record.headers)
            verdict = judge(standing, journey.generation, journey.step, owner_of("default"))
            waits = record.offset >= committed.get(Partition(topic, record.partition), 0)
            if topic == kafka.topology.dlt or (waits and verdict is Verdict.PROCEED):
                found[record.value or b""] += 1
    return found


@pytest.mark.parametrize(
    ("step", "number"), [*((step, 1) for step in CommitStep), (CommitStep.BEFORE_COMMIT, 3)]
)
def test_each_event_is_once_in_one_place(
    step: CommitStep,
    number: int,
    broker: BrokerAddress,
    topics: TopicsFactory,
    catcher: CatcherThread,
    tmp_path: Path,
) -> None:
    """Kill at the step, look, go on with a fresh worker, and look again."""
    kafka = Kafka(broker.bootstrap, topics("1s,2s", 2))
    events = {address: signup(address) for address in (*SENT, *DEAD, *FAILING)}
    environ = worker_environ(kafka, catcher.smtp_url, tmp_path / "state")
    with start_worker(environ, tmp_path / "crash.log", (*CRASHING, step, str(number))) as worker:
        for event in events.values():
            kafka.post([event])
        wait_until(lambda: worker.exit_code() is not None, 60, f"the crash at {step}")
        assert worker.exit_code() == -9
    after_crash = places(kafka)
    assert set(after_crash.values()) <= {1}
    in_hand = len(events) - len(after_crash)
    assert in_hand <= len(recipients(catcher)), "an event is nowhere and was not sent"
    with start_worker(environ, tmp_path / "worker.log"):
        wait_for_all(catcher, SENT)
        wait_until(lambda: kafka.lag() == 0, 30, "everything to be committed")
    for topic, expected in [
        (kafka.topology.dlt, len(DEAD) + len(FAILING)),
        (kafka.topology.retries[0], len(FAILING)),
        (kafka.topology.retries[1], len(FAILING)),
    ]:
        records = Counter(record.value for record in kafka.read(topic))
        assert len(records) == expected
        assert set(records.values()) == {1}
