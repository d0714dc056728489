"""The exporter's loop: look, show, count what comes meanwhile, and look again.

One thread runs it. What it shows is what it saw last, so that a scrape waits for nobody.
"""

import threading
from typing import Final

from consumers.exporter.following import Counts
from consumers.exporter.survey import Survey
from consumers.exporter.telemetry import Telemetry
from runtime.clock import Clock, Deadline
from runtime.kafka.errors import KafkaFault
from runtime.logs import get_logger
from runtime.probes import Readiness
from runtime.pulse import Pulse
from schemas.errors import RegistryUnavailable

_log = get_logger("exporter")

#: While it cannot look it tries again this often, in seconds.
_RETRY_SECONDS: Final = 2.0
#: How long it waits for what comes between two looks, in seconds: a stop waits as long.
_TAKE_SECONDS: Final = 0.5
#: Looks that may be missed before nobody should believe what is shown.
_LOOKS_MISSED: Final = 3


class Exporter:
    """Looks until it is stopped, whatever Kafka does. `readiness` is for any thread."""

    def __init__(
        self,
        survey: Survey,
        counts: Counts,
        telemetry: Telemetry,
        clock: Clock,
        interval_seconds: float,
        pulse: Pulse,
    ) -> None:
        self._survey = survey
        self._counts = counts
        self._telemetry = telemetry
        self._clock = clock
        self._interval = interval_seconds
        self._pulse = pulse
        self._stop = threading.Event()
        self._away = ""
        self._uncounted = ""
        self._looked = False
        self._stale = Deadline(clock, self._patience)

    def stop(self) -> None:
        """End the loop as soon as it can; callable from any thread."""
        self._stop.set()

    def readiness(self) -> Readiness:
        """Tell whether what is shown is true."""
        if self._away or not self._looked:
            return Readiness(False, [self._away or "nothing was looked at yet"])
        if self._stale.expired():
            return Readiness(False, [f"no look ended within {self._patience:g} s"])
        return Readiness(True, [self._uncounted] if self._uncounted else [])

    def run(self) -> None:
        """Look until `stop`."""
        _log.info("exporter.started", every_seconds=self._interval)
        while not self._stop.is_set():
            self._pulse.beat()
            due = Deadline(self._clock, self._interval)
            try:
                self._look()
            except KafkaFault as fault:
                self._out(str(fault))
                self._stop.wait(min(_RETRY_SECONDS, self._interval))
                continue
            try:
                self._count(due)
                self._tend(due)
            except (KafkaFault, RegistryUnavailable) as fault:
                self._counting_failed(str(fault))
                self._stop.wait(min(_RETRY_SECONDS, due.remaining()))
        self._counts.close()

    @property
    def _patience(self) -> float:
        return _LOOKS_MISSED * self._interval

    def _look(self) -> None:
        """Show anew how far behind the workers are."""
        began = self._clock.monotonic()
        seen = self._survey.look()
        now = self._clock.now_ms()
        self._telemetry.saw(seen, now)
        self._telemetry.refreshed(now, self._clock.monotonic() - began)
        self._stale = Deadline(self._clock, self._patience)
        self._looked = True
        if self._away:
            self._telemetry.recovered()
        self._away = ""

    def _count(self, due: Deadline) -> None:
        """Show what is open, once everything is read; reading may take some looks."""
        while self._counts.take(0 if due.expired() else _TAKE_SECONDS):
            if due.expired() or self._stop.is_set():
                return
        if (counted := self._counts.counted()) is not None:
            self._telemetry.counted(counted)
            self._uncounted = ""

    def _tend(self, due: Deadline) -> None:
        """Take in what comes until it is time to look, or until no broker can be reached."""
        while not (self._stop.is_set() or due.expired() or self._counts.all_down()):
            self._counts.take(min(_TAKE_SECONDS, due.remaining()))

    def _counting_failed(self, reason: str) -> None:
        """Tell once; whether it is Kafka that is away the next look will tell."""
        if not self._uncounted:
            _log.warning("exporter.uncounted", reason=reason)
        self._uncounted = f"dead letters and suppressions are not counted: {reason}"

    def _out(self, reason: str) -> None:
        if not self._away:
            self._telemetry.outage(reason)
        self._away = reason
