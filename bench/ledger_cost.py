"""What the ledger costs a worker: one with it beside one without, into the same smtp-sink."""

from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

from bench.backlog import Backlog, Drained
from bench.pipeline import Pipeline, Site
from bench.postfix import Postfix, Programs
from bench.table import Row

MAILS: Final = 10_000
ROUNDS: Final = 6
QUICK_ROUNDS: Final = 2


class Pair(NamedTuple):
    """As many mails by the worker with a ledger and by the one without, right after each other."""

    with_ledger: Drained
    without: Drained


def run(site: Site, programs: Programs, rounds: int) -> list[Row]:
    """Let both workers send in turns, so often; return the rows to print. Raises BenchFailed."""
    with (
        Pipeline(site, "with-ledger") as ours,
        Pipeline(site, "without-ledger", smtp=ours.ports.smtp) as bare,
    ):
        Postfix(programs, ours)
        with_ledger = Backlog(ours, ours.start_workers(1))
        without = Backlog(bare, bare.start_workers(1, ("bench.unledgered",)))
        for backlog in (with_ledger, without):
            backlog.drain(MAILS)
        pairs = [_pair(with_ledger, without, number) for number in range(rounds)]
        for pipeline in (ours, bare):
            pipeline.check_nothing_failed()
    return rows(pairs)


def rows(pairs: Sequence[Pair]) -> list[Row]:
    """Return the sums of both workers, and the medians of the pairs' ratios."""
    ours, bare = _sum([p.with_ledger for p in pairs]), _sum([p.without for p in pairs])
    rates = [_rate(pair.with_ledger) / _rate(pair.without) for pair in pairs]
    cpus = [_cpu(pair.with_ledger) / _cpu(pair.without) for pair in pairs]
    return [
        ("1 worker process, mails/s", f"{_rate(ours):,.0f}"),
        ("1 worker process without a ledger, mails/s", f"{_rate(bare):,.0f}"),
        ("mails/s, with / without", f"{median(rates):.2f}"),
        ("1 worker process, CPU us/mail", f"{_cpu(ours) * 1e6:,.0f}"),
        ("1 worker process without a ledger, CPU us/mail", f"{_cpu(bare) * 1e6:,.0f}"),
        ("CPU, with / without", f"{median(cpus):.2f}"),
    ]


def _pair(with_ledger: Backlog, without: Backlog, number: int) -> Pair:
    """Let each of the two begin in every other round."""
    if number % 2:
        bare = without.drain(MAILS)
        return Pair(with_ledger.drain(MAILS), bare)
    ours = with_ledger.drain(MAILS)
    return Pair(ours, without.drain(MAILS))


def _sum(rounds: Sequence[Drained]) -> Drained:
    mails, seconds, cpu, peaks = zip(*rounds, strict=True)
    return Drained(sum(mails), sum(seconds), sum(cpu), max(peaks))


def _rate(drained: Drained) -> float:
    return drained.mails / drained.seconds


def _cpu(drained: Drained) -> float:
    return drained.cpu_seconds / drained.mails
