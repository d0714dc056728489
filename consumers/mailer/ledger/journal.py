"""What the relay has taken and no transaction has committed yet, on the local disk.

An acceptance is written down the moment its reply is read and forgotten once its transaction is
through. It is written, not synced: it outlives the process, not a loss of power. Whoever gets the
lane next on this host reads all journals there and counts such mails as sent.

A journal is a row of segments. One whose acceptances are all forgotten is deleted; the few of a
poor one are written again into the newest, so that the row stays short.
"""

import errno
import os
from collections import Counter
from collections.abc import Iterable
from mmap import mmap
from pathlib import Path
from typing import Final

from consumers.mailer.ledger.journal_records import (
    REPLY_CHARACTERS,
    Acceptance,
    Key,
    read_records,
    segment_path,
    segments,
    write_record,
)
from runtime.clock import Clock
from runtime.logs import get_logger

_log = get_logger("journal")

#: An acceptance is kept for as long as Kafka keeps the mail.
KEPT_MS: Final = 7 * 86_400_000
#: A segment of so many bytes is followed by the next.
SEGMENT_BYTES: Final = 256 << 10
#: So many segments at most are kept before the poorest one is emptied.
MOST_SEGMENTS: Final = 8
#: So many acceptances at most wait for their transactions; the oldest ones give way.
MOST_WAITING: Final = 50_000
#: A segment with no more than so many acceptances is poor enough to be emptied.
_FEW: Final = 64


def read_journals(directory: Path, prefix: str, lane: int) -> dict[Key, str]:
    """Return what the relay replied to mails of a lane, as all journals of this host tell it.

    Others may write meanwhile: what is torn or gone is left out.
    """
    return {
        acceptance.key: acceptance.reply
        for _, path in segments(directory, prefix)
        for acceptance in _read(path)
        if acceptance.lane == lane
    }


class Journal:
    """One worker process' journal. Owned by the event loop's thread.

    A disk that cannot be written is logged once and takes only the journal away, never a mail.
    """

    def __init__(self, directory: Path, prefix: str, slot: int, clock: Clock) -> None:
        """Begin a segment with what an earlier holder of the slot left behind."""
        self._directory = directory
        self._prefix = prefix
        self._slot = slot
        self._clock = clock
        self._waiting: dict[Key, tuple[int, Acceptance]] = {}
        #: How many acceptances of each segment still wait, oldest segment first.
        self._counts: dict[int, int] = {}
        self._number = 0
        #: The newest segment's file, mapped: a write would let go of the interpreter's lock.
        self._segment: mmap | None = None
        self._size = 0
        self._failed = False
        self._adopt()

    def append(self, lane: int, event_id: bytes, generation: int, step: int, reply: str) -> None:
        """Write down that the relay took this handing over of a mail, and what it said."""
        key = (event_id, generation, step)
        self._write(Acceptance(lane, key, self._clock.now_ms(), reply[:REPLY_CHARACTERS]))

    def settled(self, lane: int, keys: Iterable[Key]) -> None:
        """Forget these acceptances of a lane: their transaction is through, or they are void."""
        waiting, freed = self._waiting, Counter[int]()
        for key in keys:
            held = waiting.get(key)
            if held is not None and held[1].lane == lane:
                del waiting[key]
                freed[held[0]] += 1
        for number, count in freed.items():
            self._let_go(number, count)

    def close(self) -> None:
        """Delete what nobody needs; acceptances that still wait stay for the next holder."""
        self._end_segment()

    def __len__(self) -> int:
        """Return how many acceptances wait for their transactions."""
        return len(self._waiting)

    def _adopt(self) -> None:
        """Take over the earlier segments' acceptances; a segment goes once they are written."""
        left = segments(self._directory, self._prefix, self._slot)
        self._number = max((number for number, _ in left), default=0)
        oldest = self._clock.now_ms() - KEPT_MS
        for _, path in left:
            for acceptance in _read(path):
                if acceptance.at >= oldest:
                    self._write(acceptance)
            if not self._failed:
                _delete(path)

    def _write(self, acceptance: Acceptance) -> None:
        record = write_record(acceptance)
        try:
            segment = self._segment
            if segment is None or self._size + len(record) > SEGMENT_BYTES:
                segment = self._begin_segment()
        except OSError as error:
            self._fail(error)
            return
        segment[self._size : self._size + len(record)] = record
        self._size += len(record)
        earlier = self._waiting.get(acceptance.key)
        self._waiting[acceptance.key] = self._number, acceptance
        self._counts[self._number] += 1
        if earlier is not None:
            self._let_go(earlier[0])

    def _begin_segment(self) -> mmap:
        self._end_segment()
        self._drop_oldest()
        self._number += 1
        path = self._path(self._number)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._segment = segment = _mapped(path)
        self._counts[self._number] = self._size = 0
        if len(self._counts) > MOST_SEGMENTS:
            self._empty_poorest()
        return segment

    def _end_segment(self) -> None:
        """Write no more to the newest segment; it goes if nothing in it is waited for."""
        if self._segment is None:
            return
        self._segment.close()
        self._segment = None
        if not self._counts[self._number]:
            del self._counts[self._number]
            _delete(self._path(self._number))

    def _drop_oldest(self) -> None:
        """Forget what has waited for too long, and the first ones where too many wait."""
        oldest = self._clock.now_ms() - KEPT_MS
        surplus = len(self._waiting) - MOST_WAITING
        dropped: list[Key] = []
        for key, (_, acceptance) in self._waiting.items():
            if acceptance.at >= oldest and len(dropped) >= surplus:
                break
            dropped.append(key)
        for key in dropped:
            self._let_go(self._waiting.pop(key)[0])
        if surplus > 0:
            _log.warning("journal.overflow", dropped=len(dropped))

    def _empty_poorest(self) -> None:
        earlier = (number for number in self._counts if number != self._number)
        poorest = min(earlier, key=self._counts.__getitem__)
        if self._counts[poorest] > _FEW:
            return
        held = [acceptance for number, acceptance in self._waiting.values() if number == poorest]
        for acceptance in held:
            self._write(acceptance)

    def _let_go(self, number: int, count: int = 1) -> None:
        """Note that so many acceptances of a segment wait no more."""
        self._counts[number] -= count
        if not self._counts[number] and (number != self._number or self._segment is None):
            del self._counts[number]
            _delete(self._path(number))

    def _fail(self, error: OSError) -> None:
        """Go on without this record; what may be torn is the end of its segment."""
        self._end_segment()
        if not self._failed:
            self._failed = True
            _log.error("journal.unwritable", path=str(self._directory), reason=error.strerror)

    def _path(self, number: int) -> Path:
        return segment_path(self._directory, self._prefix, self._slot, number)


def _mapped(path: Path) -> mmap:
    """Make a segment's file, filled with zeros: into a hole the disk may have no room to write."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    handle = os.open(path, flags, 0o600)
    try:
        if os.write(handle, bytes(SEGMENT_BYTES)) < SEGMENT_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return mmap(handle, SEGMENT_BYTES)
    except OSError:
        _delete(path)
        raise
    finally:
        os.close(handle)


def _read(path: Path) -> list[Acceptance]:
    try:
        return list(read_records(path.read_bytes()))
    except OSError:
        return []


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("journal.left_behind", path=str(path), reason=error.strerror)
