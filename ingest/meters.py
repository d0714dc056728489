"""What the service counts. Children of a metric are kept, for looking one up costs a lock."""

from collections.abc import Callable

from prometheus_client import Counter

from runtime.metrics import Metrics


class Meters:
    """The ingest service's metrics by what they count."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._answers: dict[tuple[str, int], Counter] = {}
        self._accepted: dict[str, Counter] = {}
        self._publish_seconds = metrics.histogram("mailcascade_publish_seconds")

    def watch(self, connected: Callable[[], bool]) -> None:
        """Show whether a broker is connected, as `connected` tells whenever somebody looks."""
        gauge = self._metrics.gauge("mailcascade_kafka_outage_open")
        gauge.set_function(lambda: 0 if connected() else 1)

    def answered(self, route: str, status: int) -> None:
        """Count an answered request."""
        counter = self._answers.get((route, status))
        if counter is None:
            counter = self._metrics.counter(
                "mailcascade_http_requests_total", route=route, status=str(status)
            )
            self._answers[route, status] = counter
        counter.inc()

    def accepted(self, template: str, count: int = 1) -> None:
        """Count acknowledged events of a template."""
        counter = self._accepted.get(template)
        if counter is None:
            counter = self._metrics.counter("mailcascade_events_accepted_total", template=template)
            self._accepted[template] = counter
        counter.inc(count)

    def refused(self, reason: str) -> None:
        """Count an event that was not accepted."""
        self._metrics.counter("mailcascade_events_refused_total", reason=reason).inc()

    def published(self, seconds: float) -> None:
        """Note how long the brokers took."""
        self._publish_seconds.observe(seconds)

    def unpublished(self, reason: str) -> None:
        """Count an event that the brokers did not acknowledge."""
        self._metrics.counter("mailcascade_publish_failures_total", reason=reason).inc()

    def exposition(self) -> bytes:
        """Return every metric in Prometheus' text format."""
        return self._metrics.exposition()
