"""How many mails come twice where workers are killed: with the journal, and without it."""

import asyncio
import random
import threading
from collections import Counter
from types import TracebackType
from typing import Final, Self

from bench.backlog import Backlog
from bench.pipeline import Pipeline, Site
from bench.sink import serve
from bench.table import Row

KILLS: Final = 20
QUICK_KILLS: Final = 4
#: Mails at hand when a worker is killed, and how many of them are accepted before that.
_MAILS: Final = 2_000
_BEFORE: Final = (200, 1_200)
_SIBLINGS: Final = 2
_SEND_SECONDS: Final = 60.0
_READY_SECONDS: Final = 10.0


def run(site: Site, kills: int) -> list[Row]:
    """Kill workers of two hosts in turns, so often each; return the rows to print.

    Raises:
        BenchFailed: a mail did not come, or a worker ended by itself.
    """
    chance = random.Random(1)
    with (
        Pipeline(site, "journal") as first,
        Pipeline(site, "no-journal", MAILCASCADE_JOURNAL="false") as second,
        _Sink(first.ports.smtp) as with_journal,
        _Sink(second.ports.smtp) as without,
    ):
        hosts = [_Host(first, with_journal, chance), _Host(second, without, chance)]
        for _ in range(kills):
            for host in hosts:
                host.kill_one()
        for host in hosts:
            host.finish()
    return rows(with_journal.accepted, without.accepted, kills)


def rows(with_journal: Counter[str], without: Counter[str], kills: int) -> list[Row]:
    """Return how many mails came again, from how often each recipient was sent one."""
    return [
        ("workers killed, of each host", f"{kills}"),
        ("mails, to each host", f"{len(with_journal):,}"),
        ("mails that came twice, with the journal", f"{_again(with_journal):,}"),
        ("mails that came twice, without a journal", f"{_again(without):,}"),
    ]


def _again(accepted: Counter[str]) -> int:
    return accepted.total() - len(accepted)


class _Sink:
    """A context manager: a mail server on a thread, and how often it accepted for each recipient.

    A mail counts from the moment its last reply is written, read or not.
    """

    def __init__(self, port: int) -> None:
        self.accepted: Counter[str] = Counter()
        self.mails = 0
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        serving = serve(self._port, self._accepted)
        asyncio.run_coroutine_threadsafe(serving, self._loop).result(_READY_SECONDS)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _accepted(self, recipient: str, at: float) -> None:
        self.accepted[recipient] += 1
        self.mails += 1


class _Host:
    """Two workers with one state directory, of which one is killed now and then."""

    def __init__(self, pipeline: Pipeline, sink: _Sink, chance: random.Random) -> None:
        self._pipeline = pipeline
        self._sink = sink
        self._chance = chance
        self._workers = pipeline.start_workers(_SIBLINGS)
        self._backlog = Backlog(pipeline, ())

    def kill_one(self) -> None:
        """Kill one of them while both send, and start another in its place.

        Both send: the lanes are shared out anew before there is anything to send.
        """
        self._backlog.settle()
        self._pipeline.await_workers(_SIBLINGS)
        self._backlog.write(_MAILS)
        mark = self._sink.mails + self._chance.randrange(*_BEFORE)
        self._pipeline.wait_until(
            lambda: self._sink.mails >= mark, _SEND_SECONDS, f"{mark} mails are accepted"
        )
        victim = self._chance.randrange(_SIBLINGS)
        self._pipeline.kill(self._workers[victim])
        self._workers[victim] = self._pipeline.start_worker()

    def finish(self) -> None:
        """Return when everything is committed, and make sure that nothing was refused."""
        self._backlog.settle()
        self._pipeline.check_nothing_failed()
