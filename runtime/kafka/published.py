"""What becomes of a record that is published: where it is, or why it was not acknowledged."""

from typing import Final, NamedTuple

from confluent_kafka import KafkaError

from runtime.kafka.errors import KafkaFault, denial
from runtime.kafka.records import Partition

#: What a refused caller is asked to wait, in seconds: for brokers to come back, a queue to drain.
RETRY_OUTAGE: Final = 5
RETRY_QUEUE: Final = 1
#: Refusals that are about the record itself; everything else is about the brokers or our access.
_RECORD_FAULTS: Final = frozenset(
    {
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError.POLICY_VIOLATION,
    }
)
_SIZE_FAULTS: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})


class Delivered(NamedTuple):
    """Where an acknowledged record is."""

    partition: Partition
    offset: int


class PublishUnavailable(KafkaFault):
    """The record was not acknowledged because of the brokers; it may be sent again later.

    It may still have been written: an acknowledgement can get lost.
    """

    def __init__(self, reason: str, retry_after_s: int, code: str = "") -> None:
        super().__init__(reason, code)
        self.retry_after_s = retry_after_s


class PublishFailed(KafkaFault):
    """The brokers will not take this record, now or later."""


class RecordTooLarge(PublishFailed):
    """The record has more bytes than its topic takes."""


PublishError = PublishUnavailable | PublishFailed


def publish_error(error: KafkaError, topic: str | None = None) -> PublishError:
    """Return our error for a record to `topic` that the client reports as not delivered."""
    need = f"Write on the topic {topic}" if topic else ""
    reason = denial(error, need) or f"Kafka did not take the record: {error.str()}"
    if error.code() in _SIZE_FAULTS:
        return RecordTooLarge(reason, error.name())
    if error.code() in _RECORD_FAULTS:
        return PublishFailed(reason, error.name())
    return PublishUnavailable(reason, RETRY_OUTAGE, error.name())
