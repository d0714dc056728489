"""Several relays as one: each gets its share of the mails, and those of one that is out.

A mail goes on to the next relay only after a failure that is the relay's or the sender's and came
before the final dot, so it is never handed over twice. So a probe of a relay that is out is a mail
that the next one takes if it fails.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from consumers.delivery.blame import Blame, blame
from consumers.delivery.breaker import Outage
from consumers.delivery.endpoint import RelayEndpoint
from consumers.delivery.figures import RelayFigures
from consumers.delivery.guard import Guard, Hold
from consumers.delivery.identity import identity_of
from consumers.delivery.message import Message
from consumers.delivery.outcome import Classifier
from consumers.delivery.pacing import Pace
from consumers.delivery.protocol import Begins, Delivery
from consumers.delivery.reset import heeding_resets
from consumers.delivery.smtp import Manners, SmtpDelivery
from consumers.delivery.standing import Passage, Relay, Standing
from consumers.delivery.traced import TracedDelivery
from retry_topics.failure import Accepted, Ambiguous, Failure, Outcome, Phase
from runtime.tracing import Tracer

_GOES_ON: Final = frozenset({Blame.RELAY, Blame.SENDER})


class _TurnedOff(Exception):
    """The relay was turned off while the mail waited for it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__()
        self.failure = failure


class RelayGroup:
    """A `Delivery` to relays. Owned by one event loop; `outage` may be read by any thread."""

    def __init__(self, relays: Sequence[Relay], guard: Guard, senders: int = 1) -> None:
        """`senders` is how many different senders the mails have."""
        if not relays:
            raise ValueError("there is no relay")
        self._clock = guard.clock
        self._senders = senders
        self._relays = tuple(
            Standing(relay, guard, guard.breaker(Blame.RELAY, relay.name)) for relay in relays
        )
        #: Why no mail at all can go out.
        self.outage: Outage | None = None

    def turn_off(self, why: Callable[[str], Outage | None]) -> None:
        """Give no mail to the relays that `why` has a reason for, by their names.

        What is being handed to one of them ends; what only waits for it goes to the next one.
        """
        for standing in self._relays:
            standing.off = why(standing.relay.name)
        self._reckon()

    async def send(self, message: Message, begins: Begins | None = None) -> Outcome:
        """Hand over one mail to the relay whose turn it is, and if that is out to the next.

        Where all are out, what the first one said counts; one that may not be asked says it again.
        """
        first: Failure | None = None
        for standing in self._order():
            passage = standing.admit(message)
            outcome: Outcome
            if isinstance(passage, Failure):
                outcome = passage
            else:
                outcome = await self._hand_over(standing, passage, message, begins)
                if not isinstance(outcome, Failure) or not may_go_on(outcome):
                    return outcome
            first = first or outcome
        if first is None:
            raise ValueError("there is no relay")
        return first

    @property
    def names(self) -> Sequence[str]:
        """The relays' names."""
        return [standing.relay.name for standing in self._relays]

    def figures(self) -> Sequence[RelayFigures]:
        """Return how each relay stands. From any thread."""
        return [figures for each in self._relays for figures in each.relay.delivery.figures()]

    async def close(self) -> None:
        """Give up every connection to every relay."""
        for standing in self._relays:
            await standing.relay.delivery.close()

    def pause(self) -> float | None:
        """Return for how many seconds no mail can go out, 0 for a probe's time; None: mails can."""
        if self.outage is None:
            return None
        now = self._clock.monotonic()
        waits = [standing.wait(now, self._senders) for standing in self._relays]
        known = [seconds for seconds in waits if seconds is not None]
        return min(known) if len(known) == len(waits) else None

    def hold(self, message: Message) -> Hold | None:
        """Tell whether a mail has to wait because its sender is refused, while others go out."""
        for standing in self._relays:
            if standing.senders:
                break
        else:
            return None
        sender, now = identity_of(message), self._clock.monotonic()
        holds = []
        for standing in self._relays:
            if (hold := standing.hold(sender, now)) is not None:
                holds.append(hold)
            elif standing.off is None and not standing.breaker.wait(now):
                return None
        return min(holds, key=lambda hold: hold.seconds, default=None)

    def _order(self) -> Sequence[Standing]:
        """Return the relays to try: all that may be asked, or all if none may.

        The first of them is chosen so that each has its share at any time, not only in the end.
        """
        if len(self._relays) == 1:
            return self._relays
        now = self._clock.monotonic()
        working = [s for s in self._relays if s.off is None and not s.breaker.wait(now)]
        if not working:
            return self._relays
        sharing = [standing for standing in working if standing.relay.weight] or working
        for standing in sharing:
            standing.credit += standing.relay.weight
        chosen = max(sharing, key=lambda standing: standing.credit)
        chosen.credit -= sum(standing.relay.weight for standing in sharing)
        others = (standing for standing in working if standing is not chosen)
        return [chosen, *sorted(others, key=lambda standing: -standing.relay.weight)]

    async def _hand_over(
        self, standing: Standing, passage: Passage, message: Message, begins: Begins | None
    ) -> Outcome:
        outcome: Outcome | None = None

        def still_on() -> Awaitable[None] | None:
            if standing.off is not None:
                raise _TurnedOff(standing.off.failure)
            return begins() if begins is not None else None

        try:
            outcome = await standing.relay.delivery.send(message, still_on)
        except _TurnedOff as meanwhile:
            return meanwhile.failure
        finally:
            if outcome is None or isinstance(outcome, Ambiguous):
                standing.returned(passage)
        if isinstance(outcome, Accepted):
            if standing.accepted(passage):
                self._reckon()
        elif isinstance(outcome, Failure):
            outcome = standing.refused(passage, message, outcome)
            self._reckon()
        return outcome

    def _reckon(self) -> None:
        outages = [standing.outage(self._senders) for standing in self._relays]
        self.outage = outages[0] if all(outages) else None


def may_go_on(failure: Failure) -> bool:
    """Tell whether another relay may be asked: nothing was handed over, and it may know better."""
    return failure.phase is not Phase.DOT and blame(failure) in _GOES_ON


def relay_name(endpoint: RelayEndpoint) -> str:
    """Return a relay's name: its host and port."""
    return str(endpoint).partition("://")[2]


def deliver_to(
    endpoints: Sequence[RelayEndpoint],
    connections: int,
    guard: Guard,
    share: Callable[[], float],
    classifier: Classifier,
    tracer: Tracer | None = None,
) -> RelayGroup:
    """Return a delivery to one relay or several, over at most so many connections to each.

    `share` says which part of a relay's rate is ours, from 0 to 1. A `tracer` is told of each mail.

    Raises:
        UnknownProfile: an endpoint names a profile that there is not.
    """

    def single(endpoint: RelayEndpoint) -> SmtpDelivery:
        pace = Pace(endpoint.rate, share) if endpoint.rate else None
        said = classifier.of_relay(endpoint.host, endpoint.profile)
        classify = heeding_resets(said, guard.clock.now_ms)
        manners = Manners(classify=classify, pace=pace)
        return SmtpDelivery(endpoint, connections, guard.clock, manners)

    def relay(endpoint: RelayEndpoint) -> Relay:
        place = relay_name(endpoint)
        delivery: Delivery = single(endpoint)
        if tracer is not None:
            delivery = TracedDelivery(delivery, tracer, place)
        return Relay(place, delivery, endpoint.weight)

    return RelayGroup([relay(endpoint) for endpoint in endpoints], guard)
