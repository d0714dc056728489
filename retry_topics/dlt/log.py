"""Reading the topics of the dead-letter tool: bounded, by assigned partitions, in no group."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from runtime.clock import Clock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.bulk import Plain
from runtime.kafka.client import Properties
from runtime.kafka.follower import Followed, Follower
from runtime.kafka.records import Partition
from runtime.kafka.sweep import Scanned, Sweep, Swept, plain, scanned
from runtime.kafka.topics import Span


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

    def scan(self, topic: str, spans: Mapping[int, Span]) -> Iterator[Swept[Scanned]]:
        """Yield what is in these spans of a topic, side by side, each partition's in order."""

    def read(self, topic: str, spans: Mapping[int, Span]) -> Iterator[Swept[Plain]]:
        """Yield the same without timestamps and headers, in less time."""

    def follow(self, spans: Mapping[Partition, Span]) -> Following:
        """Return what follows partitions; `spans` are where to begin and what is there so far."""


class KafkaLog:
    """The topics of a cluster. It connects when it is used; each reading has its own connection."""

    def __init__(self, properties: Properties, clock: Clock) -> None:
        self._properties = properties
        self._clock = clock
        self._admin = TopicAdmin(properties)
        self._reached = False

    def topic_id(self, topic: str) -> str:
        """Return the id of a topic; one that is made anew has another."""
        self._reach()
        return self._admin.topic_ids([topic])[topic]

    def spans(self, topic: str) -> Mapping[int, Span]:
        """Return the first offset and the high watermark of each partition of a topic."""
        self._reach()
        found = self._admin.spans([topic])
        return {partition.number: found[partition] for partition in sorted(found)}

    def scan(self, topic: str, spans: Mapping[int, Span]) -> Iterator[Swept[Scanned]]:
        """Yield what is in these spans of a topic, side by side, each partition's in order."""
        return Sweep[Scanned](self._properties, self._clock).read(topic, spans, scanned)

    def read(self, topic: str, spans: Mapping[int, Span]) -> Iterator[Swept[Plain]]:
        """Yield the same without timestamps and headers, in less time."""
        return Sweep[Plain](self._properties, self._clock).read(topic, spans, plain)

    def follow(self, spans: Mapping[Partition, Span]) -> Following:
        """Return what follows partitions; `spans` are where to begin and what is there so far."""
        return Follower(self._properties, spans)

    def _reach(self) -> None:
        """Make sure, once, that Kafka answers: asked in this way it says sooner, and why not."""
        if not self._reached:
            self._admin.ping()
            self._reached = True
