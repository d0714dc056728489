"""Looking at what stands behind given offsets of many partitions, without a group."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runtime.clock import Clock, Deadline
from runtime.kafka.client import Properties, client_logger
from runtime.kafka.consumer import record_of
from runtime.kafka.errors import translate
from runtime.kafka.reader import without_passing
from runtime.kafka.records import Partition, Record

_BATCH: Final = 500
_POLL_SECONDS: Final = 0.05
#: What is fetched ahead of a partition at most, in bytes: little of it is looked at.
_FETCH_BYTES: Final = 131_072


class Sample(NamedTuple):
    """What was found of a partition from `start` up to, but without, `reached`.

    `records` are those that a reader is shown: markers and aborted records take offsets, too.
    `first` is the first of them, None where none was found.
    """

    start: int
    reached: int
    records: int
    first: Record | None


class HeadReader:
    """Samples with `read_committed`; never joins a group, never commits. For one thread."""

    def __init__(self, properties: Properties, clock: Clock) -> None:
        self._address = str(properties["bootstrap.servers"])
        own: Properties = {
            # Required by the client; without subscribe or commit no group comes to be.
            "group.id": "mailcascade-reader",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 50,
            "fetch.message.max.bytes": _FETCH_BYTES,
            "queued.min.messages": _BATCH,
            "queued.max.messages.kbytes": 1_024,
        }
        self._properties: Properties = {**properties, **own}
        self._clock = clock

    def sample(
        self, starts: Mapping[Partition, int], most: int, seconds: float
    ) -> dict[Partition, Sample]:
        """Return what stands behind these offsets: of each partition some `most` records, if there.

        It ends where the partition does, or at an open transaction. A partition that tells nothing
        within the time has a sample that reaches nowhere.

        Raises:
            KafkaFault: a broker refuses a partition, or none can be reached.
        """
        samples = {p: Sample(start, start, 0, None) for p, start in starts.items()}
        if not samples:
            return samples
        # Each time a new one: what is left of the last assignment would be taken for what is there.
        consumer = Consumer(self._properties, logger=client_logger())
        try:
            consumer.assign([TopicPartition(*p, start) for p, start in starts.items()])
            self._fill(consumer, samples, most, Deadline(self._clock, seconds))
        except KafkaException as error:
            raise translate(error, self._address) from error
        finally:
            consumer.close()
        return samples

    def _fill(
        self, consumer: Consumer, samples: dict[Partition, Sample], most: int, deadline: Deadline
    ) -> None:
        left = set(samples)
        while left and not deadline.expired():
            for message in without_passing(consumer.consume(_BATCH, _POLL_SECONDS)):
                topic, number, offset = message.topic(), message.partition(), message.offset()
                if topic is None or number is None or offset is None:
                    self._refuse(message)
                    continue
                partition = Partition(topic, number)
                if partition not in left:
                    continue
                sample, at_end = self._extended(samples[partition], message, offset)
                samples[partition] = sample
                if at_end or sample.records >= most:
                    left.remove(partition)

    def _extended(self, sample: Sample, message: Message, offset: int) -> tuple[Sample, bool]:
        """Return the sample with one message more, and whether the partition ends there."""
        error = message.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                self._refuse(message)
            return sample._replace(reached=max(sample.reached, offset)), True
        first = sample.first or record_of(message)
        return Sample(sample.start, offset + 1, sample.records + 1, first), False

    def _refuse(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            raise translate(error, self._address)
