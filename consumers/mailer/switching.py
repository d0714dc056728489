"""Brings what operators have paused to the parts of a worker that heed it."""

from dataclasses import dataclass, field
from typing import Final

from consumers.delivery.blame import Blame
from consumers.delivery.guard import Told
from consumers.mailer.guards import Guards, unknown_switches
from consumers.mailer.outages import OutageBook
from consumers.mailer.telemetry import Telemetry
from runtime.clock import Clock
from schemas.switches import Switches

_WHAT: Final = "list of switches"


@dataclass(slots=True)
class Switching:
    """Turns the worker's switches. Every method is called on the loop.

    As long as nothing is known of the switches, `begin` and `unknown` keep every mail back.
    """

    guards: Guards
    outages: OutageBook
    telemetry: Telemetry
    told: Told
    clock: Clock
    _is_told: bool = field(default=False, init=False)

    def begin(self) -> None:
        """Keep all mails back until the switches are known; nobody has to hear of that yet."""
        self.guards.hold_all(unknown_switches("not read yet", self.clock.now_ms()))

    def turn(self, switches: Switches | None, reason: str) -> None:
        """Heed these switches; None: they are not known, for that reason."""
        if switches is None:
            outage = unknown_switches(reason, self.clock.now_ms())
            self.guards.hold_all(outage)
            self.told(Blame.SWITCHES, _WHAT, outage)
            self._is_told = True
            return
        if self._is_told:
            self.told(Blame.SWITCHES, _WHAT, None)
            self._is_told = False
        self.telemetry.switched(self.outages.switches, switches)
        self.outages.switches = switches
        self.guards.turn(switches)
