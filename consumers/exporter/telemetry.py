"""What the exporter shows: numbers that stay until it has looked again."""

from typing import Final

from consumers.exporter.following import Counted
from consumers.exporter.lag import LaneLag, age_ms, topic_lag
from consumers.exporter.survey import Seen
from retry_topics.topology import Topology
from runtime.kafka.records import Partition
from runtime.logs import get_logger
from runtime.metrics import Metrics
from schemas.manifest import TEMPLATE_NAME

_log = get_logger("exporter")

_RECORDS: Final = "mailcascade_lag_records"
_SECONDS: Final = "mailcascade_lag_seconds"
_RETENTION: Final = "mailcascade_retention_left_seconds"
_OPEN: Final = "mailcascade_dlt_open_records"
_MEMBERS: Final = "mailcascade_group_members"
_SUPPRESSIONS: Final = "mailcascade_suppressions"
_REFRESHED: Final = "mailcascade_exporter_refreshed_seconds"
_MAIN: Final = "main"


class Telemetry:
    """The exporter's metrics. One thread sets them; a scrape only reads."""

    def __init__(self, metrics: Metrics, topology: Topology) -> None:
        self._metrics = metrics
        self._labels = {topology.main: (_MAIN, ""), topology.control: ("control", "")} | {
            topology.retry(tier): ("retry", tier.label) for tier in topology.tiers
        }
        self._groups: set[tuple[str, str]] = set()
        metrics.gauge("mailcascade_exporter_outage_open").set(0)
        for name in (_MEMBERS, _SUPPRESSIONS, _REFRESHED):
            # Nothing is known yet, which is not zero.
            metrics.forget(name)

    def saw(self, seen: Seen, now: int) -> None:
        """Show how far behind the workers are; `now` in milliseconds since the epoch."""
        for partition, lane in seen.lanes.items():
            self._lane(partition, lane, now)
        for topic, (kind, tier) in self._labels.items():
            lanes = (lane for source, lane in seen.lanes.items() if source.topic == topic)
            lag = topic_lag(lanes, seen.retentions.get(topic), now)
            gauge = self._metrics.gauge
            gauge("mailcascade_committed_offsets", topic_kind=kind, tier=tier).set(lag.committed)
            if lag.retention_left_ms is None:
                self._metrics.forget(_RETENTION, topic_kind=kind, tier=tier)
            else:
                left = gauge(_RETENTION, topic_kind=kind, tier=tier)
                left.set(lag.retention_left_ms / 1000)
            if kind != "control":
                overdue = gauge("mailcascade_due_unsent_seconds", tier=tier or _MAIN)
                overdue.set(lag.overdue_ms / 1000)
        self._metrics.gauge(_MEMBERS).set(seen.members)

    def counted(self, counted: Counted) -> None:
        """Show what is open."""
        groups: dict[tuple[str, str], int] = {}
        for fingerprint, template, letters in counted.groups:
            # A template that nobody could have made is a stranger's text.
            known = template if TEMPLATE_NAME.fullmatch(template) else ""
            groups[fingerprint, known] = letters
        for group, template in self._groups - groups.keys():
            self._metrics.forget(_OPEN, group=group, template=template)
        for (group, template), count in groups.items():
            self._metrics.gauge(_OPEN, group=group, template=template).set(count)
        self._groups = set(groups)
        self._metrics.gauge(_SUPPRESSIONS).set(counted.suppressions)

    def refreshed(self, now: int, seconds: float) -> None:
        """Take note that everything was looked at, and how long that took."""
        self._metrics.histogram("mailcascade_exporter_look_seconds").observe(seconds)
        self._metrics.gauge(_REFRESHED).set(now / 1000)

    def outage(self, reason: str) -> None:
        """Tell that nothing can be seen; it is tried again until it can."""
        self._metrics.gauge("mailcascade_exporter_outage_open").set(1)
        _log.warning("exporter.outage", reason=reason)

    def recovered(self) -> None:
        """Tell that it can be seen again."""
        self._metrics.gauge("mailcascade_exporter_outage_open").set(0)
        _log.info("exporter.recovered")

    def _lane(self, partition: Partition, lane: LaneLag, now: int) -> None:
        kind, tier = self._labels[partition.topic]
        labels = {"topic_kind": kind, "tier": tier, "lane": str(partition.number)}
        self._metrics.gauge(_RECORDS, **labels).set(lane.records)
        if lane.is_known:
            self._metrics.gauge(_SECONDS, **labels).set(age_ms(lane.oldest, now) / 1000)
        else:
            self._metrics.forget(_SECONDS, **labels)
