"""A lane's directory: who may use it, what is in it, and how it is emptied."""

import errno
import fcntl
import os
import shutil
import threading
import zlib
from pathlib import Path
from typing import Final

from consumers.mailer.ledger.faults import StoreBroken, StoreBusy

#: The name that LMDB gives to its file.
DATA: Final = "data.mdb"
_LOCK: Final = "owner.lock"
_PAUSE_SECONDS: Final = 0.02
_CHUNK: Final = 1 << 20
_CANNOT_RESERVE: Final = (errno.EOPNOTSUPP, errno.EINVAL)


class LaneDirectory:
    """One lane's directory, locked for its owner; the lock goes with the process, however it ends.

    The lock holds between two users in one process as well as between processes.
    """

    def __init__(self, path: Path, wait_seconds: float) -> None:
        """Make the directory if need be and lock it.

        Raises:
            StoreBusy: it is still locked by somebody else after `wait_seconds`.
            StoreBroken: the directory cannot be written.
        """
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._handle = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreBroken(f"{path} cannot be used: {error.strerror}") from error
        if not self._lock(wait_seconds):
            os.close(self._handle)
            raise StoreBusy(f"{path} is in use by another worker")

    @property
    def data(self) -> Path:
        """The store's file."""
        return self.path / DATA

    def empty(self) -> None:
        """Remove everything but the lock."""
        for entry in self.path.iterdir():
            if entry.name == _LOCK:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def reserve(self, size: int) -> None:
        """Give the store's file so much of the disk.

        Writing through the map into a hole of the file would end the process where the disk is
        full; this raises OSError instead. A file system that cannot reserve is left alone.
        """
        handle = os.open(self.data, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.posix_fallocate(handle, 0, size)
        except OSError as error:
            if error.errno not in _CANNOT_RESERVE:
                raise
        finally:
            os.close(handle)

    def sync(self) -> None:
        """Have the store's file written to the disk."""
        handle = os.open(self.data, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def checksum(self, length: int) -> int | None:
        """Return the checksum of the file's first `length` bytes, None if there are fewer."""
        total, left = 0, length
        try:
            with self.data.open("rb", buffering=0) as file:
                while left > 0 and (chunk := file.read(min(left, _CHUNK))):
                    total = zlib.crc32(chunk, total)
                    left -= len(chunk)
        except FileNotFoundError:
            return None
        return None if left else total

    def release(self) -> None:
        """Let others have the directory."""
        os.close(self._handle)

    def _lock(self, wait_seconds: float) -> bool:
        never = threading.Event()
        for _ in range(1 + round(wait_seconds / _PAUSE_SECONDS)):
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                never.wait(_PAUSE_SECONDS)
            else:
                return True
        return False
