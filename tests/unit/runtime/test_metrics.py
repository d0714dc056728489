"""Only what the catalogue has can be counted, and what was counted is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.metric_catalogue import CATALOGUES, as_table
from runtime.metrics import Metric, MetricKind, Metrics, UnknownMetric
from runtime.tally import Tally

_COUNTER = Metric("mailcascade_things_total", MetricKind.COUNTER, "Things.", ("kind",))
_GAUGE = Metric("mailcascade_open", MetricKind.GAUGE, "Open.")
_HISTOGRAM = Metric("mailcascade_wait_seconds", MetricKind.HISTOGRAM, "Wait.", buckets=(0.1, 1.0))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics([_COUNTER, _GAUGE, _HISTOGRAM])


def test_what_was_measured_is_shown(metrics: Metrics) -> None:
    """The exposition has the names of the catalogue, labels and values."""
    metrics.counter("mailcascade_things_total", kind="a").inc(2)
    metrics.gauge("mailcascade_open").set(1)
    metrics.histogram("mailcascade_wait_seconds").observe(0.5)

    text = metrics.exposition().decode()

    assert 'mailcascade_things_total{kind="a"} 2.0' in text
    assert "mailcascade_open 1.0" in text
    assert 'mailcascade_wait_seconds_bucket{le="1.0"} 1.0' in text


def test_a_name_that_the_catalogue_does_not_have_raises(metrics: Metrics) -> None:
    """A metric cannot be invented on the way, nor used as another kind."""
    with pytest.raises(UnknownMetric):
        metrics.counter("mailcascade_other_total")
    with pytest.raises(UnknownMetric):
        metrics.gauge("mailcascade_things_total", kind="a")


@pytest.mark.parametrize("labels", [{}, {"kind": "a", "more": "b"}, {"other": "a"}])
def test_other_labels_than_the_catalogue_s_raise(metrics: Metrics, labels: dict[str, str]) -> None:
    """Labels are part of a metric's name."""
    with pytest.raises(UnknownMetric):
        metrics.counter("mailcascade_things_total", **labels)


def test_two_registries_share_nothing(metrics: Metrics) -> None:
    """Each process part has values of its own; nothing is global."""
    Metrics([_GAUGE]).gauge("mailcascade_open").set(5)

    assert "mailcascade_open 0.0" in metrics.exposition().decode()


@pytest.mark.parametrize(
    ("name", "kind", "buckets"),
    [
        ("things_total", MetricKind.COUNTER, ()),
        ("mailcascade_things", MetricKind.COUNTER, ()),
        ("mailcascade_things_total", MetricKind.GAUGE, ()),
        ("mailcascade_wait_seconds", MetricKind.HISTOGRAM, ()),
        ("mailcascade_open", MetricKind.GAUGE, (1.0,)),
    ],
)
def test_a_metric_follows_the_naming_rules(
    name: str, kind: MetricKind, buckets: tuple[float, ...]
) -> None:
    """Names carry the prefix, counters end with _total, histograms have buckets."""
    with pytest.raises(ValueError, match=name):
        Metric(name, kind, "Help.", buckets=buckets)


@pytest.mark.parametrize("catalogue", CATALOGUES.values(), ids=CATALOGUES)
def test_every_catalogue_can_be_shown_and_documented(catalogue: tuple[Metric, ...]) -> None:
    """Names are unique, each has a sentence, each is a row of the table."""
    shown = Metrics(catalogue).exposition().decode()
    table = as_table(catalogue)

    assert len({metric.name for metric in catalogue}) == len(catalogue)
    for metric in catalogue:
        assert metric.help.endswith(".")
        assert f"| `{metric.name}` | {metric.kind} |" in table
        assert f"# TYPE {metric.name} " in shown


def test_values_are_brought_up_to_date_before_they_are_shown(metrics: Metrics) -> None:
    """At each look, and only then."""
    looks = iter((3, 4))
    metrics.before_each_look(lambda: metrics.gauge("mailcascade_open").set(next(looks)))

    assert b"mailcascade_open 3.0" in metrics.exposition()
    assert b"mailcascade_open 4.0" in metrics.exposition()


def test_what_has_no_value_is_not_shown(metrics: Metrics) -> None:
    """Until it has one, with labels and without."""
    metrics.gauge("mailcascade_open").set(1)
    metrics.forget("mailcascade_open")
    assert b"mailcascade_open" not in metrics.exposition()

    metrics.gauge("mailcascade_open").set(2)
    assert b"mailcascade_open 2.0" in metrics.exposition()


@given(st.lists(st.floats(0, 20)))
def test_a_tally_is_shown_as_a_histogram_would_be(amounts: list[float]) -> None:
    """Bucket by bucket, in number and in sum."""
    labelled = Metric(
        "mailcascade_wait_seconds", MetricKind.HISTOGRAM, "Wait.", ("step",), (0.1, 1.0, 10.0)
    )
    observed, tallied = Metrics([labelled]), Metrics([labelled])
    tally = Tally(labelled.buckets)
    tallied.tallied("mailcascade_wait_seconds", lambda: [({"step": "dot"}, tally)])
    histogram = observed.histogram("mailcascade_wait_seconds", step="dot")
    for amount in amounts:
        tally.add(amount)
        histogram.observe(amount)

    def samples(metrics: Metrics) -> list[str]:
        lines = metrics.exposition().decode().splitlines()
        return [line for line in lines if not line.startswith("#") and "_created" not in line]

    assert sorted(samples(tallied)) == sorted(samples(observed))


def test_what_is_tallied_is_not_observed_beside(metrics: Metrics) -> None:
    """One of the two would be lost without a word."""
    metrics.tallied("mailcascade_wait_seconds", list)

    with pytest.raises(UnknownMetric):
        metrics.histogram("mailcascade_wait_seconds")
    with pytest.raises(UnknownMetric):
        metrics.tallied("mailcascade_wait_seconds", list)
