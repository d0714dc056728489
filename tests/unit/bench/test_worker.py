"""The workers' benchmark: which of its rounds count."""

from bench.backlog import Drained
from bench.postfix import SourceRound
from bench.worker import best


def test_the_best_round_of_each_counts() -> None:
    """Whatever disturbed the others; memory is the most of all rounds."""
    sources = [SourceRound(4.0, 3.0), SourceRound(2.0, 1.0), SourceRound(3.0, 2.0)]
    drains = [Drained(90, 3.0, 0.9, 130.0), Drained(100, 2.0, 1.0, 120.0), Drained(95, 3.0, 0.1, 9)]

    chosen = best(sources, drains, sent=200)

    assert chosen.source_rate == 100
    assert chosen.source_cpu == 0.005
    assert chosen.rate == 50
    assert chosen.cpu == 0.01
    assert chosen.peak_mib == 130
