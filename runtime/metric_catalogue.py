"""Which metrics each deployable shows: the source of the documentation's table."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from runtime.metrics import Metric, MetricKind

_C: Final = MetricKind.COUNTER
_G: Final = MetricKind.GAUGE
_H: Final = MetricKind.HISTOGRAM

_FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_DELIVERY: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_END_TO_END: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
_RESTORE: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
#: The bounds by which a relay's replies are counted where they come in.
RELAY_REPLY_BUCKETS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    *(300.0, 600.0),
)
_SIZE: Final = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)

_PROCESS: Final = Metric(
    "mailcascade_process_start_seconds",
    _G,
    "When the process started, in seconds since the epoch; deployable is what it is.",
    ("deployable",),
)
_KAFKA: Final = Metric(
    "mailcascade_kafka_outage_open",
    _G,
    "1 while the process is connected to no broker, else 0.",
)

INGEST_METRICS: Final = (
    _PROCESS,
    _KAFKA,
    Metric(
        "mailcascade_http_requests_total",
        _C,
        "Answered HTTP requests by route template and status code.",
        ("route", "status"),
    ),
    Metric(
        "mailcascade_events_accepted_total",
        _C,
        "Events that the brokers acknowledged, by template.",
        ("template",),
    ),
    Metric(
        "mailcascade_events_refused_total",
        _C,
        "Events that were not accepted, by the reason in the answer.",
        ("reason",),
    ),
    Metric(
        "mailcascade_publish_seconds",
        _H,
        "Time from handing an event to the producer to the brokers' acknowledgement.",
        buckets=_FAST,
    ),
    Metric(
        "mailcascade_publish_failures_total",
        _C,
        "Events that the brokers did not acknowledge, by reason.",
        ("reason",),
    ),
)

WORKER_METRICS: Final = (
    _PROCESS,
    _KAFKA,
    Metric(
        "mailcascade_records_read_total",
        _C,
        "Records read by kind of topic: main, retry or control.",
        ("topic_kind",),
    ),
    Metric(
        "mailcascade_outcomes_total",
        _C,
        "What came of attempts: accepted, failure or ambiguous; of a failure scope, kind, phase, "
        "and the rule that told it.",
        ("outcome", "scope", "kind", "phase", "rule"),
    ),
    Metric("mailcascade_deliveries_in_flight", _G, "Mails that are being handed to the relay."),
    Metric(
        "mailcascade_delivery_seconds",
        _H,
        "Time from handing a mail to the delivery to its outcome.",
        buckets=_DELIVERY,
    ),
    Metric(
        "mailcascade_due_overshoot_seconds",
        _H,
        "How long after it was due a waiting record was taken up.",
        buckets=_FAST,
    ),
    Metric(
        "mailcascade_forwards_total",
        _C,
        "Records written by a worker, by destination: a tier's label, or dlt.",
        ("destination",),
    ),
    Metric(
        "mailcascade_states_total",
        _C,
        "Changes of mails' states that were committed to the ledger, by the new state.",
        ("state",),
    ),
    Metric(
        "mailcascade_records_dropped_total",
        _C,
        "Records that the ledger knew to be repeats, so that they were not sent again.",
    ),
    Metric(
        "mailcascade_journal_recovered_total",
        _C,
        "Mails that were not sent again because a journal knew that the relay had taken them.",
    ),
    Metric(
        "mailcascade_commits_total",
        _C,
        "Transactions by result: committed or aborted.",
        ("result",),
    ),
    Metric(
        "mailcascade_commit_records",
        _H,
        "Completed records in one transaction.",
        buckets=_SIZE,
    ),
    Metric("mailcascade_commit_seconds", _H, "Time that one transaction took.", buckets=_FAST),
    Metric(
        "mailcascade_rebalances_total",
        _C,
        "Changes of the assignment: assigned, revoked or lost.",
        ("change",),
    ),
    Metric("mailcascade_lanes_owned", _G, "Lanes that this process owns."),
    Metric(
        "mailcascade_relay_connections",
        _G,
        "Connections to a relay, by state: busy, idle or opening.",
        ("relay", "state"),
    ),
    Metric(
        "mailcascade_relay_connection_limit",
        _G,
        "Connections that a relay may have: at most (setting), and as many as it likes (adaptive).",
        ("relay", "kind"),
    ),
    Metric(
        "mailcascade_relay_waiting_mails",
        _G,
        "Mails that wait, by what they wait for: a connection, or the relay's rate.",
        ("relay", "wait"),
    ),
    Metric(
        "mailcascade_relay_reply_seconds",
        _H,
        "Time that a relay took, by step: session (until a mail may begin), envelope, dot.",
        ("relay", "step"),
        buckets=RELAY_REPLY_BUCKETS,
    ),
    Metric("mailcascade_outage_open", _G, "1 while no mail can go out, else 0."),
    Metric(
        "mailcascade_breakers_open",
        _G,
        "How many of a kind are out: relay, sender, domain, template, registry or switches.",
        ("kind",),
    ),
    Metric(
        "mailcascade_breaker_open_since_seconds",
        _G,
        "Since when something is out, in seconds since the epoch, and by which rule; else absent.",
        ("kind", "what", "rule"),
    ),
    Metric(
        "mailcascade_put_off_total",
        _C,
        "Mails that were put into a tier without an attempt, by the kind of what they wait for.",
        ("kind",),
    ),
    Metric(
        "mailcascade_expired_total",
        _C,
        "Mails that were given up because their time was over, by template.",
        ("template",),
    ),
    Metric(
        "mailcascade_end_to_end_seconds",
        _H,
        "Time from an event's occurred_at, or its not_before, to the relay's acceptance of its "
        "mail; without replays.",
        buckets=_END_TO_END,
    ),
    Metric(
        "mailcascade_restore_seconds",
        _H,
        "Time from a lane's turn to be restored until its ledger was up to date.",
        buckets=_RESTORE,
    ),
    Metric(
        "mailcascade_restored_entries_total",
        _C,
        "Ledger entries and suppressions that restores took from Kafka.",
    ),
    Metric(
        "mailcascade_lanes_restoring",
        _G,
        "Lanes whose ledger is not up to date yet, so that their mails wait.",
    ),
    Metric(
        "mailcascade_restoring_since_seconds",
        _G,
        "Since when the lane that is being restored has been, in seconds since the epoch; else "
        "absent.",
    ),
    Metric(
        "mailcascade_ledger_entries",
        _G,
        "Entries in the local ledgers of the lanes of this process.",
    ),
    Metric(
        "mailcascade_ledger_bytes",
        _G,
        "Bytes that these ledgers take on the disk.",
    ),
    Metric(
        "mailcascade_switches_off",
        _G,
        "How many things an operator has paused, by kind: template, tenant, tier, relay or all.",
        ("kind",),
    ),
)

PROJECTOR_METRICS: Final = (
    _PROCESS,
    Metric(
        "mailcascade_projected_records_total",
        _C,
        "Records that the view has taken in, by kind of topic: main, ledger, dlt and so on.",
        ("topic_kind",),
    ),
    Metric(
        "mailcascade_projector_undecodable_total",
        _C,
        "Records among them that cannot be read, by kind of topic.",
        ("topic_kind",),
    ),
    Metric(
        "mailcascade_projector_batch_seconds",
        _H,
        "Time that reading and writing one batch of records took.",
        buckets=_FAST,
    ),
    Metric(
        "mailcascade_projector_behind_records",
        _G,
        "Offsets that the status view has not taken in yet, by kind of topic.",
        ("topic_kind",),
    ),
    Metric(
        "mailcascade_projector_behind_seconds",
        _G,
        "How long the status view has been behind; 0 while it has everything.",
    ),
    Metric(
        "mailcascade_projector_outage_open",
        _G,
        "1 while the projector waits for the database, kafka or the registry, else 0.",
        ("need",),
    ),
    Metric(
        "mailcascade_projector_pruned_total",
        _C,
        "Mails that were removed from the status view because nothing changed for 30 days.",
    ),
)

EXPORTER_METRICS: Final = (
    _PROCESS,
    Metric(
        "mailcascade_lag_records",
        _G,
        "Records that the workers have not finished; beyond the first some hundred of a lane "
        "estimated by how many offsets are markers.",
        ("topic_kind", "tier", "lane"),
    ),
    Metric(
        "mailcascade_lag_seconds",
        _G,
        "Age of the oldest record that is not finished; 0 where there is none.",
        ("topic_kind", "tier", "lane"),
    ),
    Metric(
        "mailcascade_due_unsent_seconds",
        _G,
        "For how long the first unfinished record of a lane has been due at most, by tier; on the "
        "main topic since its acceptance or not_before. 0 where none is due.",
        ("tier",),
    ),
    Metric(
        "mailcascade_committed_offsets",
        _G,
        "Sum of the offsets that the workers' group has committed.",
        ("topic_kind", "tier"),
    ),
    Metric("mailcascade_group_members", _G, "Members of the workers' group."),
    Metric(
        "mailcascade_retention_left_seconds",
        _G,
        "Time until Kafka may delete the oldest record that is not finished; all of the retention "
        "where there is none.",
        ("topic_kind", "tier"),
    ),
    Metric(
        "mailcascade_dlt_open_records",
        _G,
        "Dead letters about which nothing was done, without held ones, by the fingerprint of what "
        "they died of; the largest 20, the others together as other.",
        ("group", "template"),
    ),
    Metric("mailcascade_suppressions", _G, "Recipients that get no more mail."),
    Metric(
        "mailcascade_exporter_outage_open",
        _G,
        "1 while the exporter cannot look, so that what it shows is old, else 0.",
    ),
    Metric(
        "mailcascade_exporter_refreshed_seconds",
        _G,
        "When the exporter last saw everything, in seconds since the epoch.",
    ),
    Metric(
        "mailcascade_exporter_look_seconds",
        _H,
        "Time that one look took.",
        buckets=_FAST,
    ),
)

#: Every catalogue, by the deployable that shows it.
CATALOGUES: Final[Mapping[str, tuple[Metric, ...]]] = MappingProxyType(
    {
        "ingest": INGEST_METRICS,
        "worker": WORKER_METRICS,
        "projector": PROJECTOR_METRICS,
        "exporter": EXPORTER_METRICS,
    }
)


def as_table(catalogue: Iterable[Metric]) -> str:
    """Return the catalogue as a table in Markdown."""
    lines = ["| Metric | Kind | Labels | Meaning |", "|---|---|---|---|"]
    for metric in catalogue:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(lines) + "\n"
