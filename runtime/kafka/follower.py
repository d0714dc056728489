"""Reading partitions from given offsets on, for ever, without a group."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runtime.kafka.client import Properties, client_logger
from runtime.kafka.consumer import record_of
from runtime.kafka.errors import KafkaFault, translate
from runtime.kafka.reader import read_acl, without_passing
from runtime.kafka.records import Partition, Record
from runtime.kafka.topics import Span

#: How long a batch that has begun waits to become full, in seconds.
_FILL_SECONDS: Final = 0.02
_PREFETCH_KB: Final = 16_384
_LOST: Final = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,
        KafkaError._LOG_TRUNCATION,
        KafkaError.OFFSET_OUT_OF_RANGE,
    }
)


class OffsetsLost(KafkaFault):
    """What comes next is no longer there, or never was: ask which offsets there are."""


@dataclass(frozen=True, slots=True)
class Followed:
    """Records in each partition's order, and the offset that comes next where that changed.

    A partition can go on behind its last record: markers and aborted records take offsets, too.
    """

    records: list[Record]
    reached: dict[Partition, int]


class Follower:
    """Follows partitions with `read_committed`; never joins a group, never commits. One thread's.

    `spans` are the offsets to begin at, and the ends of what was there at that time.
    """

    def __init__(self, properties: Properties, spans: Mapping[Partition, Span]) -> None:
        self._address = str(properties["bootstrap.servers"])
        self._spans = dict(spans)
        self._next = {partition: span.start for partition, span in spans.items()}
        self._all_down = False
        own: Properties = {
            # Required by the client; without subscribe or commit no group comes to be.
            "group.id": "mailcascade-follower",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            # A gap is for whoever follows to decide about, never the client's to jump over.
            "auto.offset.reset": "error",
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": _PREFETCH_KB,
            "fetch.queue.backoff.ms": 20,
        }
        hooks = {"error_cb": self._remember}
        try:
            self._consumer = Consumer({**own, **properties, **hooks}, logger=client_logger())
            self._consumer.assign([TopicPartition(*p, span.start) for p, span in spans.items()])
        except KafkaException as error:
            raise translate(error, self._address) from error

    def take(self, most: int, seconds: float) -> Followed:
        """Return up to `most` records, waiting at most `seconds` for the first one.

        Raises:
            OffsetsLost: a partition cannot be followed from where it was.
            KafkaFault: a broker refuses a partition.
        """
        messages = self._consumer.consume(1, seconds)
        if messages:
            messages += self._consumer.consume(most - 1, _FILL_SECONDS)
        followed = Followed([], {})
        for message in without_passing(messages):
            self._add(message, followed)
        return followed

    def behind(self) -> dict[Partition, int]:
        """Return how many offsets each partition has that were not taken, as far as is known."""
        return {p: max(0, self._end(p) - position) for p, position in self._next.items()}

    def all_down(self) -> bool:
        """Tell, once, that no broker could be reached since the last question."""
        down, self._all_down = self._all_down, False
        return down

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()

    def _add(self, message: Message, followed: Followed) -> None:
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            if error.code() in _LOST:
                raise OffsetsLost(error.str(), error.name())
            raise translate(error, self._address, read_acl(message))
        topic, number, offset = message.topic(), message.partition(), message.offset()
        if topic is None or number is None or offset is None:
            raise KafkaFault("the client returned a message without a position")
        partition = Partition(topic, number)
        if offset < self._next[partition]:
            return
        if error is None:
            followed.records.append(record_of(message))
            offset += 1
        followed.reached[partition] = self._next[partition] = offset

    def _end(self, partition: Partition) -> int:
        """Return the end that the last answer told; before the first, the one known at first."""
        try:
            _, high = self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)
        except KafkaException:
            return self._spans[partition].end
        return high if high >= 0 else self._spans[partition].end

    def _remember(self, error: KafkaError) -> None:
        self._all_down = self._all_down or error.code() == KafkaError._ALL_BROKERS_DOWN
