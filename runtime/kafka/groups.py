"""What the brokers know of a consumer group, read without being a member of it."""

from collections.abc import Iterable
from typing import Final

import tenacity
from confluent_kafka import Consumer, KafkaException, TopicPartition

from runtime.kafka.client import Properties, client_logger
from runtime.kafka.errors import KafkaRetriable, KafkaUnreachable, translate
from runtime.kafka.records import Partition

#: How long one consumer is waited for before the next one asks, in seconds.
_ATTEMPT_SECONDS: Final = 5.0


class GroupReader:
    """Reads one group's committed offsets. Thread-safe, unless it keeps its consumer.

    Through a consumer that never joins: the admin client's `list_consumer_group_offsets` ends the
    process with SIGSEGV when a broker answers that it is not the coordinator (librdkafka 2.16.1).
    Each question has a consumer of its own: one that idled while the coordinator was restarted does
    not find it again.
    """

    def __init__(self, properties: Properties, group: str, timeout_seconds: float = 10.0) -> None:
        self._properties = _properties_of(properties, group, decided=True)
        self._address = str(properties["bootstrap.servers"])
        self._need = f"Describe on the group {group}"
        self._timeout = timeout_seconds

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the next offset to read of each partition that the group has committed.

        Waits for transactions that are being decided, so the answer is final.

        Raises:
            KafkaFault: the brokers did not answer, or refused.
        """
        return {p: part.offset for p, part in self._ask(partitions).items()}

    def tokens(self, partitions: Iterable[Partition]) -> dict[Partition, str]:
        """Return the token beside each committed offset (see `Transaction`), "" for none.

        Waits and raises as `committed`.
        """
        return {p: part.metadata or "" for p, part in self._ask(partitions).items()}

    def _ask(self, partitions: Iterable[Partition]) -> dict[Partition, TopicPartition]:
        asked = [TopicPartition(topic, number) for topic, number in partitions]
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_delay(self._timeout),
            wait=tenacity.wait_fixed(0.1),
            retry=tenacity.retry_if_exception_type((KafkaRetriable, KafkaUnreachable)),
            reraise=True,
        )
        return retrying(self._ask_now, asked)

    def _ask_now(self, asked: list[TopicPartition]) -> dict[Partition, TopicPartition]:
        consumer = Consumer(self._properties, logger=client_logger())
        try:
            answer = consumer.committed(asked, min(_ATTEMPT_SECONDS, self._timeout))
        except KafkaException as error:
            raise translate(error, self._address, self._need) from error
        finally:
            consumer.close()
        return _known(answer)


class GroupWatcher:
    """Reads one group's committed offsets again and again. Owned by one thread.

    It keeps its consumer, for one that is made for a question costs more than the question, and
    makes another one after a question that failed. The answer does not wait for transactions that
    are being decided: with a busy group there is always one.
    """

    def __init__(self, properties: Properties, group: str, timeout_seconds: float) -> None:
        self._properties = _properties_of(properties, group, decided=False)
        self._need = f"Describe on the group {group}"
        self._address = str(properties["bootstrap.servers"])
        self._timeout = timeout_seconds
        self._consumer: Consumer | None = None

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the next offset to read of each partition that the group has committed.

        Raises:
            KafkaFault: the brokers did not answer, or refused.
        """
        asked = [TopicPartition(topic, number) for topic, number in partitions]
        if self._consumer is None:
            self._consumer = Consumer(self._properties, logger=client_logger())
        try:
            answer = self._consumer.committed(asked, self._timeout)
        except KafkaException as error:
            self.close()
            raise translate(error, self._address, self._need) from error
        for part in answer:
            if part.error is not None:
                self.close()
                raise translate(part.error, self._address, self._need)
        return {partition: part.offset for partition, part in _known(answer).items()}

    def close(self) -> None:
        """Close the connection; a further question opens another one."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()


def _properties_of(properties: Properties, group: str, *, decided: bool) -> Properties:
    """Return the properties of a consumer that asks for a group's offsets and never joins it.

    With `decided` its answers wait for transactions that are being decided.
    """
    return {
        **properties,
        "group.id": group,
        "enable.auto.commit": False,
        "isolation.level": "read_committed" if decided else "read_uncommitted",
    }


def _known(answer: Iterable[TopicPartition]) -> dict[Partition, TopicPartition]:
    return {
        Partition(part.topic, part.partition): part
        for part in answer
        if part.error is None and part.offset >= 0
    }
