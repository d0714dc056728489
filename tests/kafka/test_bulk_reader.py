"""Reading in bulk: what is in a span, all of it, nothing else, and no longer than wanted."""

from collections.abc import Iterator

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from retry_topics.topology import Topology
from runtime.clock import SystemClock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.bulk import BATCH, BulkReader
from runtime.kafka.client import Properties
from runtime.kafka.errors import KafkaFault, TopicMissing
from runtime.kafka.reader import ReaderStalled
from runtime.kafka.records import Partition
from runtime.kafka.topics import Span
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress, create_topics
from tests.support.ledger import LaneWriter
from tests.support.wait import wait_until

LANE = 1


@pytest.fixture
def properties(broker: BrokerAddress) -> Properties:
    return {"bootstrap.servers": broker.bootstrap}


@pytest.fixture
def admin(properties: Properties) -> TopicAdmin:
    return TopicAdmin(properties)


@pytest.fixture
def reader(properties: Properties) -> Iterator[BulkReader]:
    reader = BulkReader(properties, SystemClock())
    yield reader
    reader.close()


@pytest.fixture
def topology(topics: TopicsFactory) -> Topology:
    return topics(partitions=2)


@pytest.fixture
def writer(broker: BrokerAddress, topology: Topology) -> LaneWriter:
    return LaneWriter(broker.bootstrap, topology, LANE)


def _go_on() -> bool:
    return False


def _read(reader: BulkReader, partition: Partition, span: Span) -> list[int]:
    batches = list(reader.read(partition, span, _go_on))
    assert not batches or batches[-1].next_offset == span.end
    return [offset for batch in batches for _, _, offset in batch.messages]


def test_a_span_is_read_to_its_end_and_no_further(
    reader: BulkReader, topology: Topology, writer: LaneWriter
) -> None:
    """Also one that ends in the middle of a batch, or with a transaction's marker."""
    partition = Partition(topology.ledger, LANE)
    writer.raw(topology.ledger, ((b"key", b"value") for _ in range(10)))
    writer.raw(topology.ledger, ((b"key", None) for _ in range(5)))

    # Ten records and a marker at 10, five records and a marker at 16.
    assert _read(reader, partition, Span(0, 17)) == [*range(10), *range(11, 16)]
    assert _read(reader, partition, Span(3, 13)) == [*range(3, 10), 11, 12]
    assert _read(reader, partition, Span(10, 11)) == []
    assert _read(reader, partition, Span(5, 5)) == []


def test_one_reader_reads_one_partition_after_another(
    reader: BulkReader, topology: Topology, writer: LaneWriter
) -> None:
    """What was fetched ahead of one never shows in the next."""
    ledger, suppressions = (
        Partition(topic, LANE) for topic in (topology.ledger, topology.suppressions)
    )
    writer.raw(ledger.topic, ((b"ledger", b"") for _ in range(2_000)))
    writer.raw(suppressions.topic, ((b"suppressions", b"") for _ in range(2_000)))
    for _ in range(5):
        for partition, key in ((ledger, b"ledger"), (suppressions, b"suppressions")):
            batches = reader.read(partition, Span(0, 1_000), _go_on)
            messages = [message for batch in batches for message in batch.messages]
            assert messages == [(key, b"", offset) for offset in range(1_000)]


def test_a_reader_stops_when_it_is_told_to(
    reader: BulkReader, topology: Topology, writer: LaneWriter
) -> None:
    """After the batch that it is at."""
    writer.raw(topology.ledger, ((b"key", b"value") for _ in range(3 * BATCH)))
    read: list[int] = []
    for batch in reader.read(
        Partition(topology.ledger, LANE), Span(0, 3 * BATCH), lambda: bool(read)
    ):
        read.append(len(batch.messages))

    assert len(read) == 1
    assert 0 < read[0] <= BATCH


def test_an_open_transaction_is_an_error_once_patience_is_over(
    properties: Properties, reader: BulkReader, topology: Topology, writer: LaneWriter
) -> None:
    """Never an early end: what is behind it may be committed yet."""
    partition = Partition(topology.ledger, LANE)
    writer.raw(topology.ledger, [(b"key", b"value")])
    writer.begin([])
    writer.producer.produce(topology.ledger, b"value", b"key", partition=LANE)
    writer.producer.flush()
    impatient = BulkReader(properties, SystemClock(), patience_seconds=1)
    with pytest.raises(ReaderStalled, match=r"of 3 for 1 s"):
        _read(impatient, partition, Span(0, 3))
    impatient.close()
    writer.producer.abort_transaction(30)

    assert _read(reader, partition, Span(0, 3)) == [0]


def test_a_span_whose_start_was_deleted_is_read_from_what_is_there(
    reader: BulkReader,
    admin: TopicAdmin,
    broker: BrokerAddress,
    topology: Topology,
    writer: LaneWriter,
) -> None:
    """Retention may take records away after it was asked where they start."""
    partition = Partition(topology.ledger, LANE)
    writer.raw(topology.ledger, ((b"key", b"value") for _ in range(10)))
    deleting = AdminClient({"bootstrap.servers": broker.bootstrap})
    for future in deleting.delete_records([TopicPartition(*partition, 4)]).values():
        future.result(30)

    assert admin.partition_spans([partition]) == {partition: Span(4, 11)}
    assert _read(reader, partition, Span(0, 11)) == list(range(4, 10))


def test_spans_end_behind_what_is_not_decided_yet(
    admin: TopicAdmin, topology: Topology, writer: LaneWriter
) -> None:
    """The high watermark, not the last stable offset."""
    partition = Partition(topology.ledger, LANE)
    writer.begin([])
    writer.producer.produce(topology.ledger, b"value", b"key", partition=LANE)
    writer.producer.flush()

    assert admin.partition_spans([partition]) == {partition: Span(0, 1)}
    writer.producer.abort_transaction(30)


def test_a_topic_that_is_made_anew_has_another_id(
    admin: TopicAdmin, broker: BrokerAddress, prefix: str
) -> None:
    """The same name and the same offsets do not make it the same log."""
    name = f"{prefix}.a"
    create_topics(broker.bootstrap, [name], 1)
    wait_until(lambda: _topic_id(admin, name))
    first = _topic_id(admin, name)
    client = AdminClient({"bootstrap.servers": broker.bootstrap})
    client.delete_topics([name])[name].result(30)
    wait_until(lambda: _topic_id(admin, name) == "")
    create_topics(broker.bootstrap, [name], 1)

    wait_until(lambda: _topic_id(admin, name) not in {"", first})


def _topic_id(admin: TopicAdmin, name: str) -> str:
    try:
        return admin.topic_ids([name])[name]
    except TopicMissing:
        return ""


def test_what_does_not_exist_has_neither_id_nor_span(admin: TopicAdmin, prefix: str) -> None:
    """The message names it."""
    with pytest.raises(TopicMissing, match=f"{prefix}.nowhere"):
        admin.topic_ids([f"{prefix}.nowhere"])
    with pytest.raises(KafkaFault):
        admin.partition_spans([Partition(f"{prefix}.nowhere", 0)])


def test_a_partition_can_be_read_again_at_once(
    reader: BulkReader, admin: TopicAdmin, topology: Topology, writer: LaneWriter
) -> None:
    """Nothing that is left of the first reading, nor its end, is taken for the second one's."""
    partition = Partition(topology.ledger, LANE)
    writer.raw(topology.ledger, [(b"%d" % number, b"x" * 500) for number in range(6_000)])
    span = admin.partition_spans([partition])[partition]
    whole = range(6_000)

    for start, end in [(5_000, 5_100), (0, 6_000), (10, 20), (0, 6_000), (5_999, span.end)]:
        read = [
            offset
            for batch in reader.read(partition, Span(start, end), _go_on)
            for _, _, offset in batch.messages
        ]
        assert read == list(whole[start:end])
