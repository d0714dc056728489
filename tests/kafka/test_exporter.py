"""The exporter tells how far behind the workers are, whoever lives and whatever is paused."""

from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from confluent_kafka import Consumer, Producer, TopicPartition
from msgspec import structs

from console.stack.catcher.threaded import CatcherThread
from console.stack.ports import free_ports
from retry_topics.dlt.selection import EVERYTHING
from retry_topics.headers import DUE_AT
from retry_topics.topology import Topology
from runtime.clock import SystemClock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.records import OutRecord
from schemas.replay_jobs import Selection
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress
from tests.support.catcher import wait_for_all
from tests.support.graveyard import graveyard
from tests.support.mailer import Kafka, record_of_event, signup, start_worker, worker_environ
from tests.support.scrapes import Scraped, start_exporter
from tests.support.wait import wait_until

DAY = 86_400.0


def in_transactions(bootstrap: str, records: Sequence[OutRecord]) -> None:
    """Write each record in a transaction of its own, as forwards are: each leaves a marker."""
    producer = Producer(
        {"bootstrap.servers": bootstrap, "transactional.id": uuid4().hex, "retry.backoff.ms": 5}
    )
    producer.init_transactions(30)
    for record in records:
        producer.begin_transaction()
        producer.produce(
            record.topic,
            key=record.key,
            value=record.value,
            partition=record.partition or 0,
            headers=list(record.headers),
        )
        producer.commit_transaction(30)
    producer.close()


def commit(bootstrap: str, topology: Topology, topic: str, number: int, offset: int) -> None:
    """Commit an offset as the workers' group, of which nobody is a member."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topology.group})
    consumer.commit(offsets=[TopicPartition(topic, number, offset)], asynchronous=False)
    consumer.close()


def test_lag_is_right_with_nobody_alive_with_a_paused_lane_and_in_the_end(
    broker: BrokerAddress, topics: TopicsFactory, catcher: CatcherThread, tmp_path: Path
) -> None:
    """Markers are no lag, age and overdue time are the first unfinished record's, and so on.

    First nobody lives; then a worker has every lane, and its relay is out; then it sends.
    """
    topology = topics("1s,10m", 2)
    kafka = Kafka(broker.bootstrap, topology)
    mails = [f"user{number}@example.com" for number in range(6)]
    catcher.down()
    (port, worker_port) = free_ports(2)
    environ = worker_environ(kafka, catcher.smtp_url, tmp_path / "state")
    exporter = Scraped(port)

    def lag(kind: str, tier: str = "") -> float:
        return sum(exporter.values("mailcascade_lag_records", topic_kind=kind, tier=tier))

    def age(kind: str, tier: str = "") -> float:
        return max(exporter.values("mailcascade_lag_seconds", topic_kind=kind, tier=tier))

    def overdue(tier: str) -> float:
        return max(exporter.values("mailcascade_due_unsent_seconds", tier=tier))

    def left(kind: str) -> float:
        return max(exporter.values("mailcascade_retention_left_seconds", topic_kind=kind))

    with start_exporter(environ, port, tmp_path / "exporter.log"):
        wait_until(exporter.is_ready, 30, "the exporter to be ready")
        assert exporter.value("mailcascade_group_members") == 0
        assert exporter.values("mailcascade_lag_records") == [0] * 8
        assert exporter.values("mailcascade_lag_seconds") == [0] * 8
        assert exporter.value("mailcascade_process_start_seconds", deployable="exporter")
        began = SystemClock().now_ms()
        forwards = []
        for address in mails[3:]:
            record = record_of_event(topology, signup(address))
            due = (DUE_AT, str(began - 5_000).encode())
            tier = topology.retry(topology.tiers[1])
            forwards.append(structs.replace(record, topic=tier, partition=0, headers=(due,)))
        in_transactions(broker.bootstrap, forwards)
        # Three records and their three markers, of which the first two are committed.
        commit(broker.bootstrap, topology, forwards[0].topic, 0, 2)
        kafka.post(signup(address) for address in mails[:3])
        wait_until(lambda: (lag("main"), lag("retry", "10m")) == (3, 2), 20, "the lag")
        assert 0 < age("main") < 60
        assert 0 < age("retry", "10m") < 60
        assert exporter.value("mailcascade_committed_offsets", tier="10m") == 2
        assert 5 < overdue("10m") < 65
        assert 0 < overdue("main") < 60
        assert overdue("1s") == 0
        assert 7 * DAY - 60 < left("retry") <= 7 * DAY
        TopicAdmin({"bootstrap.servers": broker.bootstrap}).configure(
            topology.main, {"retention.ms": "172800000"}
        )
        wait_until(lambda: 2 * DAY - 60 < left("main") <= 2 * DAY, 20, "the retention to be known")
        # The last marker of a tier: nothing is left, although it is not committed.
        commit(broker.bootstrap, topology, forwards[0].topic, 0, 5)
        wait_until(lambda: lag("retry", "10m") == 0, 20, "the marker not to count")
        assert age("retry", "10m") == 0
        commit(broker.bootstrap, topology, forwards[0].topic, 0, 2)

        with start_worker(
            {**environ, "MAILCASCADE_METRICS_PORT": str(worker_port)}, tmp_path / "worker.log"
        ):
            worker = Scraped(worker_port)
            wait_until(lambda: exporter.value("mailcascade_group_members") == 1, 30, "a member")
            wait_until(lambda: "is out since" in worker.readiness()[1], 30, "the relay's outage")
            assert worker.readiness()[0] == 503
            assert (lag("main"), lag("retry", "10m")) == (3, 2)
            assert age("main") > 0
            catcher.up()
            wait_for_all(catcher, mails[:3] + mails[4:])
            wait_until(lambda: lag("main") + lag("retry", "10m") == 0, 30, "no lag")
            assert age("main") == age("retry", "10m") == 0
            assert overdue("10m") == 0
            wait_until(worker.is_ready, 30, "the worker to be ready")
            # It counts what it restored, what its ledgers hold, and each of the relay's steps.
            assert worker.value("mailcascade_restore_seconds_count") == topology.partitions
            assert worker.value("mailcascade_lanes_restoring") == 0
            assert worker.value("mailcascade_restoring_since_seconds") is None
            assert (worker.value("mailcascade_ledger_bytes") or 0) > 0
            steps = worker.samples("mailcascade_relay_reply_seconds_count")
            assert {labels["step"] for labels, _ in steps} == {"session", "envelope", "dot"}
            assert worker.value("mailcascade_kafka_outage_open") == 0
        wait_until(lambda: exporter.value("mailcascade_group_members") == 0, 30, "no member")


def test_open_dead_letters_and_suppressions_are_counted(
    broker: BrokerAddress, topics: TopicsFactory, tmp_path: Path
) -> None:
    """By what they died of; those that an operator discards are not open any more."""
    yard = graveyard(broker.bootstrap, topics(partitions=2))
    yard.bury(["policy"] * 3 + ["greylisted", "template", "junk"])
    (port,) = free_ports(1)
    exporter = Scraped(port)

    def letters() -> list[float]:
        return exporter.values("mailcascade_dlt_open_records")

    with start_exporter(yard.environ(), port, tmp_path / "exporter.log"):
        wait_until(lambda: letters() == [0, 1, 1, 1, 3], 30, "the groups")
        named = [labels for labels, _ in exporter.samples("mailcascade_dlt_open_records")]
        assert {labels["template"] for labels in named} == {"signup-confirmation", "gone", ""}
        assert exporter.value("mailcascade_dlt_open_records", group="other") == 0
        assert exporter.value("mailcascade_suppressions") == 0
        with yard.desk() as desk:
            policy = max(desk.groups(EVERYTHING).open, key=lambda tally: tally.count)
            labels = {"group": policy.group.fingerprint, "template": "signup-confirmation"}
            assert exporter.value("mailcascade_dlt_open_records", **labels) == 3
            desk.discard(Selection(groups=frozenset([policy.group.fingerprint])), "known")
        yard.kafka.write(
            [OutRecord(yard.topology.suppressions, b"hash-%d" % n, b"x", (), 0) for n in range(3)]
            + [OutRecord(yard.topology.suppressions, b"hash-0", None, (), 0)]
        )
        wait_until(lambda: letters() == [0, 1, 1, 1], 30, "the discarded ones to be settled")
        wait_until(lambda: exporter.value("mailcascade_suppressions") == 2, 20, "suppressions")
