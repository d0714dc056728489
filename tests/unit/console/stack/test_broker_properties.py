"""The development broker's configuration, for both ways to run it."""

from pathlib import Path

from console.stack.kafka.java import new_cluster_id
from console.stack.kafka.properties import (
    Listeners,
    container_environment,
    render,
    server_properties,
)

LISTENERS = Listeners(client=21_000, controller=21_001)


def test_a_process_listens_on_loopback_only() -> None:
    """Neither clients nor controllers are reached from elsewhere."""
    properties = server_properties(LISTENERS, Path("/data"))

    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:21000,CONTROLLER://127.0.0.1:21001"
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:21001"


def test_a_container_advertises_the_published_port() -> None:
    """Clients outside are sent to the port that they can reach."""
    environment = container_environment(LISTENERS, inner_port=9092)

    assert environment["KAFKA_ADVERTISED_LISTENERS"] == "PLAINTEXT://127.0.0.1:21000"
    assert environment["KAFKA_GROUP_CONSUMER_SESSION_TIMEOUT_MS"] == "6000"
    assert all(name.startswith("KAFKA_") for name in environment)


def test_both_ways_have_the_same_behaviour() -> None:
    """What clients can notice of a broker does not depend on how it is run."""
    process = server_properties(LISTENERS, Path("/data"))
    container = container_environment(LISTENERS, inner_port=9092)

    for name in ("auto.create.topics.enable", "transaction.max.timeout.ms"):
        assert container[f"KAFKA_{name.upper().replace('.', '_')}"] == process[name]


def test_properties_are_rendered_one_a_line() -> None:
    """The file that Kafka reads."""
    assert render({"a": "1", "b": "x,y"}) == "a=1\nb=x,y\n"


def test_cluster_ids_are_of_the_form_that_kafka_takes() -> None:
    """22 characters of base64, not beginning with a dash."""
    ids = {new_cluster_id() for _ in range(200)}

    assert len(ids) == 200
    assert all(len(text) == 22 and not text.startswith("-") for text in ids)
