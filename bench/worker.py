"""How fast workers drain a backlog into smtp-sink, beside what smtp-source can do there at all."""

from typing import Final

from bench.backlog import WARM_UP_MAILS, Backlog, Drained, signup
from bench.pipeline import CONNECTIONS, Pipeline, Site
from bench.postfix import Postfix, Programs, SourceRound
from bench.table import Row
from console.stack.plan import MAIL_FROM
from consumers.delivery.compose import Composer
from consumers.delivery.letterhead import Letterhead
from consumers.delivery.sender import Sender
from schemas.catalogue import DEFAULT_DIRECTORY, Catalogue

MAILS: Final = 30_000
QUICK_MAILS: Final = 5_000
_PROCESSES: Final = (1, 2)


def run(site: Site, programs: Programs, mails: int) -> list[Row]:
    """Measure with so many mails; return the rows to print. Raises BenchFailed."""
    (first, one), (second, two) = (_measure(site, programs, n, mails) for n in _PROCESSES)
    source = min(first, second)
    rate, source_rate = one.mails / one.seconds, mails / source.seconds
    cpu, source_cpu = one.cpu_seconds / one.mails, source.cpu_seconds / mails
    return [
        (f"smtp-source, {CONNECTIONS} sessions, mails/s", f"{source_rate:,.0f}"),
        ("smtp-source, CPU us/mail", _microseconds(source_cpu)),
        ("1 worker process, mails/s", f"{rate:,.0f}"),
        ("1 worker process / smtp-source", f"{rate / source_rate:.2f}"),
        ("1 worker process, CPU us/mail", _microseconds(cpu)),
        ("CPU, 1 worker process / smtp-source", f"{cpu / source_cpu:.1f}"),
        ("1 worker process, peak RSS MiB", f"{one.peak_mib:.0f}"),
        ("2 worker processes, mails/s", f"{two.mails / two.seconds:,.0f}"),
        ("2 worker processes / smtp-source", f"{two.mails / two.seconds / source_rate:.2f}"),
        ("2 worker processes / 1", f"{two.mails / two.seconds / rate:.2f}"),
        ("2 worker processes, CPU us/mail", _microseconds(two.cpu_seconds / two.mails)),
    ]


def _measure(
    site: Site, programs: Programs, processes: int, mails: int
) -> tuple[SourceRound, Drained]:
    """Let smtp-source and then workers send as many mails to the same smtp-sink.

    The workers' backlog is written at once while they wait for it: workers that start on a
    backlog would begin with a rebalance, and that would be measured.
    """
    with Pipeline(site, f"{processes}-workers") as pipeline:
        postfix = Postfix(programs, pipeline)
        source = postfix.send(_one_mail(), mails)
        backlog = Backlog(pipeline, pipeline.start_workers(processes))
        backlog.drain(WARM_UP_MAILS)
        drained = backlog.drain(mails)
        pipeline.check_nothing_failed()
        return source, drained


def _one_mail() -> bytes:
    composer = Composer(Catalogue.load(DEFAULT_DIRECTORY), Letterhead(Sender.parse(MAIL_FROM)))
    return composer.compose(signup("person@example.com"), generation=0).content


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f}"
