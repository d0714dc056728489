"""One thing that can be out: when it may be asked again, and how it is trusted afterwards. Pure.

    CLOSED --out--> OPEN --its time comes, one asks--> PROBING --answered, often enough--> CLOSED
                     ^------------ out again -------------'

(A circuit breaker's words: open means that nothing flows.) Whoever asks gets a permit and gives it
back with what came of it. Permits have the round in which they were given: what began before the
last outage does not begin another one, and does not end it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from retry_topics.failure import Failure, FailureClass, Phase


@dataclass(frozen=True, slots=True)
class BackOff:
    """Pauses between probes, in seconds: each twice as long as the one before, up to `longest`."""

    first: float
    longest: float

    def pause(self, failures: int, share: float) -> float:
        """Return the pause after so many failures in a row, from 1; `share` from 0 to 1 is chance.

        It is at least three quarters of the full pause, so that workers do not probe in step.
        """
        doublings = min(failures - 1, 30)
        full: float = min(self.longest, self.first * 2.0**doublings)
        return full * (0.75 + 0.25 * share)


@dataclass(frozen=True, slots=True)
class Recovery:
    """How a breaker comes back: `fast` after what goes by itself, `slow` after what does not.

    It closes after `needed` answers. One at a time may ask at first, with each answer one more;
    who is put off meanwhile comes again after `behind` seconds.
    """

    fast: BackOff
    slow: BackOff
    needed: int = 1
    behind: float = 10.0

    def back_off(self, failure: Failure) -> BackOff:
        """Return the pauses for a failure; wrong logins that are shown too often lock accounts."""
        lasting = failure.kind in (FailureClass.CONFIG, FailureClass.PERMANENT)
        quota = failure.kind is FailureClass.THROTTLE and (failure.code or 0) >= 500
        return self.slow if lasting or quota or failure.phase is Phase.AUTH else self.fast


@dataclass(frozen=True, slots=True)
class Outage:
    """Why and since when (milliseconds since the epoch) nothing flows."""

    failure: Failure
    since: int


class Permit(Struct, frozen=True, gc=False):
    """Leave to ask once."""

    round: int
    is_probe: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on both clocks: seconds that never go back, milliseconds since the epoch."""

    monotonic: float
    now_ms: int


#: Told when a breaker opens or has another reason, and when it closes (None).
Changed = Callable[[Outage | None], None]
#: What to wait for the end of a probe that is under way, in seconds.
PROBE_LOOK_SECONDS: Final = 0.25


class Breaker:
    """The state of one thing that can be out. Owned by one event loop; `outage` may be read by all.

    `chance` returns numbers from 0 to 1.
    """

    def __init__(self, recovery: Recovery, chance: Callable[[], float], changed: Changed) -> None:
        self._recovery = recovery
        self._chance = chance
        self._changed = changed
        self._open_until = 0.0
        self._failures = 0
        self._answers = 0
        self._asking = 0
        #: Leave to ask while the breaker is closed.
        self.permit = Permit(0, is_probe=False)
        self.outage: Outage | None = None

    def wait(self, now: float) -> float | None:
        """Return for how many seconds nobody may ask, 0 for a probe's time, None where all may."""
        if self.outage is None:
            return None
        if now < self._open_until:
            return self._open_until - now
        return 0.0 if self._asking <= self._answers else PROBE_LOOK_SECONDS

    def ask(self, now: float) -> Permit | Outage:
        """Give leave to ask, or say why there is none at this moment."""
        if self.outage is None:
            return self.permit
        if now < self._open_until or self._asking > self._answers:
            return self.outage
        self._asking += 1
        return Permit(self.permit.round, is_probe=True)

    def failed(self, permit: Permit, failure: Failure, at: Moment) -> None:
        """Note that whoever had the permit found the thing out."""
        if permit.round != self.permit.round:
            return
        before = self.outage
        same = before is not None and self._back_off(before.failure) == self._back_off(failure)
        self._failures = self._failures + 1 if same else 1
        self._open_until = at.monotonic + self._pause(failure)
        self._next_round()
        self.outage = Outage(failure, before.since if before else at.now_ms)
        if before is None or before.failure.text != failure.text:
            self._changed(self.outage)

    def answered(self, permit: Permit) -> None:
        """Note that whoever had the permit was answered."""
        if not permit.is_probe or permit.round != self.permit.round:
            return
        self._asking -= 1
        self._answers += 1
        if self._answers >= self._recovery.needed:
            self._failures = 0
            self._next_round()
            self.outage = None
            self._changed(None)

    def returned(self, permit: Permit) -> None:
        """Take a permit back of which nothing was learned."""
        if permit.is_probe and permit.round == self.permit.round:
            self._asking -= 1

    def _back_off(self, failure: Failure) -> BackOff:
        return self._recovery.back_off(failure)

    def _pause(self, failure: Failure) -> float:
        """Return how long nobody asks. A time that the other side names is never undercut."""
        share = self._chance()
        if failure.retry_after_ms is not None:
            return failure.retry_after_ms / 1000 + self._recovery.fast.first * share
        return self._back_off(failure).pause(self._failures, share)

    def _next_round(self) -> None:
        self.permit = Permit(self.permit.round + 1, is_probe=False)
        self._answers = self._asking = 0
