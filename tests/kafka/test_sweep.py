"""Reading partitions side by side: what is in each span, all of it, and nothing else."""

import pytest

from retry_topics.topology import Topology
from runtime.clock import SystemClock
from runtime.kafka.client import Properties
from runtime.kafka.reader import ReaderStalled
from runtime.kafka.sweep import Sweep, plain
from runtime.kafka.topics import Span
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress
from tests.support.ledger import LaneWriter


@pytest.fixture
def properties(broker: BrokerAddress) -> Properties:
    return {"bootstrap.servers": broker.bootstrap}


@pytest.fixture
def topology(topics: TopicsFactory) -> Topology:
    return topics(partitions=3)


def swept(properties: Properties, topic: str, spans: dict[int, Span]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for number, messages in Sweep(properties, SystemClock()).read(topic, spans, plain):
        found.setdefault(number, []).extend(offset for _, _, offset in messages)
    return found


def test_each_span_is_read_to_its_end_and_no_further(
    properties: Properties, broker: BrokerAddress, topology: Topology
) -> None:
    """Short and long ones, also behind a transaction's marker; empty ones not at all."""
    for lane, count in ((0, 10), (1, 9_000), (2, 3)):
        writer = LaneWriter(broker.bootstrap, topology, lane)
        writer.raw(topology.ledger, ((b"key", b"x" * 300) for _ in range(count)))
        writer.raw(topology.ledger, [(b"key", None)])

    # Ten records and a marker at 10, one record and a marker at 12.
    spans = {0: Span(3, 13), 1: Span(100, 8_500), 2: Span(2, 2)}
    assert swept(properties, topology.ledger, spans) == {
        0: [*range(3, 10), 11],
        1: [*range(100, 8_500)],
    }
    assert swept(properties, topology.ledger, {0: Span(10, 11)}) == {}


def test_an_open_transaction_is_an_error_once_patience_is_over(
    properties: Properties, broker: BrokerAddress, topology: Topology
) -> None:
    """Never an early end, however far the other partitions are."""
    writer = LaneWriter(broker.bootstrap, topology, 1)
    writer.begin([])
    writer.producer.produce(topology.ledger, b"value", b"key", partition=1)
    writer.producer.flush()
    LaneWriter(broker.bootstrap, topology, 0).raw(topology.ledger, [(b"key", b"value")])
    sweep = Sweep(properties, SystemClock(), patience_seconds=0.5)
    with pytest.raises(ReaderStalled, match=r"-1: nothing to read at 0 of 1"):
        list(sweep.read(topology.ledger, {0: Span(0, 1), 1: Span(0, 1)}, plain))
    writer.producer.abort_transaction(30)

    assert swept(properties, topology.ledger, {1: Span(0, 1)}) == {}
