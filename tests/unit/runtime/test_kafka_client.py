"""What all Kafka clients share, and how their faults become ours."""

from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, KafkaException

from runtime.kafka.admin import TopicAdmin
from runtime.kafka.client import Properties, client_properties, error_hook
from runtime.kafka.errors import (
    KafkaDenied,
    KafkaFault,
    KafkaRefused,
    KafkaRetriable,
    KafkaUnreachable,
    TopicMissing,
    translate,
)
from runtime.kafka.inspection import Inspector
from runtime.kafka.members import Members
from runtime.settings import load_settings


def test_the_operator_s_properties_win() -> None:
    """TLS, SASL and tuning pass through; the brokers and the client's name are ours."""
    settings = load_settings(
        {
            "MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS": "a:1,b:2",
            "MAILCASCADE_KAFKA_PROPERTIES": '{"security.protocol": "SSL", "client.id": "mine"}',
        }
    )

    properties = client_properties(settings, role="worker")

    assert properties["bootstrap.servers"] == "a:1,b:2"
    assert properties["security.protocol"] == "SSL"
    assert properties["client.id"] == "mine"


def test_the_client_s_name_tells_role_and_instance() -> None:
    """A broker's log shows who connects."""
    settings = load_settings({"MAILCASCADE_INSTANCE_ID": "host-7"})

    assert client_properties(settings, role="ingest")["client.id"] == "mailcascade-ingest-host-7"


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (KafkaError._TRANSPORT, KafkaUnreachable),
        (KafkaError._ALL_BROKERS_DOWN, KafkaUnreachable),
        (KafkaError._RESOLVE, KafkaUnreachable),
        (KafkaError.SASL_AUTHENTICATION_FAILED, KafkaUnreachable),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, TopicMissing),
        (KafkaError.INVALID_CONFIG, KafkaRefused),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaDenied),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaDenied),
        (KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, KafkaDenied),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaDenied),
    ],
)
def test_a_code_becomes_the_fault_that_says_what_helps(code: int, fault: type[KafkaFault]) -> None:
    """Whether waiting helps is a type, never a test of a text."""
    found = translate(KafkaException(KafkaError(code, "told so")), "kafka:9092")

    assert type(found) is fault
    assert found.code


def test_a_retriable_error_says_so() -> None:
    """What the client library calls retriable can be caught as such."""
    error = KafkaError(KafkaError.NOT_ENOUGH_REPLICAS, "told so", retriable=True)

    assert isinstance(translate(error, "kafka:9092"), KafkaRetriable)


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_LEADER_FOR_PARTITION,
    ],
)
def test_what_the_protocol_calls_retriable_is_retriable_without_the_client_s_flag(
    code: int,
) -> None:
    """A message's error has no flag; a broker that comes back answers so for a moment."""
    assert isinstance(translate(KafkaError(code), "kafka:9092"), KafkaRetriable)


@pytest.mark.parametrize("code", [KafkaError.INVALID_MSG, KafkaError.POLICY_VIOLATION])
def test_what_would_be_refused_again_is_not_retriable(code: int) -> None:
    """Waiting would not help, and nobody should."""
    assert isinstance(translate(KafkaError(code), "kafka:9092"), KafkaRefused)


def test_an_unreachable_kafka_names_its_address_and_a_hint() -> None:
    """The message is all that an operator needs."""
    fault = translate(KafkaError(KafkaError._RESOLVE, "told so"), "kafka:9092")

    assert isinstance(fault, KafkaUnreachable)
    assert fault.address == "kafka:9092"
    assert "the host name is unknown" in str(fault)
    assert "MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS" in str(fault)


def test_the_error_hook_tells_name_and_gravity() -> None:
    """A fault between calls reaches whoever asked for it."""
    seen: list[tuple[str, bool]] = []

    error_hook(lambda name, fatal: seen.append((name, fatal)))(
        KafkaError(KafkaError._ALL_BROKERS_DOWN)
    )

    assert seen == [("_ALL_BROKERS_DOWN", False)]


@pytest.mark.parametrize(
    "make",
    [TopicAdmin, Inspector, lambda properties: Members(properties, "group")],
    ids=["admin", "inspector", "members"],
)
def test_a_property_that_the_client_does_not_take_is_named_with_its_setting(
    make: Callable[[Properties], object],
) -> None:
    """Such as a file that is missing; no command may answer that with a traceback."""
    properties: Properties = {
        "bootstrap.servers": "127.0.0.1:1",
        "security.protocol": "SSL",
        "ssl.ca.location": "/nonexistent/ca.pem",
    }

    with pytest.raises(KafkaRefused, match=r"MAILCASCADE_KAFKA_PROPERTIES: .*ssl\.ca\.location"):
        make(properties)
