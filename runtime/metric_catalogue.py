"""Which metrics each deployable shows: the source of the documentation's table."""

from collections.abc import Iterable
from typing import Final

from runtime.metrics import Metric, MetricKind

_C: Final = MetricKind.COUNTER
_G: Final = MetricKind.GAUGE
_H: Final = MetricKind.HISTOGRAM

_FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_DELIVERY: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_END_TO_END: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
_SIZE: Final = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)

INGEST_METRICS: Final = (
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
    Metric(
        "mailcascade_records_read_total",
        _C,
        "Records read by kind of topic: main, retry or control.",
        ("topic_kind",),
    ),
    Metric(
        "mailcascade_outcomes_total",
        _C,
        "What came of attempts: accepted, failure or ambiguous; a failure's scope, kind, phase.",
        ("outcome", "scope", "kind", "phase"),
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
        "mailcascade_relay_answers_total",
        _C,
        "Answers of a relay, by step: session (until a mail may begin), envelope, dot.",
        ("relay", "step"),
    ),
    Metric(
        "mailcascade_relay_answer_seconds_total",
        _C,
        "Seconds that a relay took for them; by the answers' number the mean.",
        ("relay", "step"),
    ),
    Metric("mailcascade_outage_open", _G, "1 while no mail can go out, else 0."),
    Metric(
        "mailcascade_breakers_open",
        _G,
        "How many of a kind are out: relay, sender, domain, template or registry.",
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
        "Time from an event's occurred_at to the relay's acceptance of its mail.",
        buckets=_END_TO_END,
    ),
)


PROJECTOR_METRICS: Final = (
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


def as_table(catalogue: Iterable[Metric]) -> str:
    """Return the catalogue as a table in Markdown."""
    lines = ["| Metric | Kind | Labels | Meaning |", "|---|---|---|---|"]
    for metric in catalogue:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(lines) + "\n"
