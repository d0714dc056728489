"""What the ledger costs, from rounds in turns."""

from bench.backlog import Drained
from bench.ledger_cost import Pair, rows


def drained(mails: int, seconds: float, cpu_seconds: float) -> Drained:
    return Drained(mails, seconds, cpu_seconds, 100.0)


def test_the_ratios_are_medians_of_what_was_measured_side_by_side() -> None:
    """A moment in which the machine was busy counts as one round, however bad it was."""
    calm = Pair(drained(1_000, 1.0, 0.5), drained(1_000, 0.9, 0.4))  # 0.90, 1.25
    busy = Pair(drained(1_000, 8.0, 1.6), drained(1_000, 2.0, 0.8))  # 0.25, 2.00

    table = dict(rows([calm, busy, calm]))

    assert table["mails/s, with / without"] == "0.90"
    assert table["CPU, with / without"] == "1.25"
    assert table["1 worker process, mails/s"] == "300"  # 3,000 in 10 s
    assert table["1 worker process without a ledger, CPU us/mail"] == "533"  # 1.6 s of 3,000
