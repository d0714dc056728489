"""Asks Kafka how far the workers are: ends, committed offsets, and the first unfinished records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from consumers.exporter.lag import (
    LaneLag,
    Oldest,
    needs_sample,
    next_offset,
    records_left,
)
from retry_topics.headers import read_journey
from retry_topics.topology import Topology
from runtime.clock import Clock
from runtime.kafka.heads import Sample
from runtime.kafka.records import Partition, Record
from runtime.kafka.topics import Span, TopicState
from schemas.codec import EventCodec
from schemas.errors import RegistryUnavailable, Undecodable

#: Records of a lane that are counted one by one.
_MOST_SAMPLED: Final = 200
#: How long the lanes' records are waited for, in seconds.
_SAMPLE_SECONDS: Final = 3.0


class Cluster(Protocol):
    """What is asked of a cluster; `runtime.kafka.admin.TopicAdmin` answers."""

    def topics(self, names: Sequence[str]) -> Mapping[str, TopicState]: ...
    def spans(self, topics: Sequence[str]) -> Mapping[Partition, Span]: ...


class Group(Protocol):
    """Tells a group's offsets; `runtime.kafka.groups.GroupWatcher` does."""

    def committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]: ...


class Members(Protocol):
    """Counts a group's members; `runtime.kafka.members.Members` does."""

    def count(self) -> int: ...


class Heads(Protocol):
    """Reads a few records of many partitions; `runtime.kafka.heads.HeadReader` does."""

    def sample(
        self, starts: Mapping[Partition, int], most: int, seconds: float
    ) -> Mapping[Partition, Sample]: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What one survey saw. Retentions in milliseconds; a topic without one keeps its records."""

    lanes: Mapping[Partition, LaneLag]
    retentions: Mapping[str, int]
    members: int


@dataclass(frozen=True, slots=True)
class SurveyParts:
    """What a survey asks, and what it reads events with."""

    topology: Topology
    cluster: Cluster
    group: Group
    members: Members
    heads: Heads
    codec: EventCodec
    clock: Clock


class Survey:
    """Asked again and again. Owned by one thread; keeps what it has read of lanes that stand."""

    def __init__(self, parts: SurveyParts) -> None:
        self._with = parts
        self._samples: dict[Partition, Sample] = {}
        self._registry_answers = True

    def look(self) -> Seen:
        """Return how far behind every lane of every consumed topic is.

        Raises:
            TopicMissing: one of the topics does not exist.
            KafkaFault: the cluster cannot be asked.
        """
        topics = self._with.topology.consumed
        # The offsets first: what comes meanwhile is lag, and nobody is ahead of the end.
        partitions = sorted(self._with.cluster.spans(topics))
        committed = self._with.group.committed(partitions)
        spans = self._with.cluster.spans(topics)
        at = {p: next_offset(committed.get(p), span) for p, span in spans.items()}
        self._sample(at, spans)
        self._registry_answers = True
        return Seen(
            {p: self._lane(p, offset, spans[p].end) for p, offset in at.items()},
            self._retentions(topics),
            self._with.members.count(),
        )

    def _sample(self, at: Mapping[Partition, int], spans: Mapping[Partition, Span]) -> None:
        """Read what is not known of the lanes that are behind."""
        self._samples = {p: s for p, s in self._samples.items() if at.get(p) == s.start}
        wanted = {
            p: offset
            for p, offset in at.items()
            if needs_sample(self._samples.get(p), offset, spans[p].end, _MOST_SAMPLED)
        }
        self._samples.update(self._with.heads.sample(wanted, _MOST_SAMPLED, _SAMPLE_SECONDS))

    def _lane(self, partition: Partition, at: int, end: int) -> LaneLag:
        sample = self._samples.get(partition)
        if at >= end or sample is None:
            return LaneLag(at, max(0, end - at), None)
        first = sample.first
        return LaneLag(
            at, records_left(sample, end), None if first is None else self._oldest(first)
        )

    def _oldest(self, record: Record) -> Oldest:
        """Return since when a record is where it is, and when it is due."""
        written = record.timestamp_ms or self._with.clock.now_ms()
        if record.topic == self._with.topology.main:
            return Oldest(written, max(written, self._not_before(record)))
        due = read_journey(record.headers).due_at
        return Oldest(written, written if due is None else due)

    def _not_before(self, record: Record) -> int:
        """Return when a mail may be sent; 0 where that cannot be told.

        Such a one is due since it came: a worker has to deal with it, whatever it is. A registry
        that does not answer is asked once in each look.
        """
        if not self._registry_answers:
            return 0
        try:
            return self._with.codec.decode(record.value or b"").not_before or 0
        except Undecodable:
            return 0
        except RegistryUnavailable:
            self._registry_answers = False
            return 0

    def _retentions(self, topics: Sequence[str]) -> dict[str, int]:
        states = self._with.cluster.topics(topics)
        found = {name: int(state.configs.get("retention.ms", -1)) for name, state in states.items()}
        return {name: retention for name, retention in found.items() if retention >= 0}
