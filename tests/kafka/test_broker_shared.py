"""The shared broker and the topics that a test gets on it."""

import socket

from confluent_kafka.admin import AdminClient

from console.stack.kafka.readiness import answers
from retry_topics.topic_specs import desired
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress


def test_a_topology_has_the_same_partitions_everywhere(
    broker: BrokerAddress, topics: TopicsFactory
) -> None:
    """Every topic of the topology exists and has equally many partitions."""
    topology = topics(tiers="1s,2s", partitions=3)

    found = AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=10).topics
    counts = {
        name: len(topic.partitions)
        for name, topic in found.items()
        if name.startswith(topology.prefix)
    }

    lanes = dict.fromkeys((spec.name for spec in desired(topology, 1)), 3)
    assert counts == lanes | {topology.switches: 1}


def test_readiness_needs_a_broker_and_not_only_an_open_port(broker: BrokerAddress) -> None:
    """A port that is open but silent or not Kafka's is not ready; the broker's is."""
    host, _, port = broker.bootstrap.partition(":")
    assert answers(host, int(port))

    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not answers(*silent.getsockname())
