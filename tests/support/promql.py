"""What PromQL expressions name: enough of a reader to check them against the catalogues."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from runtime.metrics import Metric, MetricKind

#: Labels that Prometheus adds to every series, and that a histogram's buckets have.
SCRAPED: Final = frozenset({"job", "instance"})
BUCKET: Final = "le"
#: Prometheus' own series, with the labels that ours may be selected by.
FOREIGN: Final[Mapping[str, frozenset[str]]] = {
    "up": SCRAPED,
    "ALERTS": SCRAPED | {"alertname", "alertstate", "severity"},
}
_PARTS: Final = ("_bucket", "_sum", "_count")

_SELECTOR: Final = re.compile(r"(?<![\w:])(mailcascade[\w:]*|up|ALERTS)\b(?:\{([^}]*)\})?")
_MATCHER: Final = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
_OVER_TIME: Final = re.compile(r"\b(rate|increase|changes|deriv|delta)\(\s*(\w+)")
_OF_COUNTERS: Final = frozenset({"rate", "increase"})


@dataclass(frozen=True, slots=True)
class Selector:
    """One vector selector: a name, and its matchers as label, operator and value."""

    name: str
    matchers: tuple[tuple[str, str, str], ...] = ()

    def __str__(self) -> str:
        inside = ", ".join(f'{label}{op}"{value}"' for label, op, value in self.matchers)
        return f"{self.name}{{{inside}}}" if inside else self.name


def selectors(expression: str) -> Iterator[Selector]:
    """Yield every selector of a metric of ours, or of Prometheus' own about us."""
    for name, inside in _SELECTOR.findall(expression):
        yield Selector(name, tuple(_MATCHER.findall(inside)))


def groupings(expression: str) -> set[str]:
    """Return the labels by which an expression groups and matches."""
    lists = _GROUPING.findall(re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression))
    return {label.strip() for inside in lists for label in inside.split(",")} - {""}


class Names:
    """What may be named: the catalogues' metrics, and series that the rules record."""

    def __init__(
        self, catalogues: Iterable[Iterable[Metric]], recorded: Iterable[str] = ()
    ) -> None:
        self._metrics = {metric.name: metric for metrics in catalogues for metric in metrics}
        self._recorded = frozenset(recorded)

    def metric(self, name: str) -> Metric | None:
        """Return the metric that a series belongs to; a histogram has several series."""
        if name in self._metrics:
            found = self._metrics[name]
            return None if found.kind is MetricKind.HISTOGRAM else found
        for part in _PARTS:
            found_whole = self._metrics.get(name.removesuffix(part))
            if name.endswith(part) and found_whole and found_whole.kind is MetricKind.HISTOGRAM:
                return found_whole
        return None

    def labels(self, name: str) -> frozenset[str] | None:
        """Return the labels that a series may have, None for one that nobody shows."""
        if name in self._recorded:
            return frozenset()
        if name in FOREIGN:
            return FOREIGN[name]
        metric = self.metric(name)
        if metric is None:
            return None
        own = SCRAPED | set(metric.labels)
        return own | {BUCKET} if name.endswith("_bucket") else own

    def faults(self, expression: str) -> list[str]:
        """Return what an expression names that there is not, or uses as what it is not."""
        found, known = [], set[str]()
        for selector in selectors(expression):
            labels = self.labels(selector.name)
            if labels is None:
                found.append(f"no such metric: {selector.name}")
                continue
            known |= labels
            wrong = {label for label, _, _ in selector.matchers} - labels
            found += [f"{selector.name} has no label {label}" for label in sorted(wrong)]
        found += [f"nothing has a label {name}" for name in sorted(groupings(expression) - known)]
        return [*found, *self._misused(expression)]

    def _misused(self, expression: str) -> Iterator[str]:
        for function, name in _OVER_TIME.findall(expression):
            metric = self.metric(name)
            if metric is None:
                continue
            is_counter = metric.kind is not MetricKind.GAUGE
            if is_counter != (function in _OF_COUNTERS):
                yield f"{function} of {name}, which is a {metric.kind}"
