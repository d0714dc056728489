"""The engine: order within a lane key, concurrency across keys, and giving up."""

import asyncio
import queue
from collections.abc import Iterator

import pytest

from consumers.mailer.completion import Completion, Ending
from consumers.mailer.engine import Engine
from consumers.mailer.job import Dropped, Finished, Job, Report
from runtime.kafka.records import Partition, Record

MAIN, OTHER = Partition("t", 0), Partition("t", 1)


def job(offset: int, key: bytes | None, source: Partition = MAIN) -> Job:
    record = Record(source.topic, source.number, offset, 0, key, b"v", ())
    return Job(record, source, epoch=1)


class Bench:
    """An engine whose records end when the test lets them."""

    def __init__(self) -> None:
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self.crashes: list[BaseException] = []
        self.started: list[int] = []
        self.may_end: dict[int, asyncio.Event] = {}
        self.engine = Engine(
            asyncio.get_running_loop(), self._process, self.reports, self.crashes.append
        )

    async def _process(self, job: Job) -> Completion:
        offset = job.record.offset
        self.started.append(offset)
        await self.may_end.setdefault(offset, asyncio.Event()).wait()
        return Completion(job.source, offset, Ending.SENT)

    def end(self, offset: int) -> None:
        self.may_end.setdefault(offset, asyncio.Event()).set()

    def seen(self) -> Iterator[Report]:
        while not self.reports.empty():
            yield self.reports.get_nowait()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_records_of_one_key_run_one_after_the_other() -> None:
    """The second record of a recipient begins when the first has ended."""
    bench = Bench()
    bench.engine.dispatch([job(0, b"a"), job(1, b"a"), job(2, b"b"), job(3, None), job(4, None)])
    await settle()
    assert bench.started == [0, 2, 3, 4]
    bench.end(0)
    await settle()
    assert bench.started == [0, 2, 3, 4, 1]
    for offset in range(1, 5):
        bench.end(offset)
    await settle()
    assert sorted(r.job.record.offset for r in bench.seen()) == [0, 1, 2, 3, 4]


async def test_the_same_key_in_another_lane_does_not_wait() -> None:
    """Order is a matter of one lane."""
    bench = Bench()
    bench.engine.dispatch([job(0, b"a"), job(1, b"a", OTHER)])
    await settle()
    assert bench.started == [0, 1]
    bench.end(0)
    bench.end(1)
    await settle()


async def test_draining_gives_up_what_is_not_being_sent_and_spares_the_rest() -> None:
    """Only a mail that the relay may be taking is waited for, and only in the lanes that go."""
    bench = Bench()
    sending, waiting, queued, other = job(0, b"a"), job(1, b"b"), job(2, b"a"), job(3, b"c", OTHER)
    bench.engine.dispatch([sending, waiting, queued, other])
    await settle()
    sending.sending = True
    bench.engine.drain({MAIN})
    await settle()
    dropped = {r.job.record.offset for r in bench.seen() if isinstance(r, Dropped)}
    assert dropped == {1, 2}
    bench.end(0)
    bench.end(3)
    await settle()
    assert {r.job.record.offset for r in bench.seen() if isinstance(r, Finished)} == {0, 3}


async def test_abandoning_gives_up_everything_of_a_lane() -> None:
    """A lost lane's mails are not waited for, not even the one on the wire."""
    bench = Bench()
    first = job(0, b"a")
    bench.engine.dispatch([first, job(1, b"a")])
    await settle()
    first.sending = True
    bench.engine.abandon({MAIN})
    await settle()
    assert all(isinstance(r, Dropped) for r in bench.seen())
    assert bench.crashes == []


async def test_a_fault_of_the_engine_is_told() -> None:
    """An exception that the processor lets through stops the worker, it is not swallowed."""
    crashes: list[BaseException] = []

    async def broken(job: Job) -> Completion:
        raise MemoryError

    engine = Engine(asyncio.get_running_loop(), broken, queue.SimpleQueue(), crashes.append)
    engine.dispatch([job(0, b"a")])
    await settle()
    with pytest.raises(MemoryError):
        raise crashes[0]
