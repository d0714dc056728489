"""Everything that can keep a mail from going out although nothing is wrong with it.

What hits all mails makes them wait where they are; what hits some puts those off, and the others
go on. Neither uses up an attempt.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from consumers.delivery.blame import Blame
from consumers.delivery.breaker import Outage
from consumers.delivery.relays import RelayGroup
from consumers.mailer.gate import OutageGate, RegistryGate
from consumers.mailer.throttles import Throttles

_OF_RELAYS: Final = frozenset({Blame.RELAY, Blame.SENDER})
_OF_THE_REGISTRY: Final = frozenset({Blame.REGISTRY})


class Guards:
    """The gates before relays and registry, and the throttles of domains and templates."""

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

    def outage(self) -> Outage | None:
        """Return why no mail can go out, None where mails can. May be asked from any thread."""
        return self.relays.outage or self.registry_gate.outage

    def pausing(self) -> frozenset[Blame]:
        """Return the kinds of outages for which all mails wait where they are. From any thread."""
        relays = _OF_RELAYS if self.relays.outage is not None else frozenset()
        return relays | _OF_THE_REGISTRY if self.registry_gate.outage is not None else relays
