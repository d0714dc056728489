"""What commands about mails do with Kafka: read topics from end to end, and write a few records."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from runtime.clock import Clock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.client import client_properties
from runtime.kafka.errors import TopicMissing
from runtime.kafka.members import Members
from runtime.kafka.reader import TopicReader
from runtime.kafka.records import OutRecord, Record
from runtime.kafka.writer import RecordWriter
from runtime.settings import Settings


class Cluster(Protocol):
    """Topics to read and to write. Every call may raise a `KafkaFault`."""

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has."""

    def members(self, group: str) -> int:
        """Return how many members a consumer group has."""

    def configs(self, topic: str) -> Mapping[str, str]:
        """Return a topic's whole configuration."""

    def records(self, topic: str, numbers: Collection[int] | None = None) -> Iterator[Record]:
        """Yield what is committed in a topic, or in these partitions of it, each in order."""

    def write(self, records: Sequence[OutRecord]) -> None:
        """Write the records; when it returns, all in-sync replicas have them."""


class KafkaCluster:
    """The cluster that the settings name. A context manager; it connects when it is used."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._clock = clock
        self._properties = client_properties(settings, role="console")
        self._admin = TopicAdmin(self._properties)
        self._reached = False
        self._writer: RecordWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        self._reach()
        return len(self._admin.spans([topic]))

    def members(self, group: str) -> int:
        """Return how many members a consumer group has."""
        self._reach()
        return Members(self._properties, group).count()

    def configs(self, topic: str) -> Mapping[str, str]:
        """Return a topic's whole configuration."""
        self._reach()
        found = self._admin.topics([topic])
        if topic not in found:
            raise TopicMissing.named(topic)
        return found[topic].configs

    def records(self, topic: str, numbers: Collection[int] | None = None) -> Iterator[Record]:
        """Yield what is committed in a topic, or in these partitions of it, each in order."""
        self._reach()
        spans = self._admin.spans([topic])
        wanted = {
            place: span
            for place, span in spans.items()
            if numbers is None or place.number in numbers
        }
        return TopicReader(self._properties, self._clock).read(wanted)

    def write(self, records: Sequence[OutRecord]) -> None:
        """Write the records; when it returns, all in-sync replicas have them."""
        self._reach()
        if self._writer is None:
            self._writer = RecordWriter(self._properties, self._clock)
        self._writer.write(records)

    def _reach(self) -> None:
        """Make sure, once, that Kafka answers: asked in this way it says sooner, and why not."""
        if not self._reached:
            self._admin.ping()
            self._reached = True
