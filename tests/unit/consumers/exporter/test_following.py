"""What is open is counted while topics grow, and anew when they are not what they were."""

from collections.abc import Mapping, Sequence

import pytest

from consumers.exporter.following import Counted, Counts, followed_topics
from retry_topics.dlt.letter import LetterReader
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.errors import KafkaRetriable
from runtime.kafka.follower import Followed, OffsetsLost
from runtime.kafka.records import OutRecord, Partition, Record
from runtime.kafka.topics import Span
from schemas.codec import EventCodec
from schemas.dlt_journal import Position, entry_key
from tests.support.letters import dead_record, journey_of
from tests.support.mailer import signup

TOPOLOGY = Topology("t", parse_tiers("1m"), 1)
DLT, JOURNAL, SUPPRESSIONS = (Partition(topic, 0) for topic in followed_topics(TOPOLOGY))


class Kafka:
    """Three partitions, followed from their starts; what is written comes with the next take."""

    def __init__(self) -> None:
        self.topic_id = "first"
        self.records: dict[Partition, list[Record]] = {DLT: [], JOURNAL: [], SUPPRESSIONS: []}
        self.start = 0
        self.faults: list[Exception] = []
        self.followers = 0
        self._next: dict[Partition, int] = {}

    def write(self, source: Partition, key: bytes | None, value: bytes | None) -> None:
        self.add(OutRecord(source.topic, key, value, ()))

    def add(self, out: OutRecord) -> None:
        held = self.records[Partition(out.topic, 0)]
        held.append(Record(out.topic, 0, len(held), 5, out.key, out.value, out.headers))

    def spans(self, topics: Sequence[str]) -> Mapping[Partition, Span]:
        return {
            source: Span(self.start if source == DLT else 0, len(held))
            for source, held in self.records.items()
            if source.topic in topics
        }

    def topic_ids(self, names: Sequence[str]) -> Mapping[str, str]:
        return dict.fromkeys(names, self.topic_id)

    def follow(self, spans: Mapping[Partition, Span]) -> "Kafka":
        self.followers += 1
        self._next = {source: span.start for source, span in spans.items()}
        return self

    def take(self, most: int, seconds: float) -> Followed:
        if self.faults:
            raise self.faults.pop(0)
        found = []
        for source, held in self.records.items():
            found += held[self._next[source] :]
            self._next[source] = len(held)
        return Followed(found, dict(self._next))

    def all_down(self) -> bool:
        return False

    def close(self) -> None:
        pass


@pytest.fixture
def kafka() -> Kafka:
    kafka = Kafka()
    for _ in range(3):
        kafka.add(dead_record(TOPOLOGY.dlt, signup("ada@example.com"), journey_of(), 1))
    kafka.write(JOURNAL, entry_key("first", Position(0, 1)), b"entry")
    kafka.write(SUPPRESSIONS, b"hash", b"value")
    return kafka


@pytest.fixture
def counts(kafka: Kafka) -> Counts:
    return Counts(TOPOLOGY, kafka, kafka.follow, LetterReader(EventCodec(None)))


def letters(counted: Counted | None) -> list[int]:
    assert counted is not None
    return [group.letters for group in counted.groups]


def test_nothing_is_told_before_everything_is_read(counts: Counts) -> None:
    """Half a count would look like a cure."""
    assert counts.counted() is None
    assert not counts.take(0)

    counted = counts.counted()
    assert letters(counted) == [2, 0]
    assert counted is not None
    assert counted.suppressions == 1


def test_what_comes_and_what_is_deleted_counts(counts: Counts, kafka: Kafka) -> None:
    """A lifted suppression and a letter that retention took are gone."""
    counts.take(0)
    kafka.write(SUPPRESSIONS, b"hash", None)
    kafka.start = 1
    kafka.add(dead_record(TOPOLOGY.dlt, signup("bob@example.com"), journey_of(), 1))
    counts.take(0)

    counted = counts.counted()
    assert letters(counted) == [2, 0]
    assert counted is not None
    assert counted.suppressions == 0


@pytest.mark.parametrize("fault", [OffsetsLost("gone"), KafkaRetriable("not now")])
def test_after_a_fault_it_is_counted_anew(counts: Counts, kafka: Kafka, fault: Exception) -> None:
    """Offsets that are gone are no outage, others are."""
    counts.take(0)
    kafka.faults.append(fault)
    if isinstance(fault, OffsetsLost):
        assert counts.take(0)
    else:
        with pytest.raises(KafkaRetriable):
            counts.take(0)
    assert counts.counted() is None
    counts.take(0)

    assert letters(counts.counted()) == [2, 0]
    assert kafka.followers == 2


def test_a_topic_that_was_made_anew_is_counted_anew(counts: Counts, kafka: Kafka) -> None:
    """What the journal says of the one before does not settle its letters."""
    counts.take(0)
    kafka.topic_id = "second"
    assert counts.counted() is None
    counts.take(0)

    assert letters(counts.counted()) == [3, 0]


def test_a_topic_with_more_partitions_is_counted_anew(counts: Counts, kafka: Kafka) -> None:
    """Letters in the new ones would be missed."""
    counts.take(0)
    kafka.records[Partition(TOPOLOGY.dlt, 1)] = []
    assert counts.counted() is None
    counts.take(0)

    assert letters(counts.counted()) == [2, 0]
    assert kafka.followers == 2
