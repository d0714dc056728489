"""The writer of commands on a real Kafka: acknowledged, in order, or an error that says why."""

from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import murmur2

from retry_topics.topology import Topology
from runtime.clock import SystemClock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.errors import KafkaUnreachable, TopicMissing
from runtime.kafka.partitioner import partition_of
from runtime.kafka.published import RecordTooLarge
from runtime.kafka.reader import TopicReader
from runtime.kafka.records import OutRecord, Record
from runtime.kafka.writer import RecordWriter, WriteFailed
from tests.support.broker import BrokerAddress


@pytest.fixture
def writer(broker: BrokerAddress) -> Iterator[RecordWriter]:
    """A writer to the shared broker."""
    with RecordWriter({"bootstrap.servers": broker.bootstrap}, SystemClock()) as writer:
        yield writer


def records_of(bootstrap: str, topic: str) -> list[Record]:
    properties = {"bootstrap.servers": bootstrap}
    spans = TopicAdmin(dict(properties)).spans([topic])
    return list(TopicReader(properties, SystemClock()).read(spans))


def test_what_was_written_is_there(
    broker: BrokerAddress, topics: Callable[..., Topology], writer: RecordWriter
) -> None:
    """With key, value and headers, at the places that were returned."""
    topology = topics()
    records = [
        OutRecord(topology.control, b"lane", b"first", (("a", b"1"),)),
        OutRecord(topology.control, b"lane", None, (), partition=3),
        OutRecord(topology.control, b"else", b"third", ()),
    ]

    places = writer.write(records)

    by_place = {
        (record.source, record.offset): (record.key, record.value, record.headers)
        for record in records_of(broker.bootstrap, topology.control)
    }
    assert [by_place[place] for place in places] == [
        (record.key, record.value, record.headers) for record in records
    ]
    assert writer.write([]) == []


def test_a_key_chooses_the_partition_that_every_client_chooses(
    topics: Callable[..., Topology], writer: RecordWriter
) -> None:
    """What `partition_of` says is where the records are."""
    topology = topics(partitions=7)
    keys = [bytes([number, 3, 5, 7]) for number in range(40)]

    places = writer.write([OutRecord(topology.main, key, b"", ()) for key in keys])

    chosen = [place.partition.number for place in places]
    assert chosen == [partition_of(key, 7) for key in keys]
    assert chosen == [murmur2(key, 7) for key in keys]
    assert len(set(chosen)) == 7


def test_a_record_that_is_too_large_is_told_from_those_that_are_not(
    topics: Callable[..., Topology], writer: RecordWriter
) -> None:
    """The error says how many of the batch are written."""
    topology = topics()
    large = OutRecord(topology.main, b"a", bytes(3_000_000), ())

    with pytest.raises(WriteFailed, match="1 other records were written") as caught:
        writer.write([OutRecord(topology.main, b"b", b"", ()), large])

    assert isinstance(caught.value.cause, RecordTooLarge)
    assert caught.value.written == 1


def test_a_topic_that_is_missing_is_named(broker: BrokerAddress, prefix: str) -> None:
    """In bounded time, where the broker does not make topics by itself."""
    with (
        RecordWriter({"bootstrap.servers": broker.bootstrap}, SystemClock(), 5.0) as writer,
        pytest.raises(WriteFailed) as caught,
    ):
        writer.write([OutRecord(f"{prefix}.control", b"a", b"", ())])

    assert isinstance(caught.value.cause, TopicMissing)


def test_nobody_at_the_address_is_an_error_in_time() -> None:
    """With the address and the setting that names it."""
    with (
        RecordWriter({"bootstrap.servers": "127.0.0.1:1"}, SystemClock(), 0.5) as writer,
        pytest.raises(WriteFailed, match=r"no Kafka answers at 127\.0\.0\.1:1") as caught,
    ):
        writer.write([OutRecord("mails", b"a", b"", ())])

    assert isinstance(caught.value.cause, KafkaUnreachable)
    assert "MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS" in str(caught.value)
