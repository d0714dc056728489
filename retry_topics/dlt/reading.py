"""What a job replays, read and made ready a batch ahead of what is written."""

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from retry_topics.dlt import jobs
from retry_topics.dlt.archive import Archive
from retry_topics.dlt.decision import Skip, Terms, decide
from retry_topics.dlt.edit import EditRefused, encode_like
from retry_topics.dlt.letter import Letter
from retry_topics.dlt.plan import Outgoing
from retry_topics.dlt.queue import Queue
from retry_topics.dlt.replay import Replayed, Rewritten, TooLarge, replayed
from runtime.background import begun
from runtime.clock import Clock
from runtime.kafka.sweep import Scanned
from schemas.dlt_journal import Position
from schemas.events import SignupEvent
from schemas.replay_jobs import ReplayJob

T = TypeVar("T")


@dataclass(slots=True)
class Batch:
    """Records that go out together, and how many of those that were taken could not, by `jobs`."""

    made: list[tuple[Position, Replayed]] = field(default_factory=list)
    late: Counter[str] = field(default_factory=Counter)

    @property
    def taken(self) -> int:
        """How many were taken from the queue for it."""
        return len(self.made) + self.late.total()


class Reading:
    """Reads one job's letters and makes them ready. For one thread at a time."""

    def __init__(self, archive: Archive, outgoing: Outgoing, clock: Clock, job: ReplayJob) -> None:
        self._archive = archive
        self._outgoing = outgoing
        self._clock = clock
        self._job = job
        self._terms = Terms(job.edit.as_new, force=True)

    def batches(self, queue: Queue, size: int, stretch: int) -> Generator[Batch, None, None]:
        """Yield batches of so many at most until the queue is empty; it is nobody else's then.

        So many as `stretch` says are read in one go: beginning to read takes as long as some
        thousands of records.
        """
        while len(queue):
            yield from self.of(queue.take(stretch), size)

    def of(self, wanted: Mapping[int, Sequence[int]], size: int) -> Iterator[Batch]:
        """Yield batches of what is at these offsets, by lane."""
        batch = Batch()
        left = sum(map(len, wanted.values()))
        for letter, message in self._archive.letters(wanted):
            left -= 1
            outcome = self._made(letter, message)
            if isinstance(outcome, Skip):
                batch.late[f"{jobs.LATE}{outcome}"] += 1
            else:
                batch.made.append((letter.position, outcome))
            if batch.taken >= size:
                yield batch
                batch = Batch()
        if left:
            batch.late[jobs.GONE] += left
        if batch.taken:
            yield batch

    def _made(self, letter: Letter, message: Scanned) -> Replayed | Skip:
        about, outgoing, now = letter.about, self._outgoing, self._clock.now_ms()
        if about is None:
            return Skip.UNDECODABLE
        rewritten = None
        mail = outgoing.mail(about.template, about.expires_at)
        try:
            if outgoing.changes:
                event, changed = outgoing.changed(message, letter.position, now)
                rewritten = self._rewritten(event, changed, message)
                mail = outgoing.mail(changed.template, changed.expires_at)
            skip = decide(letter.generation, mail, None, False, now, self._terms)
            if skip is not None:
                return skip
            return replayed(letter, message, rewritten, self._job.id, self._archive.topology)
        except EditRefused:
            return Skip.EDIT_REFUSED
        except TooLarge:
            return Skip.TOO_LARGE

    def _rewritten(
        self, event: SignupEvent, changed: SignupEvent, message: Scanned
    ) -> Rewritten | None:
        """Return what a changed mail goes out as; one that is as it was keeps its bytes."""
        if changed == event:
            return None
        value = encode_like(changed, event, message.value or b"", self._archive.codec)
        new_id = changed.event_id if self._job.edit.as_new else None
        return Rewritten(value, changed.recipient.address, new_id)


class Ahead(Generic[T]):
    """Yields what a generator does, each item made on another thread while the last one is used."""

    def __init__(self, items: Generator[T, None, None]) -> None:
        """Begin with the first item; the generator is nobody else's from now on."""
        self._items = items
        self._coming = begun(self._next, "replay-reader")

    def __iter__(self) -> Iterator[T]:
        """Yield the items, or raise what the generator raised."""
        while (item := self._coming.result()) is not None:
            self._coming = begun(self._next, "replay-reader")
            yield item

    def close(self) -> None:
        """Close the generator, once it has made the item that it is at."""
        self._coming.add_done_callback(lambda _: self._items.close())

    def _next(self) -> T | None:
        return next(self._items, None)
