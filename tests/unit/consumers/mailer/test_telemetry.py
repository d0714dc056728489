"""What a worker counts can be watched: from the first time on, and from the right moment."""

import pytest

from consumers.mailer.telemetry import Telemetry
from retry_topics.topology import Topology, parse_tiers
from runtime.metric_catalogue import WORKER_METRICS
from runtime.metrics import Metrics
from schemas.mail_states import MailState
from tests.support.mailer import signup

TOPOLOGY = Topology("signups", parse_tiers("1m,10m"), 2)
AT = 1_700_000_000_000


def shown(metrics: Metrics) -> str:
    return metrics.exposition().decode()


def test_what_may_happen_is_shown_before_it_does() -> None:
    """At 0, or the first time would be no growth to Prometheus, and wake nobody."""
    metrics = Metrics(WORKER_METRICS)
    Telemetry(metrics, TOPOLOGY)
    text = shown(metrics)

    for state in set(MailState) - {MailState.QUEUED}:
        assert f'mailcascade_states_total{{state="{state}"}} 0.0' in text
    for destination in ("1m", "10m", "dlt"):
        assert f'mailcascade_forwards_total{{destination="{destination}"}} 0.0' in text
    for result in ("committed", "aborted"):
        assert f'mailcascade_commits_total{{result="{result}"}} 0.0' in text


@pytest.mark.parametrize(
    ("not_before", "generation", "seconds"),
    [
        (None, 0, 90.0),
        (AT - 10_000, 0, 90.0),
        (AT + 60_000, 0, 30.0),
        (AT + 90_001, 0, 0.0),  # the clocks of two hosts
        (None, 1, None),
    ],
)
def test_a_mail_is_late_by_its_own_time(
    not_before: int | None, generation: int, seconds: float | None
) -> None:
    """Accepted at AT, taken 90 s later: a mail for later is not late, a replay does not count."""
    metrics = Metrics(WORKER_METRICS)
    event = signup("ada@example.com", occurred_at=AT, not_before=not_before)
    Telemetry(metrics, TOPOLOGY).accepted(event, generation, AT + 90_000)
    text = shown(metrics)

    assert f"mailcascade_end_to_end_seconds_count {0.0 if seconds is None else 1.0}\n" in text
    assert f"mailcascade_end_to_end_seconds_sum {seconds or 0.0}\n" in text
