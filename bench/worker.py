"""How fast workers drain a backlog into smtp-sink, beside what smtp-source can do there at all."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from bench.backlog import Backlog, Drained, signup
from bench.pipeline import CONNECTIONS, Pipeline, Site
from bench.postfix import Postfix, Programs, SourceRound
from bench.table import Row
from console.stack.plan import MAIL_FROM
from consumers.delivery.compose import Composer
from consumers.delivery.letterhead import Letterhead
from consumers.delivery.sender import Sender
from schemas.catalogue import DEFAULT_DIRECTORY, Catalogue

#: Mails of a round, for each worker process.
MAILS: Final = 15_000
QUICK_MAILS: Final = 5_000
_PROCESSES: Final = (1, 2)
_ROUNDS: Final = 5
#: smtp-source sends so many times as many mails: it needs a moment to get into its stride.
_SOURCE_TIMES: Final = 4


class Best(NamedTuple):
    """The best of smtp-source's rounds and the best of the workers': those least disturbed."""

    source_rate: float
    source_cpu: float
    rate: float
    cpu: float
    peak_mib: float


def run(site: Site, programs: Programs, mails: int) -> list[Row]:
    """Measure with so many mails; return the rows to print. Raises BenchFailed."""
    one, two = (_measure(site, programs, processes, mails) for processes in _PROCESSES)
    return [
        (f"smtp-source, {CONNECTIONS} sessions, mails/s", f"{one.source_rate:,.0f}"),
        ("smtp-source, CPU us/mail", _microseconds(one.source_cpu)),
        ("1 worker process, mails/s", f"{one.rate:,.0f}"),
        ("1 worker process / smtp-source", f"{one.rate / one.source_rate:.2f}"),
        ("1 worker process, CPU us/mail", _microseconds(one.cpu)),
        ("CPU, 1 worker process / smtp-source", f"{one.cpu / one.source_cpu:.1f}"),
        ("1 worker process, peak RSS MiB", f"{one.peak_mib:.0f}"),
        ("smtp-source beside 2 worker processes, mails/s", f"{two.source_rate:,.0f}"),
        ("2 worker processes, mails/s", f"{two.rate:,.0f}"),
        ("2 worker processes / smtp-source", f"{two.rate / two.source_rate:.2f}"),
        ("2 worker processes / 1", f"{two.rate / one.rate:.2f}"),
        ("2 worker processes, CPU us/mail", _microseconds(two.cpu)),
    ]


def _measure(site: Site, programs: Programs, processes: int, mails: int) -> Best:
    """Let smtp-source and the workers send to one smtp-sink in turns.

    A backlog is written at once while the workers wait for it: workers that start on a backlog
    would begin with a rebalance, and that would be measured. The first one only warms up: the
    broker's Java compiles meanwhile, which takes it as long as the work itself.
    """
    sources: list[SourceRound] = []
    drains: list[Drained] = []
    with Pipeline(site, f"{processes}-workers") as pipeline:
        postfix, mail = Postfix(programs, pipeline), _one_mail()
        backlog = Backlog(pipeline, pipeline.start_workers(processes))
        backlog.drain(mails * processes)
        for _ in range(_ROUNDS):
            sources.append(postfix.send(mail, mails * _SOURCE_TIMES))
            drains.append(backlog.drain(mails * processes))
        pipeline.check_nothing_failed()
    return best(sources, drains, mails * _SOURCE_TIMES)


def best(sources: Sequence[SourceRound], drains: Sequence[Drained], sent: int) -> Best:
    """Choose among rounds of smtp-source, each of so many mails, and of workers."""
    source = min(sources, key=lambda each: each.seconds)
    drained = max(drains, key=lambda each: each.mails / each.seconds)
    return Best(
        sent / source.seconds,
        source.cpu_seconds / sent,
        drained.mails / drained.seconds,
        drained.cpu_seconds / drained.mails,
        max(each.peak_mib for each in drains),
    )


def _one_mail() -> bytes:
    composer = Composer(Catalogue.load(DEFAULT_DIRECTORY), Letterhead(Sender.parse(MAIL_FROM)))
    return composer.compose(signup("person@example.com"), generation=0).content


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f}"
