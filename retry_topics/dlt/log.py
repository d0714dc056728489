"""Reading the topics of the dead-letter tool: bounded, by assigned partitions, in no group."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from runtime.clock import Clock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.bulk import BulkReader, Messages, Plain, Scanned
from runtime.kafka.client import Properties
from runtime.kafka.follower import Followed, Follower
from runtime.kafka.records import Partition
from runtime.kafka.topics import Span

T = TypeVar("T")


class Following(Protocol):
    """What comes in partitions from given offsets on, for ever."""

    def take(self, most: int, seconds: float) -> Followed:
        """Return up to `most` records, waiting at most `seconds` for the first one."""

    def close(self) -> None:
        """Close the connections."""


class Log(Protocol):
    """Topics to read; whatever is committed, and nothing else. Every call may raise `KafkaFault`s.

    Owned by one thread.
    """

    def topic_id(self, topic: str) -> str:
        """Return the id of a topic; one that is made anew has another."""

    def spans(self, topic: str) -> Mapping[int, Span]:
        """Return the first offset and the high watermark of each partition of a topic."""

    def scan(self, topic: str, number: int, span: Span) -> Iterator[Sequence[Scanned]]:
        """Yield what is in a span, in order. Several scans may be under way side by side."""

    def read(self, topic: str, number: int, span: Span) -> Iterator[Sequence[Plain]]:
        """Yield the same without timestamps and headers, in less time."""

    def follow(self, spans: Mapping[Partition, Span]) -> Following:
        """Return what follows partitions; `spans` are where to begin and what is there so far."""


class KafkaLog:
    """The topics of a cluster. It connects when it is used, and keeps connections until `close`."""

    def __init__(self, properties: Properties, clock: Clock) -> None:
        self._properties = properties
        self._clock = clock
        self._admin = TopicAdmin(properties)
        self._reached = False
        self._idle: list[BulkReader] = []

    def topic_id(self, topic: str) -> str:
        """Return the id of a topic; one that is made anew has another."""
        self._reach()
        return self._admin.topic_ids([topic])[topic]

    def spans(self, topic: str) -> Mapping[int, Span]:
        """Return the first offset and the high watermark of each partition of a topic."""
        self._reach()
        found = self._admin.spans([topic])
        return {partition.number: found[partition] for partition in sorted(found)}

    def scan(self, topic: str, number: int, span: Span) -> Iterator[Sequence[Scanned]]:
        """Yield what is in a span, in order. Several scans may be under way side by side."""
        partition = Partition(topic, number)
        return self._all(partition, lambda reader: reader.scan(partition, span, _go_on))

    def read(self, topic: str, number: int, span: Span) -> Iterator[Sequence[Plain]]:
        """Yield the same without timestamps and headers, in less time."""
        partition = Partition(topic, number)
        return self._all(partition, lambda reader: reader.read(partition, span, _go_on))

    def follow(self, spans: Mapping[Partition, Span]) -> Following:
        """Return what follows partitions; `spans` are where to begin and what is there so far."""
        return Follower(self._properties, spans)

    def close(self) -> None:
        """Close every connection that is not in use."""
        while self._idle:
            self._idle.pop().close()

    def _all(
        self, partition: Partition, begin: Callable[[BulkReader], Iterator[Messages[T]]]
    ) -> Iterator[Sequence[T]]:
        self._reach()
        reader = self._reader(partition)
        try:
            for batch in begin(reader):
                yield batch.messages
        finally:
            self._idle.append(reader)

    def _reader(self, partition: Partition) -> BulkReader:
        """Return a reader that is free and has just read something else."""
        for index, reader in enumerate(self._idle):
            if reader.last != partition:
                return self._idle.pop(index)
        return BulkReader(self._properties, self._clock)

    def _reach(self) -> None:
        """Make sure, once, that Kafka answers: asked in this way it says sooner, and why not."""
        if not self._reached:
            self._admin.ping()
            self._reached = True


def _go_on() -> bool:
    return False
