"""The engine: order within a lane key, concurrency across keys, and giving up."""

import asyncio
import queue
from collections.abc import Callable, Iterator

import pytest
from msgspec import structs

from consumers.mailer.completion import Completion
from consumers.mailer.engine import Engine, Intentions
from consumers.mailer.job import Dropped, Finished, Intended, Job, Report, Subject
from consumers.mailer.ledger.lane import LaneLedger
from runtime.kafka.records import Partition, Record
from tests.support.ledgers import MemoryStore

MAIN, OTHER = Partition("t", 0), Partition("t", 1)
COMMAND = b"command"


def job(offset: int, key: bytes | None, source: Partition = MAIN) -> Job:
    record = Record(source.topic, source.number, offset, 0, key, b"v", ())
    ledger = LaneLedger(source.number, MemoryStore(), None, {})
    return Job(record, source, 1, ledger, command=key == COMMAND)


class Bench:
    """An engine whose records end when the test lets them; it is its engine's work.

    A command stops the record whose event id is the command's offset.
    """

    def __init__(self) -> None:
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self.crashes: list[BaseException] = []
        self.started: list[int] = []
        self.may_end: dict[int, asyncio.Event] = {}
        self.withdrew: list[int] = []
        self.engine = Engine(
            asyncio.get_running_loop(), self, self.reports.put, self.crashes.append
        )

    def announced(self, job: Job) -> Callable[[Job], bool]:
        return lambda other: other.record.value == b"stopped"

    async def process(self, job: Job) -> Completion:
        offset = job.record.offset
        self.started.append(offset)
        job.subject = Subject(b"", b"", "", "")
        await self.may_end.setdefault(offset, asyncio.Event()).wait()
        return Completion(job.source, offset)

    def withdrawn(self, job: Job) -> Completion:
        self.withdrew.append(job.record.offset)
        return Completion(job.source, job.record.offset)

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


async def test_what_has_not_begun_is_given_up_once_however_often_it_is_asked() -> None:
    """A task that is cancelled before its first step never runs, and is told of all the same."""
    bench = Bench()
    bench.engine.dispatch([job(0, b"a"), job(1, b"b")])
    bench.engine.drain({MAIN})
    bench.engine.drain({MAIN})
    await settle()
    assert bench.started == []
    assert sorted(r.job.record.offset for r in bench.seen() if isinstance(r, Dropped)) == [0, 1]


async def test_a_demand_stops_what_is_in_hand_but_not_what_is_on_the_wire() -> None:
    """The mail ends as withdrawn at once, without waiting for what it waited for."""
    bench = Bench()
    waiting, sending, other = job(0, b"a"), job(1, b"b"), job(2, b"c")
    for stoppable in (waiting, sending):
        stoppable.record = structs.replace(stoppable.record, value=b"stopped")
    bench.engine.dispatch([waiting, sending, other])
    await settle()
    sending.sending = True
    bench.engine.dispatch([job(3, COMMAND)])
    await settle()
    assert bench.withdrew == [0]
    assert [r.job.record.offset for r in bench.seen()] == [0]
    for offset in (1, 2, 3):
        bench.end(offset)
    await settle()
    assert {r.job.record.offset for r in bench.seen()} == {1, 2, 3}


async def test_a_lane_that_goes_gives_up_even_what_was_withdrawn() -> None:
    """Its next owner reads both the mail and the demand."""
    bench = Bench()
    waiting = job(0, b"a")
    waiting.record = structs.replace(waiting.record, value=b"stopped")
    bench.engine.dispatch([waiting])
    await settle()
    bench.engine.dispatch([job(1, COMMAND)])
    bench.engine.abandon({MAIN})
    await settle()
    assert all(isinstance(report, Dropped) for report in bench.seen())
    assert bench.withdrew == []


async def test_an_intention_returns_once_it_is_committed() -> None:
    """The record stays in hand meanwhile."""
    reports: list[Report] = []
    intentions = Intentions(asyncio.get_running_loop(), reports.append)
    intending = asyncio.ensure_future(intentions.commit(job(0, b"a"), Completion(MAIN, 0)))
    await settle()
    (report,) = reports
    assert isinstance(report, Intended)
    assert not intending.done()
    report.committed()
    await settle()
    assert intending.done()


async def test_a_fault_of_the_engine_is_told() -> None:
    """An exception that the processor lets through stops the worker, it is not swallowed."""
    crashes: list[BaseException] = []

    class Broken(Bench):
        async def process(self, job: Job) -> Completion:
            raise MemoryError

    engine = Engine(asyncio.get_running_loop(), Broken(), lambda _: None, crashes.append)
    engine.dispatch([job(0, b"a")])
    await settle()
    with pytest.raises(MemoryError):
        raise crashes[0]
