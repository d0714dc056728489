"""The asyncio side: runs the records it is given, one after the other for each lane key.

Lives on the loop. The poll thread calls `dispatch`, `drain` and `abandon`, which only post to the
loop, and hears of records that ended; how many records are here at once is its business.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from consumers.mailer.completion import Completion
from consumers.mailer.job import Dropped, Finished, Intended, Job, Report
from consumers.mailer.story import UNTOLD, tell
from runtime.kafka.records import Partition
from runtime.logs import SUBJECT

_ChainKey = tuple[int, bytes | None]


class Work(Protocol):
    """What is done with records; see `consumers.mailer.processor.Processor`."""

    def announced(self, job: Job) -> Callable[[Job], bool] | None: ...
    async def process(self, job: Job) -> Completion: ...
    def withdrawn(self, job: Job) -> Completion: ...


class Intentions:
    """Has something committed for records that stay in hand. Lives on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, report: Callable[[Report], object]) -> None:
        self._loop = loop
        self._report = report

    async def commit(self, job: Job, completion: Completion) -> None:
        """Return once the completion is committed; never, if the lane is lost before."""
        done: asyncio.Future[None] = self._loop.create_future()

        def settle() -> None:
            if not done.done():
                done.set_result(None)

        self._report(Intended(job, completion, lambda: _post(self._loop, settle)))
        await done


class Engine:
    """Owns the tasks. A record with a key waits for the one before it with the same key."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        work: Work,
        report: Callable[[Report], object],
        crashed: Callable[[BaseException], None],
    ) -> None:
        """`work` turns a record into its completion; `crashed` is told if it raises.

        `report` is called on the loop for each record that has ended.
        """
        self._loop = loop
        self._work = work
        self._report = report
        self._crashed = crashed
        self._tasks: dict[Job, asyncio.Task[None]] = {}
        self._tails: dict[_ChainKey, asyncio.Task[None]] = {}

    def dispatch(self, jobs: Sequence[Job]) -> None:
        """Begin these records, in this order. From any thread."""
        _post(self._loop, self._start_all, jobs)

    def drain(self, sources: Collection[Partition]) -> None:
        """Give up what is not being sent of these partitions; what is, ends. From any thread."""
        _post(self._loop, self._cancel, sources, False)

    def abandon(self, sources: Collection[Partition]) -> None:
        """Give up everything of these partitions at once. From any thread."""
        _post(self._loop, self._cancel, sources, True)

    def afterwards(self, call: Callable[[], object]) -> None:
        """Call something on the loop, behind what was asked for before. From any thread."""
        _post(self._loop, call)

    def _start_all(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.command and (stops := self._work.announced(job)) is not None:
                self._withdraw(job.source.number, stops)
            key = (job.source.number, job.record.key)
            before = self._tails.get(key) if job.record.key is not None else None
            task = self._loop.create_task(self._run(job, before))
            self._tasks[job] = task
            self._tails[key] = task

    def _withdraw(self, lane: int, stops: Callable[[Job], bool]) -> None:
        for job, task in self._tasks.items():
            if job.source.number == lane and not job.sending and stops(job):
                job.withdrawn = True
                self._give_up(job, task)

    def _cancel(self, sources: Collection[Partition], even_sending: bool) -> None:
        for job, task in list(self._tasks.items()):
            if job.source in sources and (even_sending or not job.sending):
                job.withdrawn = False
                self._give_up(job, task)

    def _give_up(self, job: Job, task: asyncio.Task[None]) -> None:
        """Cancel a task, which ends unseen where it has not begun."""
        task.add_done_callback(lambda _: self._ended(job))
        task.cancel()

    async def _run(self, job: Job, before: asyncio.Task[None] | None) -> None:
        """Do the work; what becomes of it is told here, which is cheaper than a callback."""
        SUBJECT.set(job)
        try:
            if before is not None and not before.done():
                await asyncio.wait((before,))
            try:
                completion = await self._work.process(job)
            except asyncio.CancelledError:
                if not job.withdrawn:
                    raise
                completion = self._work.withdrawn(job)
            job.ledger.made(completion)
            if completion.state not in UNTOLD:
                tell(completion)
            self._report(Finished(job, completion))
        except asyncio.CancelledError:
            self._report(Dropped(job))
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours, which ends the worker
            self._crashed(error)
        finally:
            self._forget(job)

    def _ended(self, job: Job) -> None:
        if self._forget(job):
            self._report(Dropped(job))

    def _forget(self, job: Job) -> bool:
        """Forget the task of a job, which ends; return False where it is forgotten already."""
        task = self._tasks.pop(job, None)
        if task is None:
            return False
        key = (job.source.number, job.record.key)
        if self._tails.get(key) is task:
            del self._tails[key]
        return True


def _post(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> None:
    loop.call_soon_threadsafe(call, *arguments)
