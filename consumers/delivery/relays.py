"""Several relays as one: each gets its share of the mails, and those of one that is out.

A mail goes on to the next relay only after a failure that is the relay's or the sender's and came
before the final dot, so it is never handed over twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from consumers.delivery.endpoint import RelayEndpoint
from consumers.delivery.figures import RelayFigures
from consumers.delivery.message import Message
from consumers.delivery.outcome import Classifier
from consumers.delivery.pacing import Pace
from consumers.delivery.protocol import Begins, Delivery
from consumers.delivery.smtp import Manners, SmtpDelivery
from retry_topics.failure import Failure, Outcome, Phase, Scope
from runtime.clock import Clock

#: For so long a relay that was out gets no mail as long as there are others.
OUT_SECONDS: Final = 60.0
_OF_THE_RELAY: Final = frozenset({Scope.ENDPOINT, Scope.SENDER})


@dataclass(slots=True)
class Relay:
    """One relay. A weight of 0 makes it a stand-by."""

    delivery: Delivery
    weight: int = 1
    credit: int = 0
    out_until: float = 0.0


class RelayGroup:
    """A `Delivery` to several relays. Owned by one event loop."""

    def __init__(self, relays: Sequence[Relay], clock: Clock) -> None:
        self._relays = tuple(relays)
        self._clock = clock

    async def send(self, message: Message, begins: Begins | None = None) -> Outcome:
        """Hand over one mail to the relay whose turn it is, and if that is out to the next.

        Where all are out, what the first one said counts.
        """
        first: Failure | None = None
        for relay in self._order():
            outcome = await relay.delivery.send(message, begins)
            if not isinstance(outcome, Failure) or not may_go_on(outcome):
                relay.out_until = 0.0
                return outcome
            relay.out_until = self._clock.monotonic() + _pause(outcome)
            first = first or outcome
        if first is None:
            raise ValueError("there is no relay")
        return first

    def figures(self) -> Sequence[RelayFigures]:
        """Return how each relay stands. From any thread."""
        return [figures for relay in self._relays for figures in relay.delivery.figures()]

    async def close(self) -> None:
        """Give up every connection to every relay."""
        for relay in self._relays:
            await relay.delivery.close()

    def _order(self) -> list[Relay]:
        """Return the relays to try: all that work, or all if none does.

        The first of them is chosen so that each has its share at any time, not only in the end.
        """
        now = self._clock.monotonic()
        working = [relay for relay in self._relays if relay.out_until <= now]
        if not working:
            return sorted(self._relays, key=lambda relay: relay.out_until)
        sharing = [relay for relay in working if relay.weight] or working
        for relay in sharing:
            relay.credit += relay.weight
        chosen = max(sharing, key=lambda relay: relay.credit)
        chosen.credit -= sum(relay.weight for relay in sharing)
        others = (relay for relay in working if relay is not chosen)
        return [chosen, *sorted(others, key=lambda relay: -relay.weight)]


def may_go_on(failure: Failure) -> bool:
    """Tell whether another relay may be asked: nothing was handed over, and it may know better."""
    return failure.phase is not Phase.DOT and failure.scope in _OF_THE_RELAY


def deliver_to(
    endpoints: Sequence[RelayEndpoint],
    connections: int,
    clock: Clock,
    share: Callable[[], float],
    classifier: Classifier,
) -> Delivery:
    """Return a delivery to one relay or several, over at most so many connections to each.

    `share` says which part of a relay's rate is ours, from 0 to 1.

    Raises:
        UnknownProfile: an endpoint names a profile that there is not.
    """

    def single(endpoint: RelayEndpoint) -> SmtpDelivery:
        pace = Pace(endpoint.rate, share) if endpoint.rate else None
        classify = classifier.of_relay(endpoint.host, endpoint.profile)
        return SmtpDelivery(endpoint, connections, clock, Manners(classify=classify, pace=pace))

    if len(endpoints) == 1:
        return single(endpoints[0])
    relays = [Relay(single(endpoint), endpoint.weight) for endpoint in endpoints]
    return RelayGroup(relays, clock)


def _pause(failure: Failure) -> float:
    asked = failure.retry_after_ms
    return asked / 1000 if asked is not None else OUT_SECONDS
