"""What is asked of Kafka, what is read again, and since when a record is due."""

from collections.abc import Mapping, Sequence

import pytest

from consumers.exporter.lag import LaneLag, Oldest
from consumers.exporter.survey import Survey, SurveyParts
from retry_topics.headers import DUE_AT
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.heads import Sample
from runtime.kafka.records import Headers, Partition, Record
from runtime.kafka.topics import Span, TopicState
from schemas.codec import EventCodec, encode
from schemas.errors import RegistryUnavailable
from tests.support.clock import ManualClock
from tests.support.mailer import signup

TOPOLOGY = Topology("t", parse_tiers("1m"), 1)
MAIN = Partition(TOPOLOGY.main, 0)
TIER = Partition("t.retry.1m", 0)
WRITTEN = 1_000_000


class Kafka:
    """A cluster with a group, of which everything can be set."""

    def __init__(self) -> None:
        self.ends = {Partition(topic, 0): Span(0, 0) for topic in TOPOLOGY.consumed}
        self.offsets: dict[Partition, int] = {}
        self.firsts: dict[Partition, Record] = {}
        self.sampled: list[dict[Partition, int]] = []
        self.retention: str | None = "60000"

    def spans(self, topics: Sequence[str]) -> Mapping[Partition, Span]:
        return dict(self.ends)

    def topics(self, names: Sequence[str]) -> Mapping[str, TopicState]:
        configs = {} if self.retention is None else {"retention.ms": self.retention}
        return {name: TopicState(name, 1, 1, configs, in_sync=1) for name in names}

    def committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return dict(self.offsets)

    def count(self) -> int:
        return 2

    def sample(
        self, starts: Mapping[Partition, int], most: int, seconds: float
    ) -> Mapping[Partition, Sample]:
        self.sampled.append(dict(starts))
        return {
            p: Sample(start, self.ends[p].end, 1 if p in self.firsts else 0, self.firsts.get(p))
            for p, start in starts.items()
        }


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


@pytest.fixture
def survey(kafka: Kafka, clock: ManualClock) -> Survey:
    return Survey(SurveyParts(TOPOLOGY, kafka, kafka, kafka, kafka, EventCodec(None), clock))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def record(source: Partition, value: bytes = b"", headers: Headers = ()) -> Record:
    return Record(source.topic, source.number, 0, WRITTEN, None, value, headers)


def test_without_lag_nothing_is_read(kafka: Kafka, survey: Survey) -> None:
    """Ends and offsets tell it all."""
    kafka.ends[MAIN], kafka.offsets[MAIN] = Span(3, 9), 9

    seen = survey.look()

    assert kafka.sampled == [{}]
    assert seen.members == 2
    assert seen.lanes[MAIN] == LaneLag(9, 0, None)
    assert seen.retentions == dict.fromkeys(TOPOLOGY.consumed, 60_000)


def test_a_lane_that_stands_still_is_read_once(kafka: Kafka, survey: Survey) -> None:
    """And again when its group goes on."""
    kafka.ends[TIER] = Span(0, 4)
    kafka.firsts[TIER] = record(TIER)
    survey.look()
    survey.look()
    kafka.offsets[TIER] = 2
    survey.look()

    assert kafka.sampled == [{TIER: 0}, {}, {TIER: 2}]


@pytest.mark.parametrize(
    ("headers", "due"), [(((DUE_AT, b"1234567"),), 1_234_567), (((DUE_AT, b"?"),), WRITTEN)]
)
def test_a_tier_s_record_is_due_when_its_header_says(
    kafka: Kafka, survey: Survey, headers: Headers, due: int
) -> None:
    """Else since it is there."""
    kafka.ends[TIER] = Span(0, 1)
    kafka.firsts[TIER] = record(TIER, headers=headers)

    assert survey.look().lanes[TIER].oldest == Oldest(WRITTEN, due)


def test_a_main_record_is_due_from_its_acceptance_or_not_before(
    kafka: Kafka, survey: Survey
) -> None:
    """One that cannot be read has to be dealt with at once, too."""
    kafka.ends[MAIN] = Span(0, 1)
    later = encode(signup("ada@example.com", not_before=2_000_000))
    found = []
    for value in (encode(signup("ada@example.com")), later, b"junk"):
        kafka.firsts[MAIN] = record(MAIN, value)
        kafka.ends[MAIN] = Span(kafka.ends[MAIN].start + 1, kafka.ends[MAIN].end + 1)
        found.append(survey.look().lanes[MAIN].oldest)

    assert found == [Oldest(WRITTEN, due) for due in (WRITTEN, 2_000_000, WRITTEN)]


def test_what_is_kept_for_ever_has_no_retention(kafka: Kafka, survey: Survey) -> None:
    """Nor has a topic whose configuration may not be seen."""
    kafka.retention = "-1"
    assert survey.look().retentions == {}
    kafka.retention = None
    assert survey.look().retentions == {}


def test_a_registry_that_is_gone_is_asked_once_in_a_look(kafka: Kafka, clock: ManualClock) -> None:
    """Each question takes its time, and there may be thousands of lanes."""
    asked = []

    class Gone:
        def schema(self, schema_id: int) -> str:
            asked.append(schema_id)
            raise RegistryUnavailable("gone")

    parts = SurveyParts(TOPOLOGY, kafka, kafka, kafka, kafka, EventCodec(Gone()), clock)
    framed = b"\0\0\0\0\1" + encode(signup("ada@example.com"))[10:]
    for number in range(3):
        lane = Partition(TOPOLOGY.main, number)
        kafka.ends[lane] = Span(0, 1)
        kafka.firsts[lane] = record(lane, framed)
    survey = Survey(parts)

    assert {lag.oldest for lag in survey.look().lanes.values()} == {Oldest(WRITTEN, WRITTEN), None}
    assert asked == [1]
    survey.look()
    assert asked == [1, 1]
