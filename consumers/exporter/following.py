"""Follows dead letters, their journal and the suppressions, to count what is open."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from consumers.exporter.letters import GroupCount, OpenLetters
from retry_topics.dlt.archive import scanned
from retry_topics.dlt.letter import LetterReader
from retry_topics.topology import Topology
from runtime.kafka.follower import Followed, OffsetsLost
from runtime.kafka.records import Partition, Record
from runtime.kafka.topics import Span

_MOST: Final = 2_000
#: Groups with a number of their own.
_MOST_GROUPS: Final = 20


class Cluster(Protocol):
    """What is asked of a cluster; `runtime.kafka.admin.TopicAdmin` answers."""

    def spans(self, topics: Sequence[str]) -> Mapping[Partition, Span]: ...
    def topic_ids(self, names: Sequence[str]) -> Mapping[str, str]: ...


class Following(Protocol):
    """What comes in partitions; `runtime.kafka.follower.Follower` tells."""

    def take(self, most: int, seconds: float) -> Followed: ...
    def all_down(self) -> bool: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Counted:
    """What is open: dead letters by group, and how many recipients get no more mail."""

    groups: Sequence[GroupCount]
    suppressions: int


def followed_topics(topology: Topology) -> tuple[str, ...]:
    """Return the topics that tell what is open."""
    return (topology.dlt, topology.dlt_journal, topology.suppressions)


class Counts:
    """Counts as the topics grow. Owned by one thread; after a fault it begins anew."""

    def __init__(
        self,
        topology: Topology,
        cluster: Cluster,
        follow: Callable[[Mapping[Partition, Span]], Following],
        reader: LetterReader,
    ) -> None:
        self._topology = topology
        self._cluster = cluster
        self._follow = follow
        self._reader = reader
        self._topics = followed_topics(topology)
        self._following: Following | None = None
        self._topic_id = ""
        self._lanes: frozenset[int] = frozenset()
        self._letters = OpenLetters("", {})
        self._suppressed: set[bytes] = set()
        #: Where each partition ended at first, as long as it was not read so far.
        self._unread: dict[Partition, int] = {}

    def take(self, seconds: float) -> bool:
        """Take in what there is, waiting at most so long for it; tell if there may be more.

        Raises:
            KafkaFault: the topics cannot be followed.
            RegistryUnavailable: a registry that has to be asked does not answer.
        """
        following = self._following or self._begin()
        try:
            followed = following.take(_MOST, seconds)
            for record in followed.records:
                self._hear(record)
        except OffsetsLost:
            # Some were deleted before they were read, or a topic was made anew.
            self.close()
            return True
        except BaseException:
            self.close()
            raise
        for partition, offset in followed.reached.items():
            if offset >= self._unread.get(partition, offset):
                self._unread.pop(partition, None)
        return len(followed.records) >= _MOST or bool(self._unread)

    def counted(self) -> Counted | None:
        """Return what is open; None until everything that was there at first is read.

        Raises:
            KafkaFault: the cluster cannot be asked.
        """
        if self._following is None or self._unread:
            return None
        starts = self._starts()
        if self._dlt_id() != self._topic_id or starts.keys() != self._lanes:
            # It was made anew, or has more partitions.
            self.close()
            return None
        self._letters.deleted(starts)
        return Counted(self._letters.counts(_MOST_GROUPS), len(self._suppressed))

    def all_down(self) -> bool:
        """Tell, once, that no broker could be reached since the last question."""
        return self._following is not None and self._following.all_down()

    def close(self) -> None:
        """Stop following, and forget what was counted."""
        following, self._following = self._following, None
        if following is not None:
            following.close()

    def _begin(self) -> Following:
        spans = self._cluster.spans(self._topics)
        self._topic_id = self._dlt_id()
        starts = {p.number: s.start for p, s in spans.items() if p.topic == self._topology.dlt}
        self._lanes = frozenset(starts)
        self._letters = OpenLetters(self._topic_id, starts)
        self._suppressed = set()
        self._unread = {p: span.end for p, span in spans.items() if span.start < span.end}
        self._following = self._follow(spans)
        return self._following

    def _dlt_id(self) -> str:
        return self._cluster.topic_ids([self._topology.dlt])[self._topology.dlt]

    def _starts(self) -> dict[int, int]:
        spans = self._cluster.spans([self._topology.dlt])
        return {number: span.start for (_, number), span in spans.items()}

    def _hear(self, record: Record) -> None:
        if record.topic == self._topology.dlt:
            self._letters.died(self._reader.read(record.partition, scanned(record)))
        elif record.topic == self._topology.dlt_journal:
            self._letters.told(record.key, record.value)
        elif record.key is not None:
            keep = self._suppressed.discard if record.value is None else self._suppressed.add
            keep(record.key)
