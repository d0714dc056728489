"""A view is gone on with only where it was made from what there is."""

import pytest

from consumers.status.projected import projected_topics
from consumers.status.sources import check_source, spans_left
from consumers.status.store import OtherSource, Source
from consumers.status.telemetry import Telemetry
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.records import Partition
from runtime.kafka.topics import Span
from runtime.metric_catalogue import PROJECTOR_METRICS
from runtime.metrics import Metrics
from tests.support.clock import ManualClock

KNOWN = Source("one", {"main": "1", "ledger": "2"})
MAIN = Partition("main", 0)
GROWN = Partition("main", 1)


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(None, id="a view that is empty"),
        pytest.param(KNOWN, id="a view of the same topics"),
        pytest.param(Source("one", {"main": "1"}), id="a view of fewer topics"),
    ],
)
def test_a_view_of_what_there_is_is_gone_on_with(known: Source | None) -> None:
    """Also one that was made before a topic came to be."""
    check_source(known, KNOWN)


@pytest.mark.parametrize(
    ("known", "named"),
    [
        (Source("two", KNOWN.topics), "cluster two"),
        (Source("one", {"main": "9", "ledger": "2"}), "main was deleted"),
        (Source("one", {"other": "1"}), "topic other"),
    ],
)
def test_a_view_of_something_else_is_not(known: Source, named: str) -> None:
    """The error says what differs and how the view is made anew."""
    with pytest.raises(OtherSource, match=named) as caught:
        check_source(known, KNOWN)

    assert "mailcascade projector --rebuild" in str(caught.value)


@pytest.mark.parametrize(
    ("positions", "start"),
    [
        pytest.param({}, 5, id="nothing was projected"),
        pytest.param({MAIN: 7}, 7, id="something was projected"),
        pytest.param({MAIN: 10}, 10, id="everything was projected"),
        pytest.param({MAIN: 2}, 5, id="what comes next was deleted"),
    ],
)
def test_a_partition_is_followed_from_where_it_was(
    positions: dict[Partition, int], start: int
) -> None:
    """Or from the first record that is left."""
    assert spans_left(positions, {MAIN: Span(5, 10)}) == {MAIN: Span(start, 10)}


def test_a_new_partition_is_followed_from_its_beginning() -> None:
    """A topic may grow."""
    left = spans_left({MAIN: 7}, {MAIN: Span(0, 9), GROWN: Span(0, 3)})

    assert left == {MAIN: Span(7, 9), GROWN: Span(0, 3)}


def test_a_partition_that_is_shorter_than_what_was_projected_has_lost_records() -> None:
    """Going on would project other records over those."""
    with pytest.raises(OtherSource, match="--rebuild"):
        spans_left({MAIN: 11}, {MAIN: Span(0, 10)})


def test_every_topic_of_the_view_has_a_kind_in_the_metrics() -> None:
    """One without would end the projector at its first record."""
    topology = Topology("mails", parse_tiers("1m"), 1)
    telemetry = Telemetry(Metrics(PROJECTOR_METRICS), topology, ManualClock())
    topics = projected_topics(topology)
    telemetry.projected(dict.fromkeys(topics, 1), dict.fromkeys(topics, 1))
    assert telemetry.behind({Partition(topic, 0): 1 for topic in topics}, []) == len(topics)
