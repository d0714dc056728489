"""What a projector counts and logs."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from consumers.status.freshness import Freshness
from retry_topics.topology import Topology
from runtime.clock import Clock
from runtime.kafka.records import Partition, Record
from runtime.logs import get_logger
from runtime.metrics import Metrics
from runtime.probes import Readiness

_log = get_logger("projector")

#: What a projector needs and cannot work without.
DATABASE: Final = "database"
KAFKA: Final = "kafka"
REGISTRY: Final = "registry"


class Telemetry:
    """The projector's metrics; each kind of topic has its own values from the start."""

    def __init__(self, metrics: Metrics, topology: Topology, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._freshness = Freshness(clock.now_ms())
        self._away: dict[str, str] = {}
        self._kinds = {
            topology.main: "main",
            topology.ledger: "ledger",
            topology.control: "control",
            topology.outages: "outages",
            topology.switches: "switches",
            topology.dlt: "dlt",
            topology.dlt_journal: "dlt_journal",
        }
        for kind in self._kinds.values():
            metrics.counter("mailcascade_projected_records_total", topic_kind=kind)
            metrics.counter("mailcascade_projector_undecodable_total", topic_kind=kind)
        for need in (DATABASE, KAFKA, REGISTRY):
            metrics.gauge("mailcascade_projector_outage_open", need=need).set(0)
        metrics.gauge("mailcascade_projector_behind_seconds").set_function(
            lambda: self._freshness.seconds(clock.now_ms())
        )

    def readiness(self) -> Readiness:
        """Tell whether the view follows, and what it waits for; for any thread."""
        # The list is made in one step, whatever is written meanwhile.
        reasons = list(self._away.values())
        return Readiness(not reasons, reasons)

    def projected(self, records: Mapping[str, int], undecodable: Mapping[str, int]) -> None:
        """Count what was written, by topic."""
        for topic, count in records.items():
            kind = self._kinds[topic]
            self._metrics.counter("mailcascade_projected_records_total", topic_kind=kind).inc(count)
        for topic, count in undecodable.items():
            kind = self._kinds[topic]
            self._metrics.counter("mailcascade_projector_undecodable_total", topic_kind=kind).inc(
                count
            )
            _log.warning("projector.undecodable", topic=topic, records=count)

    def wrote(self, seconds: float) -> None:
        """Observe how long reading and writing a batch took."""
        self._metrics.histogram("mailcascade_projector_batch_seconds").observe(seconds)

    def behind(self, partitions: Mapping[Partition, int], taken: Iterable[Record]) -> int:
        """Show how far behind the view is once it has what was taken; return the sum."""
        last = {record.source: record.timestamp_ms for record in taken}
        self._freshness.took(partitions, last, self._clock.now_ms())
        topics: Counter[str] = Counter(dict.fromkeys(self._kinds, 0))
        for partition, count in partitions.items():
            topics[partition.topic] += count
        for topic, count in topics.items():
            kind = self._kinds[topic]
            self._metrics.gauge("mailcascade_projector_behind_records", topic_kind=kind).set(count)
        return topics.total()

    def pruned(self, mails: int) -> None:
        """Count mails that became too old."""
        self._metrics.counter("mailcascade_projector_pruned_total").inc(mails)

    def outage(self, need: str, reason: str) -> None:
        """Tell that something does not answer; it is tried again until it does."""
        self._away[need] = f"{need} is away: {reason}"
        self._metrics.gauge("mailcascade_projector_outage_open", need=need).set(1)
        _log.warning("projector.outage", need=need, reason=reason)

    def recovered(self, need: str) -> None:
        """Tell that it answers again."""
        self._away.pop(need, None)
        self._metrics.gauge("mailcascade_projector_outage_open", need=need).set(0)
        _log.info("projector.recovered", need=need)

    def deleted_unseen(self, partition: Partition, records: int) -> None:
        """Tell that Kafka deleted offsets before they were projected."""
        topic, number = partition
        _log.warning("projector.deleted_unseen", topic=topic, partition=number, offsets=records)
