"""What is going on in a pipeline, from outside: counts from the topics and from the group."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from retry_topics.topology import Topology
from runtime.clock import SystemClock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.client import Properties
from runtime.kafka.groups import GroupReader
from runtime.kafka.reader import ReaderStalled, TopicReader
from runtime.kafka.records import Partition, Record
from runtime.kafka.topics import Span

#: An open transaction of a dead worker may hold reading back; the next look goes on from there.
_PATIENCE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Counts:
    """One look at a pipeline. `waiting` and `entered` are by tier label, `entered` since ever."""

    accepted: int
    waiting: Mapping[str, int]
    entered: Mapping[str, int]
    dead: int


class Tail:
    """Reads what is new in some topics at each call, in committed records."""

    def __init__(self, admin: TopicAdmin, reader: TopicReader, topics: Sequence[str]) -> None:
        self._admin = admin
        self._reader = reader
        self._topics = topics
        self._positions: dict[Partition, int] = {}

    def skip(self) -> None:
        """Leave out what is there already."""
        self._positions = {
            partition: span.end for partition, span in self._admin.spans(self._topics).items()
        }

    def advance(self) -> list[Record]:
        """Return the records since the last call; from the beginning at the first."""
        news: list[Record] = []
        spans = {
            partition: Span(max(span.start, self._positions.get(partition, 0)), span.end)
            for partition, span in self._admin.spans(self._topics).items()
        }
        grown = {partition: span for partition, span in spans.items() if span.start < span.end}
        try:
            for record in self._reader.read(grown):
                self._positions[record.source] = record.offset + 1
                news.append(record)
        except ReaderStalled:
            return news
        self._positions.update((partition, span.end) for partition, span in grown.items())
        return news


@dataclass(slots=True)
class Waiting:
    """The records of tiers that the group has not got past; offsets ascend in each partition.

    Offsets alone would count too much: a transaction's marker takes one, too.
    """

    offsets: dict[Partition, list[int]] = field(default_factory=dict)

    def add(self, records: Sequence[Record]) -> None:
        """Note records that are new in a tier."""
        for record in records:
            self.offsets.setdefault(record.source, []).append(record.offset)

    def pass_by(self, committed: Mapping[Partition, int]) -> None:
        """Forget what is before the group's committed offsets."""
        for partition, offsets in self.offsets.items():
            del offsets[: bisect_left(offsets, committed.get(partition, 0))]

    def count(self, topic: str) -> int:
        """Return how many wait in a topic."""
        return sum(len(held) for source, held in self.offsets.items() if source.topic == topic)


class Watch:
    """Looks at a pipeline again and again, reading each record of tiers and DLT once."""

    def __init__(self, properties: Properties, topology: Topology, *, from_now: bool) -> None:
        """Count from here on, or everything there is. Raises KafkaFault."""
        self._admin = TopicAdmin(properties)
        self._group = GroupReader(properties, topology.group)
        self._topology = topology
        reader = TopicReader(properties, SystemClock(), _PATIENCE_SECONDS)
        self._tiers = Tail(self._admin, reader, topology.retries)
        self._dlt = Tail(self._admin, reader, (topology.dlt,))
        self._base = self._accepted() if from_now else 0
        if from_now:
            self._dlt.skip()
        self._entered: Counter[str] = Counter()
        self._waiting = Waiting()
        self.dead: list[Record] = []

    def look(self) -> Counts:
        """Return the counts of this moment; raises KafkaFault."""
        self.dead += self._dlt.advance()
        news = self._tiers.advance()
        self._entered.update(record.topic for record in news)
        self._waiting.add(news)
        if self._waiting.offsets:
            self._waiting.pass_by(self._group.committed(self._waiting.offsets))
        topics = {tier.label: self._topology.retry(tier) for tier in self._topology.tiers}
        return Counts(
            accepted=self._accepted() - self._base,
            waiting={label: self._waiting.count(topic) for label, topic in topics.items()},
            entered={label: self._entered[topic] for label, topic in topics.items()},
            dead=len(self.dead),
        )

    def _accepted(self) -> int:
        """Return how many records the main topic ever had: no transaction writes to it."""
        return sum(span.end for span in self._admin.spans((self._topology.main,)).values())
