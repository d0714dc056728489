"""The group's consumer: one thread owns it, calls everything on it and gets its callbacks.

Commits are not its business: the offsets travel in the producer's transactions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runtime.kafka.client import Properties, client_logger
from runtime.kafka.connection import Connection
from runtime.kafka.errors import KafkaFault, denial
from runtime.kafka.records import Headers, Partition, Record
from runtime.logs import get_logger

_log = get_logger("kafka.consumer")

#: Records that the client fetches ahead, in kilobytes for all partitions together: of a backlog's
#: mails those of about a second.
_PREFETCH_KB: Final = 4_096
#: What is fetched of one partition at once, in bytes; a single record may be larger.
_FETCH_BYTES: Final = 262_144


class ConsumerFailed(KafkaFault):
    """The consumer cannot go on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class GroupMetadata:
    """The group's identity of this member at one moment; opaque, for a transaction to be fenced."""

    opaque: object


@dataclass(frozen=True, slots=True)
class Polled:
    """What one poll brought: records, and the ends of partitions that were read through.

    An end is the offset after the last one that is there. It lies beyond the last record where a
    transaction's marker or an aborted record, which nobody is shown, comes last.
    """

    records: list[Record]
    ends: dict[Partition, int]


class RebalanceListener(Protocol):
    """Told of every change of the assignment, on the thread that polls, before poll returns."""

    def assigned(self, partitions: Sequence[Partition]) -> None:
        """These partitions are ours from here on; none of them is paused."""

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """These partitions go when this returns; what is finished may still be committed."""

    def lost(self, partitions: Sequence[Partition]) -> None:
        """These partitions are somebody else's already; nothing of them may be committed."""


def consumer_properties(base: Properties, group: str, protocol: str) -> Properties:
    """Return the properties of a worker's consumer on top of the client's.

    `protocol` is `consumer` (KIP-848, the broker assigns) or `classic`; both assign by range, which
    gives one member the same partition number of every topic.
    """
    own: Properties = {
        "group.id": group,
        "group.protocol": protocol,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
        "queued.max.messages.kbytes": _PREFETCH_KB,
        "max.partition.fetch.bytes": _FETCH_BYTES,
        "fetch.queue.backoff.ms": 20,
    }
    if protocol == "classic":
        own |= {
            "partition.assignment.strategy": "range",
            "session.timeout.ms": 10_000,
            "heartbeat.interval.ms": 1_000,
        }
    else:
        own["group.remote.assignor"] = "range"
    return own | dict(base) | {"group.id": group, "group.protocol": protocol}


class GroupConsumer:
    """A member of the consumer group."""

    def __init__(
        self, properties: Properties, listener: RebalanceListener, connection: Connection
    ) -> None:
        """Create the consumer from `consumer_properties`; `connection` follows it."""
        self._consumer = Consumer({**properties, **connection.hooks()}, logger=client_logger())
        self._group = str(properties["group.id"])
        self._eager = properties["group.protocol"] == "classic"
        self._polled = Polled([], {})
        self._listener = listener

    def subscribe(self, topics: Sequence[str]) -> None:
        """Join the group for these topics; partitions arrive during `poll`."""
        self._consumer.subscribe(
            list(topics),
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def poll(self, most: int, timeout: float) -> Polled:
        """Return up to `most` records, waiting at most `timeout` seconds for the first one.

        Raises:
            ConsumerFailed: the client reported an error that does not heal by itself.
        """
        first = self._consumer.poll(timeout)
        polled = self._polled = Polled([], {})
        if first is not None:
            self._sort(first, polled)
            for message in self._consumer.consume(most - 1, 0) if most > 1 else ():
                self._sort(message, polled)
        return polled

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Stop fetching these partitions; polling must go on."""
        self._consumer.pause(_topic_partitions(partitions))

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Fetch these partitions again, from the record after the last one that was returned."""
        self._consumer.resume(_topic_partitions(partitions))

    def metadata(self) -> GroupMetadata:
        """Return what a transaction needs to commit this member's offsets."""
        return GroupMetadata(self._consumer.consumer_group_metadata())

    def close(self) -> None:
        """Leave the group; `revoked` is called for what is still assigned."""
        self._consumer.close()

    def _on_assign(self, _: Consumer, parts: list[TopicPartition]) -> None:
        if self._eager:
            self._consumer.assign(parts)
        else:
            self._consumer.incremental_assign(parts)
        # The client keeps a partition's pause over a reassignment; it must not outlive our feed.
        self._consumer.resume(parts)
        self._listener.assigned(_partitions(parts))

    def _on_revoke(self, _: Consumer, parts: list[TopicPartition]) -> None:
        self._forget(parts)
        self._listener.revoked(_partitions(parts))

    def _on_lost(self, _: Consumer, parts: list[TopicPartition]) -> None:
        self._forget(parts)
        self._listener.lost(_partitions(parts))

    def _sort(self, message: Message, polled: Polled) -> None:
        error = message.error()
        if error is None:
            polled.records.append(record_of(message))
            return
        topic = message.topic()
        if error.code() != KafkaError._PARTITION_EOF:
            of_group = error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED or not topic
            what = f"group {self._group}" if of_group else f"topic {topic}"
            _raise_or_log(error, f"Read on the {what}")
        else:
            number, offset = message.partition(), message.offset()
            if topic is not None and number is not None and offset is not None:
                polled.ends[Partition(topic, number)] = offset

    def _forget(self, parts: list[TopicPartition]) -> None:
        """Drop what this poll has read of partitions that go: they may be back before it ends."""
        gone = set(_partitions(parts))
        kept = [record for record in self._polled.records if record.source not in gone]
        self._polled.records[:] = kept
        for source in gone:
            self._polled.ends.pop(source, None)


def record_of(message: Message) -> Record:
    """Translate a message without error."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise ConsumerFailed("the client returned a message without a position")
    kind, timestamp = message.timestamp()
    key, value = message.key(), message.value()
    # The client knows other forms of headers, too, but only for what is to be written.
    headers: Headers = tuple(message.headers() or ())  # type: ignore[arg-type]
    return Record(
        topic,
        partition,
        offset,
        timestamp if kind else 0,
        key if isinstance(key, bytes) else None,
        value if isinstance(value, bytes) else None,
        headers,
    )


def _raise_or_log(error: KafkaError, need: str) -> None:
    if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise ConsumerFailed(
            f"{error.str()}: create the topics with `mailcascade topics apply`"
        ) from KafkaException(error)
    if denied := denial(error, need):
        raise ConsumerFailed(denied) from KafkaException(error)
    if error.fatal() or error.code() == KafkaError._FATAL:
        hint = "`mailcascade doctor --role worker` tells if the cluster does not let it"
        raise ConsumerFailed(f"{error.str()}; {hint}") from KafkaException(error)
    _log.warning("kafka.consumer_error", error=error.str(), code=error.name())


def _topic_partitions(partitions: Sequence[Partition]) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for topic, number in partitions]


def _partitions(parts: Sequence[TopicPartition]) -> list[Partition]:
    return [Partition(part.topic, part.partition) for part in parts]
