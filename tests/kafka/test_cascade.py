"""The cascade: main, 1m, 10m, 1h, DLT, with the due times kept and the bytes unchanged."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from console.stack.catcher.threaded import CatcherThread
from retry_topics.headers import read_journey
from runtime.kafka.records import OutRecord, Record
from schemas.codec import encode
from schemas.identity import lane_key
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress
from tests.support.catcher import recipients, wait_for_all
from tests.support.mailer import Kafka, signup, start_worker, worker_environ
from tests.support.wait import wait_until


@pytest.fixture
def kafka(broker: BrokerAddress, topics: TopicsFactory) -> Kafka:
    return Kafka(broker.bootstrap, topics("1s,2s,3s"))


@pytest.fixture
def worker(kafka: Kafka, catcher: CatcherThread, tmp_path: Path) -> Iterator[None]:
    environ = worker_environ(kafka, catcher.smtp_url, tmp_path / "state")
    with start_worker(environ, tmp_path / "worker.log"):
        yield


def dead_letters(kafka: Kafka, number: int) -> list[Record]:
    wait_until(lambda: len(kafka.read(kafka.topology.dlt)) >= number, 40, "the dead letters")
    return kafka.read(kafka.topology.dlt)


@pytest.mark.usefixtures("worker")
def test_a_recipient_refused_for_ever_travels_every_tier_once_and_ends_on_the_dlt(
    kafka: Kafka,
) -> None:
    """Four attempts, three tiers in order, due times kept, same bytes, the whole story told."""
    event = signup("ada+tempfail@example.com")
    kafka.post([event])
    (dead,) = dead_letters(kafka, 1)
    journey = read_journey(dead.headers)
    assert dead.value == encode(event)
    assert dead.key == lane_key("ada+tempfail@example.com")
    assert dict(dead.headers)["x-kept"] == b"yes"
    assert [attempt.number for attempt in journey.history] == [1, 2, 3, 4]
    assert {a.code for a in journey.history} == {451}
    assert {a.enhanced for a in journey.history} == {"4.2.1"}
    assert journey.death is not None
    assert journey.death.reason == "exhausted"
    assert journey.origin is not None
    assert journey.origin.topic == kafka.topology.main
    for tier, before, after in zip(
        kafka.topology.tiers, journey.history, journey.history[1:], strict=False
    ):
        (waited,) = kafka.read(kafka.topology.retry(tier))
        assert waited.value == dead.value
        assert waited.partition == dead.partition
        due_at = read_journey(waited.headers).due_at
        assert due_at == before.at + tier.delay_ms
        assert due_at <= after.at < due_at + 1_000


@pytest.mark.usefixtures("worker")
def test_a_bounce_goes_straight_to_the_dlt(kafka: Kafka) -> None:
    """A 550 on RCPT uses one attempt and no tier."""
    kafka.post([signup("ada+bounce@example.com")])
    (dead,) = dead_letters(kafka, 1)
    journey = read_journey(dead.headers)
    assert (journey.attempts, journey.history[0].code) == (1, 550)
    assert all(kafka.read(topic) == [] for topic in kafka.topology.retries)


@pytest.mark.usefixtures("worker")
def test_what_cannot_be_decoded_or_rendered_is_kept_with_its_bytes_and_the_worker_goes_on(
    kafka: Kafka, catcher: CatcherThread
) -> None:
    """Garbage, an empty record and an unknown template end on the DLT; the next mail is sent."""
    main = kafka.topology.main
    unknown = encode(signup("ada@example.com", template="no-such-template"))
    bad = [b"not avro at all", None, unknown, b"\x00\x00\x00\x00\x07garbage"]
    kafka.write(OutRecord(main, b"same", value, (("ce_id", b"1"),)) for value in bad)
    kafka.post([signup("after@example.com")])
    wait_for_all(catcher, ["after@example.com"])
    dead = dead_letters(kafka, 4)
    assert [record.value for record in sorted(dead, key=lambda r: r.offset)] == bad
    reasons = [read_journey(r.headers).death for r in sorted(dead, key=lambda r: r.offset)]
    assert [death.reason for death in reasons if death] == [
        "undecodable",
        "undecodable",
        "unknown_template",
        "undecodable",
    ]


@pytest.mark.usefixtures("worker")
def test_a_greylisted_mail_is_sent_from_the_first_tier(
    kafka: Kafka, catcher: CatcherThread
) -> None:
    """Refused once, sent a tier later, and never twice."""
    kafka.post([signup("ada+greylist@example.com"), signup("bob@example.com")])
    wait_for_all(catcher, ["ada+greylist@example.com", "bob@example.com"])
    wait_until(lambda: kafka.lag() == 0, 20, "everything to be committed")
    assert set(recipients(catcher).values()) == {1}
    assert len(kafka.read(kafka.topology.retries[0])) == 1
