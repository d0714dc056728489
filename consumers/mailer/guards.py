"""Everything that can keep a mail from going out although nothing is wrong with it.

What hits all mails makes them wait where they are; what hits some puts those off, and the others
go on. Neither uses up an attempt. What operators have paused is treated likewise.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from consumers.delivery.blame import Blame
from consumers.delivery.breaker import Outage
from consumers.delivery.relays import RelayGroup
from consumers.mailer.gate import OutageGate, RegistryGate
from consumers.mailer.outages import OpenOutage
from consumers.mailer.throttles import Throttles
from retry_topics.failure import Failure, FailureClass, Phase, Scope
from schemas.switches import PAUSED, SWITCHED_OFF, Switch, Switches, SwitchKey, SwitchKind

#: The rule of what keeps relays from mails while nobody knows what is paused.
SWITCHES_UNKNOWN: Final = "switches-unknown"
_OF_RELAYS: Final = frozenset({Blame.RELAY, Blame.SENDER})
_OF_THE_REGISTRY: Final = frozenset({Blame.REGISTRY})
_OF_SWITCHES: Final = frozenset({Blame.SWITCHES})


class Guards:
    """The gates before relays and registry, the throttles of domains and templates, the switches.

    `switches` is what is paused, and never changed but by `turn`; it may be read from any thread.
    """

    def __init__(
        self,
        relays: RelayGroup,
        registry: RegistryGate,
        throttles: Throttles,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.relays = relays
        self.registry_gate = registry
        self.throttles = throttles
        self.relay_gate = OutageGate(relays.pause, sleep)
        self.switches = Switches()
        self._unknown = False

    def turn(self, switches: Switches) -> None:
        """Pause what these switches say, and nothing else. On the loop."""
        self._unknown = False
        self.switches = switches
        self.relays.turn_off(lambda relay: _off(switches.stops(relay=relay)))

    def hold_all(self, outage: Outage) -> None:
        """Pause everything: nobody knows the switches. On the loop."""
        self._unknown = True
        self.relays.turn_off(lambda _relay: outage)

    def outage(self) -> Outage | None:
        """Return why no mail can go out, None where mails can. May be asked from any thread."""
        return self.relays.outage or self.registry_gate.outage

    def paused_relays(self) -> list[OpenOutage]:
        """Return which of the relays an operator has paused. From any thread."""
        switches, found = self.switches, []
        for name in self.relays.names if switches else ():
            outage = _off(switches.off.get(SwitchKey(SwitchKind.RELAY, name)))
            if outage is not None:
                found.append(OpenOutage(Blame.RELAY, name, outage))
        return found

    def pausing(self) -> frozenset[Blame]:
        """Return the kinds of outages for which all mails wait where they are. From any thread."""
        kinds = _OF_RELAYS if self.relays.outage is not None else frozenset()
        if self.registry_gate.outage is not None:
            kinds |= _OF_THE_REGISTRY
        return kinds | _OF_SWITCHES if self._unknown else kinds


def unknown_switches(reason: str, now: int) -> Outage:
    """Return why nothing is sent as long as nobody knows what is paused."""
    text = f"what operators have paused cannot be read: {reason}"
    return Outage(_failure(text, SWITCHES_UNKNOWN), now)


def _off(switch: Switch | None) -> Outage | None:
    return None if switch is None else Outage(_failure(PAUSED, SWITCHED_OFF), switch.since)


def _failure(text: str, rule: str) -> Failure:
    return Failure(Scope.ENDPOINT, FailureClass.TRANSIENT, Phase.CONNECT, text, rule)
