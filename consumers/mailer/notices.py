"""Tells other processes what is out in this worker, by the outages topic; the status view reads it.

A worker tells how it is when it starts and whenever that changes, and repeats what is out, so that
what nobody repeats can be passed over. Nothing of it is on a mail's way, and a notice that cannot
be written harms nothing but the status view.
"""

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from consumers.delivery.blame import Blame
from consumers.mailer.outages import OpenOutage
from runtime.clock import Clock
from runtime.kafka.errors import KafkaFault
from runtime.kafka.records import OutRecord
from runtime.logs import get_logger
from schemas.outages import REASON_CHARACTERS, KnownOutage, WorkerOutages, write_outages

_log = get_logger("mailer")

#: How often what is out is told again while nothing changes, in seconds.
REPEAT_SECONDS: Final = 60.0
#: Outages that one notice has; hundreds of domains say no more.
MOST_TOLD: Final = 20
_LOOK_SECONDS: Final = 1.0
#: How long a notice that could not be written is left alone, in seconds.
_AFTER_FAULT_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class NoticeParts:
    """What notices are made from. All but `write` only look, and may do so from any thread.

    `pausing` tells for which kinds of outages mails wait where they are. `write` raises a
    `KafkaFault` where a record was not acknowledged.
    """

    topic: str
    worker: str
    outages: Callable[[], Sequence[OpenOutage]]
    pausing: Callable[[], Collection[Blame]]
    lanes: Callable[[], Sequence[int]]
    write: Callable[[OutRecord], None]
    clock: Clock


class Notices:
    """Writes the notices of one worker, on a thread of its own."""

    def __init__(self, parts: NoticeParts) -> None:
        self._parts = parts
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        self._told: WorkerOutages | None = None
        self._failing = False

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Take back what was told last; give it up after so many seconds."""
        self._stop.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        parts = self._parts
        pause = 0.0
        while not self._stop.wait(pause):
            pause = _LOOK_SECONDS
            found = (parts.outages(), parts.pausing(), parts.lanes())
            current = notice_of(parts.worker, parts.clock.now_ms(), *found)
            if is_due(current, self._told) and not self._tell(current):
                pause = _AFTER_FAULT_SECONDS
        if self._told is not None and self._told.outages:
            self._tell(WorkerOutages(parts.worker, parts.clock.now_ms()))

    def _tell(self, notice: WorkerOutages) -> bool:
        """Write a notice; tell whether it is written."""
        key = notice.worker.encode()
        try:
            self._parts.write(OutRecord(self._parts.topic, key, write_outages(notice), ()))
        except KafkaFault as fault:
            if not self._failing:
                _log.warning("outages.not_told", reason=str(fault))
            self._failing = True
            return False
        self._told, self._failing = notice, False
        return True


def notice_of(
    worker: str,
    now: int,
    outages: Sequence[OpenOutage],
    pausing: Collection[Blame],
    lanes: Sequence[int],
) -> WorkerOutages:
    """Return what is to be told: what pauses the lanes first, and of too much the oldest. Pure."""
    known = [_known(outage, outage.kind in pausing) for outage in outages]
    known.sort(key=lambda outage: (not outage.pauses, outage.since))
    if not known:
        return WorkerOutages(worker, now)
    return WorkerOutages(worker, now, tuple(lanes), tuple(known[:MOST_TOLD]))


def is_due(current: WorkerOutages, told: WorkerOutages | None) -> bool:
    """Decide whether to tell how it is, after what was told last; None: nothing was yet. Pure."""
    if told is None or replace(current, at=told.at) != told:
        return True
    # A wall clock that is set back must not silence anybody.
    return bool(current.outages) and abs(current.at - told.at) >= REPEAT_SECONDS * 1000


def _known(outage: OpenOutage, pauses: bool) -> KnownOutage:
    reason = outage.reason[:REASON_CHARACTERS]
    failure = outage.outage.failure
    return KnownOutage(
        outage.kind.value,
        _encodable(outage.name),
        _encodable(reason),
        failure.rule,
        outage.outage.since,
        pauses,
    )


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
