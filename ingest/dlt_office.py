"""The dead-letter tool inside an API: questions on a few threads, each replay on one of its own.

A replay's truth is in the journal. So a process that stops pauses its replays, and one that is
killed leaves replays that anybody can resume.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field
from typing import Final, TypeVar

from ingest.problems import Kind, Refused, refused
from retry_topics.dlt.desk import Desk
from retry_topics.dlt.jobs import NotNow
from runtime.background import begun
from runtime.clock import Clock, Deadline
from runtime.kafka.errors import KafkaFault
from runtime.logs import get_logger
from schemas.errors import RegistryUnavailable
from schemas.replay_jobs import JobState, ReplayJob

_log = get_logger("ingest")

T = TypeVar("T")

#: Opens a desk for whoever has this name, for one thread to use.
OpenDesk = Callable[[str], Desk]

_THREADS: Final = 2
#: Questions that are being answered or wait for a thread, and replays that run side by side.
_MOST_QUESTIONS: Final = 16
_MOST_JOBS: Final = 4
#: Answers that are told piece by piece at once; a slow client holds a connection to Kafka.
_MOST_STREAMS: Final = 4
#: Ended replays of which it is remembered why.
_REMEMBERED: Final = 100
#: How long outcomes are waited for after the last mail of a replay.
_WAIT_MS: Final = 600_000
_PAUSE_SECONDS: Final = 30.0
_RETRY_SECONDS: Final = 10


class _Stopped(Exception):
    """A replay is to pause while it is still being planned."""


@dataclass(slots=True)
class _Running:
    """One replay of this process. `problem` is why it ended badly; its thread writes it."""

    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    problem: str = ""

    def lives(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


class _Pieces:
    """Pieces of an answer, each of which any thread may make; one at a time does."""

    def __init__(self, pieces: Generator[bytes, None, None]) -> None:
        self._pieces = pieces
        self._lock = threading.Lock()

    def make(self) -> bytes:
        """Return the next piece, empty behind the last one."""
        with self._lock:
            return next(self._pieces, b"")

    def close(self) -> None:
        """Make no more; waits for one that is being made."""
        with self._lock:
            self._pieces.close()


class Office:
    """Desks for operators. Its replays are the event loop's; threads only end them."""

    def __init__(self, open_desk: OpenDesk, clock: Clock) -> None:
        self._open = open_desk
        self._clock = clock
        self._turns = asyncio.Semaphore(_THREADS)
        self._questions = 0
        self._streams = 0
        self._running: dict[str, _Running] = {}

    async def ask(self, by: str, work: Callable[[Desk], T]) -> T:
        """Do something at a desk in an operator's name, and return what came of it.

        Raises:
            Refused: with 409 where a job does not allow it, with 503 where Kafka cannot be asked.
        """
        if self._questions >= _MOST_QUESTIONS:
            raise _unavailable("Too many questions about dead letters at once")
        self._questions += 1
        try:
            return await self._in_turn(lambda: work(self._open(by)))
        finally:
            self._questions -= 1

    async def stream(
        self, by: str, work: Callable[[Desk], Generator[bytes, None, None]]
    ) -> AsyncGenerator[bytes, None]:
        """Do the same with something that is told piece by piece; return the pieces.

        The first one is made before this returns, the others when they are asked for.

        Raises:
            Refused: as `ask`; what goes wrong later ends the pieces with an error.
        """
        if self._streams >= _MOST_STREAMS:
            raise _unavailable("Too many exports at once")
        self._streams += 1
        try:
            pieces = _Pieces(await self.ask(by, work))
            first = await self._in_turn(pieces.make)
        except BaseException:
            self._streams -= 1
            raise
        return self._told(first, pieces)

    async def _told(self, piece: bytes, pieces: "_Pieces") -> AsyncGenerator[bytes, None]:
        try:
            while piece:
                yield piece
                piece = await self._in_turn(pieces.make)
        finally:
            self._streams -= 1
            begun(pieces.close, "dead-letters")

    async def _in_turn(self, work: Callable[[], T]) -> T:
        try:
            async with self._turns:
                return await asyncio.wrap_future(begun(work, "dead-letters"))
        except NotNow as error:
            raise refused(Kind.CONFLICT, str(error)) from error
        except (KafkaFault, RegistryUnavailable) as error:
            _log.warning("ingest.dead_letters_away", reason=str(error))
            raise _unavailable("Kafka or the schema registry does not answer") from error

    def start(self, by: str, job: str) -> None:
        """Run a job that is in the journal on a thread of its own.

        Raises:
            Refused: with 409 where it runs here already, with 503 where enough others do.
        """
        alive = [name for name, running in self._running.items() if running.lives()]
        if job in alive:
            raise refused(Kind.CONFLICT, f"{job}: runs here already")
        if len(alive) >= _MOST_JOBS:
            raise _unavailable(f"{_MOST_JOBS} replays run here: {', '.join(alive)}")
        self._forget_old(alive)
        running = self._running[job] = _Running()
        running.thread = threading.Thread(
            target=self._run, args=(by, job, running), name=f"replay-{job}", daemon=True
        )
        running.thread.start()

    def pause(self, job: str) -> bool:
        """Let a job pause soon; return False where it does not run here."""
        running = self._running.get(job)
        if running is None or not running.lives():
            return False
        running.stop.set()
        return True

    async def paused(self, job: str) -> None:
        """Return when a job does not run here any more, or will not stop within half a minute."""
        running = self._running.get(job)
        if self.pause(job) and running is not None and running.thread is not None:
            await asyncio.to_thread(running.thread.join, _PAUSE_SECONDS)

    def runs(self, job: str) -> bool:
        """Tell whether a job runs in this process."""
        running = self._running.get(job)
        return running is not None and running.lives()

    def problem(self, job: str) -> str:
        """Return why a job ended badly in this process, "" where it did not."""
        running = self._running.get(job)
        return "" if running is None else running.problem

    def stop(self) -> None:
        """Let every replay pause soon."""
        for running in self._running.values():
            running.stop.set()

    async def close(self, seconds: float) -> list[str]:
        """Pause every replay; return those that did not within the time."""
        deadline = Deadline(self._clock, seconds)
        self.stop()
        for running in self._running.values():
            if running.thread is not None:
                await asyncio.to_thread(running.thread.join, deadline.remaining())
        left = [name for name, running in self._running.items() if running.lives()]
        if left:
            _log.warning("ingest.replays_not_paused", jobs=left)
        return left

    def _run(self, by: str, job: str, running: _Running) -> None:
        def told(_: int) -> None:
            if running.stop.is_set():
                raise _Stopped

        def work(desk: Desk) -> ReplayJob:
            found = desk.job(job)
            if found.state is JobState.PLANNED:
                found = desk.begin(found, told).job
            return desk.run(found, running.stop, _ignore, _WAIT_MS)

        try:
            done = work(self._open(by))
            _log.info("ingest.replay_ended", job=job, state=done.state.value)
        except _Stopped:
            _log.info("ingest.replay_not_begun", job=job)
        except (NotNow, KafkaFault, RegistryUnavailable) as error:
            running.problem = str(error)
            _log.warning("ingest.replay_broken_off", job=job, reason=str(error))
        except Exception:  # noqa: BLE001 - the boundary of a thread: logged, and told
            running.problem = "something went wrong here; the error was logged"
            _log.exception("ingest.replay_failed", job=job)

    def _forget_old(self, alive: list[str]) -> None:
        ended = [name for name in self._running if name not in alive]
        for name in ended[: max(0, len(ended) - _REMEMBERED)]:
            del self._running[name]


def _ignore(job: ReplayJob) -> None:
    """Nobody looks on: progress is in the journal."""


def _unavailable(reason: str) -> Refused:
    return refused(Kind.NO_LETTERS, reason, {"Retry-After": str(_RETRY_SECONDS)})
