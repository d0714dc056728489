"""The asyncio side: runs the records it is given, one after the other for each lane key.

Lives on the loop. The poll thread calls `dispatch`, `drain` and `abandon`, which only post to the
loop, and reads the reports from a queue; how many records are here at once is its business.
"""

import asyncio
import queue
from collections.abc import Awaitable, Callable, Collection, Sequence

from consumers.mailer.completion import Completion
from consumers.mailer.job import Dropped, Finished, Job, Report
from runtime.kafka.records import Partition

_ChainKey = tuple[int, bytes | None]


class Engine:
    """Owns the tasks. A record with a key waits for the one before it with the same key."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        process: Callable[[Job], Awaitable[Completion]],
        reports: "queue.SimpleQueue[Report]",
        crashed: Callable[[BaseException], None],
    ) -> None:
        """`process` turns a record into its completion; `crashed` is told if one raises."""
        self._loop = loop
        self._process = process
        self._reports = reports
        self._crashed = crashed
        self._tasks: dict[asyncio.Task[None], Job] = {}
        self._tails: dict[_ChainKey, asyncio.Task[None]] = {}

    def dispatch(self, jobs: Sequence[Job]) -> None:
        """Begin these records, in this order. From any thread."""
        self._loop.call_soon_threadsafe(self._start_all, jobs)

    def drain(self, sources: Collection[Partition]) -> None:
        """Give up what is not being sent of these partitions; what is, ends. From any thread."""
        self._loop.call_soon_threadsafe(self._cancel, sources, False)

    def abandon(self, sources: Collection[Partition]) -> None:
        """Give up everything of these partitions at once. From any thread."""
        self._loop.call_soon_threadsafe(self._cancel, sources, True)

    def _start_all(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            key = (job.source.number, job.record.key)
            before = self._tails.get(key) if job.record.key is not None else None
            task = self._loop.create_task(self._run(job, before))
            self._tasks[task] = job
            self._tails[key] = task
            task.add_done_callback(self._ended)

    def _cancel(self, sources: Collection[Partition], even_sending: bool) -> None:
        for task, job in list(self._tasks.items()):
            if job.source in sources and (even_sending or not job.sending):
                task.cancel()

    async def _run(self, job: Job, before: asyncio.Task[None] | None) -> None:
        if before is not None and not before.done():
            await asyncio.wait((before,))
        completion = await self._process(job)
        self._reports.put(Finished(job, completion))

    def _ended(self, task: asyncio.Task[None]) -> None:
        job = self._tasks.pop(task)
        key = (job.source.number, job.record.key)
        if self._tails.get(key) is task:
            del self._tails[key]
        if task.cancelled():
            self._reports.put(Dropped(job))
        elif (error := task.exception()) is not None:
            self._crashed(error)
