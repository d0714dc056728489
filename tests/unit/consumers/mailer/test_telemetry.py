"""What a worker counts can be watched: from the first time on, and from the right moment."""

import pytest

from consumers.delivery.blame import Blame
from consumers.delivery.breaker import Outage
from consumers.mailer.lanes import Lane
from consumers.mailer.ledger.faults import StoreBroken
from consumers.mailer.ledger.lane import LaneLedger
from consumers.mailer.ledger.restore import Ticket
from consumers.mailer.telemetry import Telemetry
from retry_topics.failure import Accepted
from retry_topics.topology import Topology, parse_tiers
from runtime.metric_catalogue import WORKER_METRICS
from runtime.metrics import Metrics
from schemas.mail_states import MailState
from tests.support.ledgers import MemoryStore
from tests.support.letters import REFUSED
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


def test_attempts_are_counted_by_what_came_of_them() -> None:
    """At each look as many as there are by then; a failure by the rule that told it."""
    metrics = Metrics(WORKER_METRICS)
    telemetry = Telemetry(metrics, TOPOLOGY)
    accepted = 'outcome="accepted",phase="",rule="",scope=""'
    for _ in range(2):
        telemetry.attempted(Accepted("250 ok"), 0.02)
    assert f'mailcascade_outcomes_total{{kind="",{accepted}}} 2.0' in shown(metrics)
    telemetry.attempted(Accepted("250 ok"), 7.0)
    telemetry.attempted(REFUSED, 0.02)
    text = shown(metrics)

    assert f'mailcascade_outcomes_total{{kind="",{accepted}}} 3.0' in text
    refused = 'outcome="failure",phase="rcpt",rule="rfc5321-550",scope="recipient"'
    assert f'mailcascade_outcomes_total{{kind="permanent",{refused}}} 1.0' in text
    assert 'mailcascade_delivery_seconds_bucket{le="5.0"} 3.0' in text
    assert "mailcascade_delivery_seconds_count 4.0" in text


def test_what_is_out_is_shown_without_an_address() -> None:
    """A sender is one, and is ours; a few things have a series, and all are counted."""
    metrics = Metrics(WORKER_METRICS)
    telemetry = Telemetry(metrics, TOPOLOGY)
    outage = Outage(REFUSED, AT)
    telemetry.out(Blame.SENDER, "ada@example.com at relay:25", outage)
    since = 'kind="sender",rule="rfc5321-550",what="a***@example.com at relay:25"'
    assert f"mailcascade_breaker_open_since_seconds{{{since}}} 1.7e+09" in shown(metrics)
    telemetry.out(Blame.SENDER, "ada@example.com at relay:25", None)
    for number in range(50):
        telemetry.out(Blame.DOMAIN, f"d{number}.example", outage)
    text = shown(metrics)

    assert "a***@" not in text
    assert text.count("mailcascade_breaker_open_since_seconds{") == 20
    assert 'mailcascade_breakers_open{kind="domain"} 50.0' in text


class Store(MemoryStore):
    """Tells a size, or that it is closed."""

    def size(self) -> tuple[int, int]:
        if self.closed:
            raise StoreBroken("closed")
        return 3, 4096


def lane(number: int, store: MemoryStore | None = None, asked_at: int | None = None) -> Lane:
    ledger = None if store is None else LaneLedger(number, store, None, {})
    ticket = None if asked_at is None else Ticket(number, lambda _: None)
    return Lane(number, 3, restoring=ticket, asked_at=asked_at or 0, ledger=ledger)


def test_lanes_are_counted_whatever_they_wait_for() -> None:
    """Ledgers that are there by their size, those that are not by how long they are waited for."""
    metrics = Metrics(WORKER_METRICS)
    telemetry = Telemetry(metrics, TOPOLOGY)
    gone = Store()
    gone.close()
    lanes = [lane(0, Store()), lane(1, Store()), lane(2, gone), lane(3, None, AT), lane(4, None)]
    lanes.append(lane(5, None, AT - 5_000))
    telemetry.watch_lanes(lambda: lanes)
    text = shown(metrics)

    assert "mailcascade_ledger_entries 6.0" in text
    assert "mailcascade_ledger_bytes 8192.0" in text
    assert "mailcascade_lanes_restoring 2.0" in text
    assert "mailcascade_restoring_since_seconds 1.699999995e+09" in text
    del lanes[2:]
    assert "mailcascade_restoring_since_seconds" not in shown(metrics)
