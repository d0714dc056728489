"""What the brokers know of a consumer group, read without being a member of it."""

from collections.abc import Iterable

import tenacity
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from runtime.kafka.client import Properties, client_logger
from runtime.kafka.errors import KafkaRetriable, translate
from runtime.kafka.records import Partition


class GroupReader:
    """Reads one group's committed offsets."""

    def __init__(self, properties: Properties, group: str, timeout_seconds: float = 10.0) -> None:
        self._admin = AdminClient(dict(properties), logger=client_logger())
        self._address = str(properties["bootstrap.servers"])
        self._group = group
        self._timeout = timeout_seconds

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the next offset to read of each partition that the group has committed.

        Waits for transactions that are being decided, so the answer is final.

        Raises:
            KafkaFault: the brokers did not answer, or refused.
        """
        asked = ConsumerGroupTopicPartitions(
            self._group, [TopicPartition(topic, number) for topic, number in partitions]
        )
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_delay(self._timeout),
            wait=tenacity.wait_fixed(0.1),
            retry=tenacity.retry_if_exception_type(KafkaRetriable),
            reraise=True,
        )
        return retrying(self._committed_now, asked)

    def _committed_now(self, asked: ConsumerGroupTopicPartitions) -> dict[Partition, int]:
        try:
            future = self._admin.list_consumer_group_offsets(
                [asked], require_stable=True, request_timeout=self._timeout
            )[self._group]
            answer = future.result(self._timeout + 1)
        except KafkaException as error:
            raise translate(error, self._address) from error
        return {
            Partition(part.topic, part.partition): part.offset
            for part in answer.topic_partitions or ()
            if part.error is None and part.offset >= 0
        }
