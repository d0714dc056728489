"""A broker that is stopped, crashes and comes back."""

from confluent_kafka.admin import AdminClient

from console.stack.kafka import KafkaBroker
from console.stack.kafka.readiness import answers
from tests.support.broker import create_topics


def test_a_restarted_broker_keeps_its_address_and_its_topics(own_broker: KafkaBroker) -> None:
    """An orderly restart and a crash both lead back to the same port and the same data."""
    bootstrap = own_broker.bootstrap
    create_topics(bootstrap, ["kept"], partitions=1)

    own_broker.restart()
    own_broker.kill()
    host, _, port = bootstrap.partition(":")
    assert not answers(host, int(port))
    own_broker.start()

    assert own_broker.bootstrap == bootstrap
    client = AdminClient({"bootstrap.servers": bootstrap})
    assert "kept" in client.list_topics(timeout=10).topics
