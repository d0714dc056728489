"""Reading a topic from end to end without a group: what is there now, and then it is over."""

from collections.abc import Iterator, Mapping
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runtime.clock import Clock, Deadline
from runtime.kafka.consumer import record_of
from runtime.kafka.errors import KafkaFault, is_passing, translate
from runtime.kafka.records import Partition, Record
from runtime.kafka.topics import Span

_BATCH: Final = 500
_POLL_SECONDS: Final = 0.05


class ReaderStalled(KafkaFault):
    """Nothing came for too long although there is more to read."""


class TopicReader:
    """Reads spans of partitions with `read_committed`; never joins a group, never commits.

    The end of a span may be a transaction's marker or an aborted record, which nobody is shown, so
    the client's end-of-partition events count too. An open transaction holds the reader back until
    it is decided, for `patience_seconds` at most.
    """

    def __init__(
        self, properties: Mapping[str, object], clock: Clock, patience_seconds: float = 30.0
    ) -> None:
        self._properties = {
            **properties,
            # Required by the client; without subscribe or commit no group comes to be.
            "group.id": "mailcascade-reader",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 100,
        }
        self._clock = clock
        self._patience = patience_seconds

    def read(self, spans: Mapping[Partition, Span]) -> Iterator[Record]:
        """Yield the records in these spans, each partition's in order.

        Raises:
            ReaderStalled: there is more to read and none of it comes.
            KafkaFault: the brokers cannot be asked.
        """
        left = {partition: span.end for partition, span in spans.items() if span.start < span.end}
        consumer = Consumer(self._properties)
        try:
            consumer.assign([TopicPartition(*p, spans[p].start) for p in left])
            yield from self._drain(consumer, left)
        except KafkaException as error:
            raise self._translated(error) from error
        finally:
            consumer.close()

    def _drain(self, consumer: Consumer, left: dict[Partition, int]) -> Iterator[Record]:
        patience = Deadline(self._clock, self._patience)
        while left:
            messages = without_passing(consumer.consume(_BATCH, _POLL_SECONDS))
            for message in messages:
                source, reached = self._reached(message)
                end = left.get(source)
                if end is None:
                    continue
                if message.error() is None and reached <= end:
                    yield record_of(message)
                if reached >= end:
                    del left[source]
            if messages:
                patience = Deadline(self._clock, self._patience)
            elif left and patience.expired():
                waiting = ", ".join(f"{topic}-{number}" for topic, number in sorted(left))
                raise ReaderStalled(f"{waiting}: nothing to read for {self._patience:g} s")

    def _reached(self, message: Message) -> tuple[Partition, int]:
        """Return the partition of a message and the offset that all before it is read."""
        topic, number, offset = message.topic(), message.partition(), message.offset()
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise self._translated(error, read_acl(message))
        if topic is None or number is None or offset is None:
            raise KafkaFault("the client returned a message without a position")
        return Partition(topic, number), offset if error is not None else offset + 1

    def _translated(self, error: KafkaException | KafkaError, need: str = "") -> KafkaFault:
        return translate(error, str(self._properties["bootstrap.servers"]), need)


def without_passing(messages: list[Message]) -> list[Message]:
    """Return the messages without the errors that the client gets over by itself.

    And without its complaints that it may not know the group which it is named for and never joins:
    so nobody needs an ACL for that.
    """
    return [m for m in messages if (error := m.error()) is None or not _harmless(error)]


def _harmless(error: KafkaError) -> bool:
    return is_passing(error) or error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED


def read_acl(message: Message) -> str:
    """Return the ACL that reading takes where a message is the error that it is missing."""
    return f"Read on the topic {message.topic()}" if message.topic() else ""
