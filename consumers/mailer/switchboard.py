"""Follows what operators have paused, on a thread of its own, and tells it to the worker.

    UNKNOWN --read to its end--> KNOWN --nobody confirms it for too long--> UNKNOWN

As long as nothing is known, nothing may be sent: it could be paused. The topic is read from its
beginning each time; how far it goes is asked again and again, so that silence is never taken for
news that did not come.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from runtime.clock import Clock
from runtime.kafka.errors import KafkaFault
from runtime.kafka.follower import Followed
from runtime.kafka.records import Partition, Record
from runtime.kafka.topics import Span
from runtime.logs import get_logger
from schemas.errors import Undecodable
from schemas.switches import Switches

_log = get_logger("mailer")

#: Without a confirmation for so long, what is known counts no more, in seconds.
TRUSTED_SECONDS: Final = 30.0
#: How long the first reading may take before somebody hears of it, in seconds.
_PATIENCE_SECONDS: Final = 5.0
_ASK_SECONDS: Final = 5.0
_TAKE_SECONDS: Final = 0.5
_TAKE_MOST: Final = 500
_AFTER_FAULT_SECONDS: Final = 1.0


class Following(Protocol):
    """Yields a topic's records; see `runtime.kafka.follower.Follower`."""

    def take(self, most: int, seconds: float) -> Followed: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SwitchboardParts:
    """What a switchboard works with.

    `look` tells how far the topic goes and `follow` reads it from there; both raise a `KafkaFault`.
    `told` hears of all switches whenever they changed, and None with the reason where they are not
    known any more; `failed` of a fault that ends it. Both are called on the switchboard's thread.
    """

    look: Callable[[], Mapping[Partition, Span]]
    follow: Callable[[Mapping[Partition, Span]], Following]
    told: Callable[[Switches | None, str], None]
    failed: Callable[[BaseException], None]
    clock: Clock


class Reading:
    """One reading of the topic, from its beginning: what it says, and whether that is all. Pure."""

    def __init__(self, spans: Mapping[Partition, Span]) -> None:
        self.switches = Switches()
        self._next = {partition: span.start for partition, span in spans.items()}
        self._ends = {partition: span.end for partition, span in spans.items()}

    def add(self, records: Sequence[Record], reached: Mapping[Partition, int]) -> list[str]:
        """Take records in, in their order, and how far that is; return why some say nothing."""
        problems = []
        for record in records:
            try:
                self.switches = self.switches.read(record.key, record.value, record.timestamp_ms)
            except Undecodable as error:
                problems.append(f"offset {record.offset}: {error}")
        self._next.update(reached)
        return problems

    def goes_on(self, spans: Mapping[Partition, Span]) -> bool:
        """Learn how far the topic goes; tell whether it is still the one that was read."""
        self._ends = {partition: span.end for partition, span in spans.items()}
        same = self._ends.keys() == self._next.keys()
        return same and all(end >= self._next[p] for p, end in self._ends.items())

    @property
    def complete(self) -> bool:
        """Tell whether everything was read that was there when somebody looked last."""
        return all(self._next[partition] >= end for partition, end in self._ends.items())


class Switchboard:
    """Tells a worker what is paused. `start`, `stop` and `close` are its owner's."""

    def __init__(
        self, parts: SwitchboardParts, pause_seconds: float = _AFTER_FAULT_SECONDS
    ) -> None:
        """After a fault the topic is left alone for `pause_seconds`."""
        self._parts = parts
        self._pause_seconds = pause_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="switchboard", daemon=True)
        self._known: Switches | None = None
        self._told_why = ""
        self._confirmed_at = parts.clock.monotonic()

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Begin to stop: what it waits for may take a moment to end."""
        self._stop.set()

    def close(self, seconds: float) -> None:
        """Stop; give it up after so many seconds."""
        self.stop()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except KafkaFault as fault:
                self._doubt(str(fault))
            except Exception as error:  # noqa: BLE001 - a thread's boundary: the worker ends
                self._parts.failed(error)
                return
            self._stop.wait(self._pause_seconds)

    def _follow(self) -> None:
        """Read the topic until it is another one."""
        asked_at = self._parts.clock.monotonic()
        spans = self._parts.look()
        reading = Reading(spans)
        follower = self._parts.follow(spans)
        try:
            while not self._stop.is_set():
                followed = follower.take(_TAKE_MOST, _TAKE_SECONDS)
                for problem in reading.add(followed.records, followed.reached):
                    _log.warning("switches.unreadable", reason=problem)
                if reading.complete:
                    self._confirm(reading.switches, asked_at)
                else:
                    self._doubt("its end was not reached")
                now = self._parts.clock.monotonic()
                if now - asked_at >= _ASK_SECONDS:
                    asked_at = now
                    if not reading.goes_on(self._parts.look()):
                        return
        finally:
            follower.close()

    def _confirm(self, switches: Switches, asked_at: float) -> None:
        """Take in what was all that there was when somebody asked."""
        self._confirmed_at = asked_at
        if switches != self._known:
            self._known, self._told_why = switches, ""
            self._parts.told(switches, "")

    def _doubt(self, reason: str) -> None:
        """Tell that nothing is known, once nobody could confirm it for long enough."""
        silent = self._parts.clock.monotonic() - self._confirmed_at
        if silent < (_PATIENCE_SECONDS if self._known is None else TRUSTED_SECONDS):
            return
        if self._known is not None or not self._told_why:
            self._known, self._told_why = None, reason
            self._parts.told(None, reason)
