"""A bar that shows how far a replay is, with outcomes as they come in."""

from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from retry_topics.dlt import jobs
from schemas.replay_jobs import ReplayJob


class Bar:
    """The bar; a context manager. Where nobody watches, nothing is drawn."""

    def __init__(self, stream: TextIO) -> None:
        console = Console(file=stream)
        self._progress = Progress(
            TextColumn("replayed"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("sent {task.fields[sent]}  dead again {task.fields[dead]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, sent=0, dead=0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, job: ReplayJob) -> None:
        """Draw how far the job is."""
        counts = job.counts
        self._progress.update(
            self._task,
            total=counts.get(jobs.CHOSEN, 0),
            completed=counts.get(jobs.REPLAYED, 0),
            sent=counts.get(jobs.SENT, 0),
            dead=counts.get(jobs.DEAD_AGAIN, 0),
        )
