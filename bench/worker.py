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

#: For each worker process, and for smtp-source.
MAILS: Final = 40_000
QUICK_MAILS: Final = 5_000
_PROCESSES: Final = (1, 2)
#: Mails before the ones that are measured, per mail that is: the broker's Java compiles meanwhile,
#: which takes it as long as the work itself.
_WARM_UP: Final = 0.5


class _Round(NamedTuple):
    """What smtp-source did before and after the workers, and what they did."""

    source: Sequence[SourceRound]
    drained: Drained
    mails: int

    @property
    def source_rate(self) -> float:
        """Mails a second of smtp-source; both times count, for the machine is not always alike."""
        return self.mails * len(self.source) / sum(each.seconds for each in self.source)

    @property
    def source_cpu(self) -> float:
        """CPU seconds a mail of smtp-source."""
        return sum(each.cpu_seconds for each in self.source) / (self.mails * len(self.source))

    @property
    def rate(self) -> float:
        """Mails a second of the workers."""
        return self.drained.mails / self.drained.seconds

    @property
    def cpu(self) -> float:
        """CPU seconds a mail of the workers."""
        return self.drained.cpu_seconds / self.drained.mails


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
        ("1 worker process, peak RSS MiB", f"{one.drained.peak_mib:.0f}"),
        ("smtp-source beside 2 worker processes, mails/s", f"{two.source_rate:,.0f}"),
        ("2 worker processes, mails/s", f"{two.rate:,.0f}"),
        ("2 worker processes / smtp-source", f"{two.rate / two.source_rate:.2f}"),
        ("2 worker processes / 1", f"{two.rate / one.rate:.2f}"),
        ("2 worker processes, CPU us/mail", _microseconds(two.cpu)),
    ]


def _measure(site: Site, programs: Programs, processes: int, mails: int) -> _Round:
    """Let smtp-source, workers, and smtp-source again send so many mails each to one smtp-sink.

    The workers' backlog is written at once while they wait for it: workers that start on a
    backlog would begin with a rebalance, and that would be measured.
    """
    with Pipeline(site, f"{processes}-workers") as pipeline:
        postfix = Postfix(programs, pipeline)
        mail = _one_mail()
        before = postfix.send(mail, mails)
        backlog = Backlog(pipeline, pipeline.start_workers(processes))
        backlog.drain(int(mails * _WARM_UP) * processes)
        drained = backlog.drain(mails * processes)
        after = postfix.send(mail, mails)
        pipeline.check_nothing_failed()
        return _Round((before, after), drained, mails)


def _one_mail() -> bytes:
    composer = Composer(Catalogue.load(DEFAULT_DIRECTORY), Letterhead(Sender.parse(MAIL_FROM)))
    return composer.compose(signup("person@example.com"), generation=0).content


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f}"
