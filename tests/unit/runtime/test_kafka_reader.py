"""What a reader makes of the errors that come between the records."""

from confluent_kafka import KafkaError, Message

from runtime.kafka.reader import without_passing


def test_an_error_that_passes_is_as_if_nothing_came() -> None:
    """The client asks again by itself; the end of a partition and a refusal stay."""
    record = Message(topic="t", partition=0, offset=1, value=b"v")
    moving = Message(topic="t", partition=0, error=KafkaError(KafkaError.UNKNOWN_LEADER_EPOCH))
    end = Message(topic="t", partition=0, error=KafkaError(KafkaError._PARTITION_EOF))
    refusal = Message(topic="t", error=KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    assert without_passing([moving, record, end, refusal]) == [record, end, refusal]
