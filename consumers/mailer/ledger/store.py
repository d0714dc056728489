"""One lane's ledger and suppressions, cached on the local disk.

It is a cache of two topic partitions and nothing else: deleting it costs a restore, never a mail.
What is read from a partition is stored in one transaction with the offset behind it. Nothing is
synced before the store is closed: a process that dies loses nothing, and after a power failure the
store is made again.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from consumers.mailer.ledger.faults import StoreBroken, StoreBusy, StoreFault
from consumers.mailer.ledger.identity import (
    Mark,
    Stage,
    StoreIdentity,
    distrust,
    read_mark,
    remove_mark,
    write_mark,
)
from consumers.mailer.ledger.place import LaneDirectory
from consumers.mailer.ledger.standings import pack, unpack
from consumers.mailer.ledger.tables import PackedChanges, Tables
from runtime.kafka.records import Partition
from schemas.ledger import Standing

__all__ = [
    "RETENTION_DAYS",
    "Changes",
    "LaneStore",
    "StoreBroken",
    "StoreBusy",
    "StoreFault",
    "StoreIdentity",
    "StorePlace",
    "open_store",
]

#: How long an entry is kept at least; the time for which Kafka keeps a mail.
RETENTION_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Changes:
    """What is stored at once: standings by event id and suppressions by address hash.

    Both are in the order of the log; the last one of a key counts. `offsets` are the next ones to
    read; `day` counts from the epoch.
    """

    entries: Sequence[tuple[bytes, Standing]]
    suppressions: Sequence[tuple[bytes, bool]]
    offsets: Mapping[Partition, int]
    day: int


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Where stores are, for how many days they keep an entry, and how long to wait for a lock."""

    state_dir: Path
    retention_days: int = RETENTION_DAYS
    wait_seconds: float = 5.0

    def directory(self, identity: StoreIdentity) -> Path:
        """Return the directory of a lane's store."""
        return self.state_dir / identity.prefix / f"lane-{identity.lane}"


class LaneStore:
    """An open store. One thread may look up while another one applies.

    Every method raises `StoreBroken` once the store is closed or its file has failed; a store that
    has failed must be closed, and what is opened next is made from nothing.
    """

    def __init__(
        self, directory: LaneDirectory, tables: Tables, mark: Mark, retention_days: int
    ) -> None:
        """Take over a directory and its tables; `open_store` makes these."""
        self._directory = directory
        self._tables = tables
        self._mark = mark
        self._retention = retention_days
        self._writing = threading.Lock()
        self._offsets = tables.offsets()
        self._failed = False
        self._closed = False

    @property
    def offsets(self) -> Mapping[Partition, int]:
        """The next offset to read of each partition."""
        return self._offsets

    @property
    def newest_day(self) -> int | None:
        """The newest day on which an entry was stored, None if there is no entry."""
        return self._tables.newest_day

    def get(self, event_id: bytes) -> Standing | None:
        """Return what the last entry of a mail says, None if there is none."""
        packed = self._tables.look_up(event_id)
        return None if packed is None else unpack(packed)

    def suppression(self, address_hash: bytes) -> bool:
        """Tell whether the recipient with this hash gets no mail."""
        return self._tables.suppressed(address_hash)

    def size(self) -> tuple[int, int]:
        """Return how many entries are stored, and how many bytes they take; for any thread."""
        return self._tables.size()

    def apply(self, changes: Changes) -> None:
        """Store the changes and their offsets, all or none; an offset is never lowered."""
        packed = {event_id: pack(standing) for event_id, standing in changes.entries}
        with self._changing():
            raised = {
                partition: offset
                for partition, offset in changes.offsets.items()
                if offset > self._offsets.get(partition, -1)
            }
            new_day = bool(packed) and changes.day != self._tables.newest_day
            self._tables.store(PackedChanges(packed, changes.suppressions, raised, changes.day))
            self._offsets = {**self._offsets, **raised}
            if new_day:
                self._tables.drop_days(changes.day - self._retention)

    def prune(self, today: int) -> None:
        """Drop what was stored more than the retention before `today` (days since the epoch)."""
        with self._changing():
            self._tables.drop_days(today - self._retention)

    def forget_suppressions(self, source: Partition) -> None:
        """Forget all suppressions and how far `source`, their partition, was read."""
        with self._changing():
            self._tables.forget_suppressions(source)
            self._offsets = {p: offset for p, offset in self._offsets.items() if p != source}

    def close(self) -> None:
        """Write everything to the disk and seal it; takes as long as the disk does."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
            try:
                self._seal()
            except (OSError, StoreBroken):
                # Without its mark it is made again, which is all that there is to lose.
                self._unmark()
            finally:
                self._directory.release()

    def discard(self) -> None:
        """Close the store so that what is opened next is made from nothing."""
        with self._writing:
            self._failed = True
        self.close()

    def _seal(self) -> None:
        try:
            length = self._tables.used()
        finally:
            self._tables.close()
        if self._failed:
            raise StoreBroken("the store has failed")
        self._directory.sync()
        checksum = self._directory.checksum(length)
        if checksum is None:
            raise StoreBroken("the store's file is shorter than what is in it")
        mark = replace(self._mark, stage=Stage.SEALED, length=length, checksum=checksum)
        write_mark(self._directory.path, mark)

    def _unmark(self) -> None:
        try:
            remove_mark(self._directory.path)
        except OSError:
            # Then the mark says `open`, and who opens the store reads all of it before using it.
            return

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._writing:
            if self._closed or self._failed:
                raise StoreBroken("the store is closed or has failed")
            try:
                yield
            except StoreBroken:
                self._failed = True
                raise


def open_store(place: StorePlace, identity: StoreIdentity) -> tuple[LaneStore, str]:
    """Open a lane's store; return it and why it was made from nothing, "" if it was usable.

    Raises:
        StoreBusy: somebody has it open, in this process or another one, and keeps it.
        StoreBroken: the directory cannot be used.
    """
    directory = LaneDirectory(place.directory(identity), place.wait_seconds)
    try:
        mark = read_mark(directory.path)
        why = distrust(mark, identity) or _damage(directory, mark)
        if not why:
            try:
                return _opened(directory, place, identity, mark), ""
            except StoreBroken as error:
                why = str(error)
        directory.empty()
        return _opened(directory, place, identity, None), why
    except OSError as error:
        directory.release()
        raise StoreBroken(f"{directory.path} cannot be used: {error.strerror}") from error
    except BaseException:
        directory.release()
        raise


def _damage(directory: LaneDirectory, mark: Mark | None) -> str:
    """Tell what is wrong with the file of a store that was sealed."""
    if mark is None or mark.stage is not Stage.SEALED:
        return ""
    same = directory.checksum(mark.length) == mark.checksum
    return "" if same else "the store's file is not what was sealed"


def _opened(
    directory: LaneDirectory, place: StorePlace, identity: StoreIdentity, found: Mark | None
) -> LaneStore:
    write_mark(directory.path, Mark(identity, Stage.OPENING))
    tables = Tables(directory, place.retention_days)
    try:
        if found is not None and found.stage is not Stage.SEALED:
            tables.verify()
        mark = Mark(identity, Stage.OPEN)
        write_mark(directory.path, mark)
        return LaneStore(directory, tables, mark, place.retention_days)
    except BaseException:
        tables.close()
        raise
