"""Metrics: a catalogue says which there are, a registry of its own holds their values."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Final, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client import Metric as PrometheusMetric
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from runtime.tally import Tally

T = TypeVar("T")

NAMESPACE: Final = "mailcascade"
#: What `Metrics.exposition` returns.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class MetricKind(StrEnum):
    """How a metric moves: only up, both ways, or as a distribution."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `name` is the whole name that a scrape shows, units and `_total` included."""

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.name.startswith(f"{NAMESPACE}_"):
            raise ValueError(f"{self.name} does not start with {NAMESPACE}_")
        if (self.kind is MetricKind.COUNTER) != self.name.endswith("_total"):
            raise ValueError(f"{self.name}: counters, and only they, end with _total")
        if (self.kind is MetricKind.HISTOGRAM) != bool(self.buckets):
            raise ValueError(f"{self.name}: histograms, and only they, have buckets")


class UnknownMetric(LookupError):
    """A metric, or a set of labels, that the catalogue does not have."""


class MetricsNotShown(Exception):
    """Where the metrics are to be shown is not this machine's, or is taken."""


class _Registry(CollectorRegistry):
    """A registry that has its values brought up to date before it shows them."""

    def __init__(self, auto_describe: bool) -> None:
        super().__init__(auto_describe)
        self.refreshers: list[Callable[[], None]] = []
        #: Metrics without labels that have no value.
        self.hidden: set[str] = set()

    def collect(self) -> Iterator[PrometheusMetric]:
        for refresh in self.refreshers:
            refresh()
        yield from (metric for metric in super().collect() if metric.name not in self.hidden)


class _Tallied(Collector):
    """A histogram whose values are in tallies."""

    def __init__(
        self, metric: Metric, read: Callable[[], Iterable[tuple[Mapping[str, str], Tally]]]
    ) -> None:
        self._metric = metric
        self._read = read

    def collect(self) -> Iterator[PrometheusMetric]:
        metric = self._metric
        family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, tally in self._read():
            # Copied at once: the sum of what is shown is the number that is shown.
            below = list(accumulate(tally.counts))
            bounds = [*map(floatToGoString, tally.bounds), "+Inf"]
            values = [labels[label] for label in metric.labels]
            family.add_metric(values, list(zip(bounds, below, strict=True)), tally.total)
        yield family


class Metrics:
    """The values of a catalogue's metrics. Thread-safe, as the client library is."""

    def __init__(self, catalogue: Iterable[Metric]) -> None:
        self._registry = _Registry(auto_describe=False)
        self._counters: dict[str, tuple[Metric, Counter]] = {}
        self._gauges: dict[str, tuple[Metric, Gauge]] = {}
        self._histograms: dict[str, tuple[Metric, Histogram]] = {}
        for metric in catalogue:
            self._add(metric)

    def counter(self, name: str, **labels: str) -> Counter:
        """Return the counter with these label values.

        Raises:
            UnknownMetric: the catalogue has no such counter, or other labels.
        """
        metric, counter = _found(self._counters, name, labels)
        return counter.labels(**labels) if metric.labels else counter

    def gauge(self, name: str, **labels: str) -> Gauge:
        """Return the gauge with these label values; it is shown from then on.

        Raises:
            UnknownMetric: the catalogue has no such gauge, or other labels.
        """
        metric, gauge = _found(self._gauges, name, labels)
        if metric.labels:
            return gauge.labels(**labels)
        self._registry.hidden.discard(name)
        return gauge

    def forget(self, name: str, **labels: str) -> None:
        """Let the gauge with these label values disappear, if it is shown.

        Raises:
            UnknownMetric: the catalogue has no such gauge, or other labels.
        """
        metric, gauge = _found(self._gauges, name, labels)
        if metric.labels:
            gauge.remove(*(labels[label] for label in metric.labels))
        else:
            self._registry.hidden.add(name)

    def histogram(self, name: str, **labels: str) -> Histogram:
        """Return the histogram with these label values.

        Raises:
            UnknownMetric: the catalogue has no such histogram, or other labels.
        """
        metric, histogram = _found(self._histograms, name, labels)
        return histogram.labels(**labels) if metric.labels else histogram

    def tally(self, name: str) -> Tally:
        """Return what a histogram without labels is read from; see `tallied`.

        Raises:
            UnknownMetric: the catalogue has no such histogram, or it is read already.
        """
        metric, _ = _found(self._histograms, name, {})
        tally = Tally(metric.buckets)
        self.tallied(name, lambda: [({}, tally)])
        return tally

    def tallied(
        self, name: str, read: Callable[[], Iterable[tuple[Mapping[str, str], Tally]]]
    ) -> None:
        """Have a histogram read from tallies, by their labels, whenever it is about to be shown.

        It is not observed in any other way.

        Raises:
            UnknownMetric: the catalogue has no such histogram, or `read` was given before.
        """
        if name not in self._histograms:
            raise UnknownMetric(f"no histogram {name} in the catalogue, or it is read already")
        metric, histogram = self._histograms.pop(name)
        self._registry.unregister(histogram)
        self._registry.register(_Tallied(metric, read))

    def before_each_look(self, refresh: Callable[[], None]) -> None:
        """Have something called, from any thread, whenever the values are about to be shown.

        What changes with every mail is so added up where it happens, and costs nothing here.
        """
        self._registry.refreshers.append(refresh)

    def exposition(self) -> bytes:
        """Return every metric in Prometheus' text format."""
        return generate_latest(self._registry)

    def _add(self, metric: Metric) -> None:
        match metric.kind:
            case MetricKind.COUNTER:
                counter = Counter(metric.name, metric.help, metric.labels, registry=self._registry)
                self._counters[metric.name] = metric, counter
            case MetricKind.GAUGE:
                gauge = Gauge(metric.name, metric.help, metric.labels, registry=self._registry)
                self._gauges[metric.name] = metric, gauge
            case MetricKind.HISTOGRAM:
                histogram = Histogram(
                    metric.name,
                    metric.help,
                    metric.labels,
                    registry=self._registry,
                    buckets=metric.buckets,
                )
                self._histograms[metric.name] = metric, histogram


def _found(
    known: dict[str, tuple[Metric, T]], name: str, labels: dict[str, str]
) -> tuple[Metric, T]:
    if name not in known:
        raise UnknownMetric(f"no metric {name} of this kind in the catalogue")
    metric, value = known[name]
    if labels.keys() != set(metric.labels):
        raise UnknownMetric(f"{name} has the labels {metric.labels}, not {tuple(labels)}")
    return metric, value
