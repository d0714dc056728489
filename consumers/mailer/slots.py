"""A place of its own for each worker process of one host, so that siblings never share an identity.

A slot is a locked file in the state directory; the lock goes with the process, however it ends.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

_MOST: Final = 1_000


class NoSlot(Exception):
    """The state directory cannot be used, or all places are taken."""


class Slot:
    """The lowest free place. Hold the object as long as the process works under it."""

    def __init__(self, state_dir: Path, prefix: str) -> None:
        """Take a place.

        Raises:
            NoSlot: the directory cannot be written, or too many processes share it.
        """
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
            self.number, self._handle = self._take(state_dir, prefix)
        except OSError as error:
            raise NoSlot(
                f"the state directory {state_dir} cannot be used ({error.strerror}): "
                "set MAILCASCADE_STATE_DIR to a directory that this user may write"
            ) from error

    def release(self) -> None:
        """Give the place back."""
        os.close(self._handle)

    @staticmethod
    def _take(state_dir: Path, prefix: str) -> tuple[int, int]:
        for number in range(_MOST):
            path = state_dir / f"{prefix}.worker-{number}.lock"
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                continue
            return number, handle
        raise NoSlot(f"{_MOST} workers share the state directory {state_dir}")
