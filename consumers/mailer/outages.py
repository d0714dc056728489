"""What is out or paused in this process, why and since when: for readiness and for people."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from consumers.delivery.blame import Blame
from consumers.delivery.breaker import Outage
from runtime.probes import Readiness
from schemas.instants import show_instant
from schemas.privacy import mask_addresses
from schemas.switches import Switches

#: Hundreds of domains say no more than some of them do.
_MOST_REASONS: Final = 20


@dataclass(frozen=True, slots=True)
class OpenOutage:
    """One thing that is out."""

    kind: Blame
    name: str
    outage: Outage

    @property
    def reason(self) -> str:
        """Why it is out: a reply with its codes, or our own words. Addresses in it are masked."""
        failure = self.outage.failure
        code = f"{failure.code} " if failure.code is not None else ""
        enhanced = f"{failure.enhanced} " if failure.enhanced is not None else ""
        return f"{code}{enhanced}{mask_addresses(failure.text)}"

    def __str__(self) -> str:
        since = show_instant(self.outage.since)
        return f"{self.kind} {self.name} is out since {since}: {self.reason}"


@dataclass(slots=True)
class OutageBook:
    """All that are out, by kind and name. Written on the event loop, read by any thread.

    `switches` is what operators have paused.
    """

    switches: Switches = field(default_factory=Switches)
    _open: dict[tuple[Blame, str], OpenOutage] = field(default_factory=dict)
    _paused: Callable[[], Outage | None] = lambda: None

    def told(self, kind: Blame, name: str, outage: Outage | None) -> None:
        """Take note of a change."""
        if outage is None:
            self._open.pop((kind, name), None)
        else:
            self._open[kind, name] = OpenOutage(kind, name, outage)

    def paused_by(self, outage: Callable[[], Outage | None]) -> None:
        """Have `outage` tell why no mail at all can go out."""
        self._paused = outage

    def readiness(self) -> Readiness:
        """Tell whether mails can go out, and what is out or paused beside that."""
        paused = self._paused()
        reasons = [*map(str, self.switches), *map(str, self.open())]
        if paused is not None and not reasons:
            reasons.append(mask_addresses(paused.failure.text))
        more = len(reasons) - _MOST_REASONS
        if more > 0:
            reasons[_MOST_REASONS:] = [f"and {more} more"]
        return Readiness(paused is None, reasons)

    def open(self) -> tuple[OpenOutage, ...]:
        """Return everything that is out, the oldest first."""
        # The list is made in one step, whatever is written meanwhile.
        return tuple(sorted(list(self._open.values()), key=lambda known: known.outage.since))
