"""What breakers are made with, and what a process' breakers tell of themselves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from consumers.delivery.blame import Blame
from consumers.delivery.breaker import BackOff, Breaker, Moment, Outage, Recovery
from runtime.clock import Clock

_LASTING: Final = BackOff(30.0, 300.0)
#: How each kind of thing comes back. A relay is missed by everybody, so it is asked soon; a domain
#: that has had enough of us is let alone for as long as Postfix would, and then more and more is
#: sent; a template is not mended in minutes, and each probe may be another refused mail.
RECOVERIES: Final[Mapping[Blame, Recovery]] = MappingProxyType(
    {
        Blame.RELAY: Recovery(BackOff(0.5, 30.0), _LASTING),
        Blame.REGISTRY: Recovery(BackOff(0.5, 30.0), _LASTING),
        Blame.SENDER: Recovery(BackOff(5.0, 300.0), _LASTING),
        Blame.DOMAIN: Recovery(BackOff(60.0, 1800.0), BackOff(300.0, 3600.0), needed=8),
        Blame.TEMPLATE: Recovery(BackOff(300.0, 3600.0), BackOff(300.0, 3600.0), needed=3),
    }
)

#: Told what has gone out, by kind and name, or has another reason, and what is back (None).
Told = Callable[[Blame, str, Outage | None], None]


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a mail has to wait although others go out, and for how many seconds at least."""

    kind: Blame
    name: str
    outage: Outage
    seconds: float


@dataclass(frozen=True, slots=True)
class Guard:
    """Makes breakers. `chance` returns numbers from 0 to 1."""

    clock: Clock
    chance: Callable[[], float]
    told: Told
    recoveries: Mapping[Blame, Recovery]

    def breaker(self, kind: Blame, name: str) -> Breaker:
        """Return a closed breaker for something of this kind and name."""
        recovery = self.recoveries[kind]
        return Breaker(recovery, self.chance, lambda outage: self.told(kind, name, outage))

    def moment(self) -> Moment:
        """Return this instant."""
        return Moment(self.clock.monotonic(), self.clock.now_ms())
