"""The directory in which a stack keeps its logs and data: kept only when something went wrong."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console


class Workplace:
    """A context manager. A directory that was given is never removed."""

    def __init__(self, given: Path | None = None) -> None:
        self._given = given
        self._kept = False
        self.directory = given or Path()

    def __enter__(self) -> Self:
        if self._given is None:
            self.directory = Path(tempfile.mkdtemp(prefix="mailcascade-"))
        else:
            self._given.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._given is None and not self._kept:
            shutil.rmtree(self.directory, ignore_errors=True)

    @contextmanager
    def kept_on_failure(self, console: Console) -> Iterator[None]:
        """Leave the directory for a look at the logs when the block fails, and name it."""
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException:
            self._kept = any(log.stat().st_size for log in self.directory.rglob("*.log"))
            if self._kept:
                console.print(f"\nThe logs are below {self.directory}", soft_wrap=True)
            raise
