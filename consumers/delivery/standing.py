"""How one relay stands: its breaker, and one for each sender that it refuses.

Owned by one event loop.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from msgspec import Struct

from consumers.delivery.blame import Blame, blame
from consumers.delivery.breaker import Breaker, Moment, Outage, Permit
from consumers.delivery.denials import Denials
from consumers.delivery.guard import Guard, Hold
from consumers.delivery.identity import identity_of
from consumers.delivery.message import Message
from consumers.delivery.protocol import Delivery
from retry_topics.failure import Failure, FailureClass, Phase, Scope

_RELAYING_DENIED: Final = "relaying-denied"
#: How soon to look again whether a relay that is off gets mails again, in seconds.
_OFF_LOOK_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Relay:
    """One relay, by a name for people. A weight of 0 makes it a stand-by."""

    name: str
    delivery: Delivery
    weight: int = 1


class Passage(Struct, frozen=True):
    """Leave to hand one mail to a relay; the sender's where the relay had refused it."""

    permit: Permit
    sender: Breaker | None = None
    sender_permit: Permit = Permit(0, is_probe=False)


@dataclass(slots=True, eq=False)
class Standing:
    """One relay among others; `credit` is what it is owed of the next mails.

    `off` is why it gets no mails although nothing is wrong with it.
    """

    relay: Relay
    guard: Guard
    breaker: Breaker
    credit: int = 0
    off: Outage | None = None
    denials: Denials = field(default_factory=Denials)
    senders: dict[str, Breaker] = field(default_factory=dict)

    def admit(self, message: Message) -> Passage | Failure:
        """Give leave to hand a mail over, or say why there is none."""
        if self.off is not None:
            return self.off.failure
        if self.breaker.outage is None and not self.senders:
            return Passage(self.breaker.permit)
        now = self.guard.clock.monotonic()
        permit = self.breaker.ask(now)
        if isinstance(permit, Outage):
            return permit.failure
        sender = self.senders.get(identity_of(message))
        if sender is None:
            return Passage(permit)
        sender_permit = sender.ask(now)
        if isinstance(sender_permit, Outage):
            self.breaker.returned(permit)
            return sender_permit.failure
        return Passage(permit, sender, sender_permit)

    def returned(self, passage: Passage) -> None:
        """Note that nothing was learned."""
        self.breaker.returned(passage.permit)
        if passage.sender is not None:
            passage.sender.returned(passage.sender_permit)

    def accepted(self, passage: Passage) -> bool:
        """Note that a mail was taken; tell whether something may have closed by that."""
        self.denials.accepted()
        if not passage.permit.is_probe and passage.sender is None:
            return False
        self.breaker.answered(passage.permit)
        if passage.sender is not None:
            passage.sender.answered(passage.sender_permit)
            self.senders = {n: b for n, b in self.senders.items() if b.outage is not None}
        return True

    def refused(self, passage: Passage, message: Message, failure: Failure) -> Failure:
        """Learn from a failure, and return whose it is after all."""
        at, whose = self.guard.moment(), blame(failure)
        if whose is Blame.RELAY and not self._denies_one(message, failure, at):
            self.breaker.failed(passage.permit, failure, at)
        else:
            self.breaker.answered(passage.permit)
        if whose is Blame.SENDER:
            self._sender_refused(passage, message, failure, at)
        elif passage.sender is not None:
            passage.sender.returned(passage.sender_permit)
        if whose is Blame.RELAY and self.breaker.outage is None:
            return replace(failure, scope=Scope.RECIPIENT, kind=FailureClass.TRANSIENT)
        return failure

    def wait(self, now: float, senders: int) -> float | None:
        """Return for how long nobody may ask, 0 for a probe's time; None: mails may go.

        A relay that refuses all of our `senders` is out, too.
        """
        if self.off is not None:
            return _OFF_LOOK_SECONDS
        seconds = self.breaker.wait(now)
        if seconds is None and len(self.senders) >= senders:
            return min(sender.wait(now) or 0.0 for sender in self.senders.values())
        return seconds

    def outage(self, senders: int) -> Outage | None:
        """Return why nobody may ask, None where mails may go."""
        if self.off is not None:
            return self.off
        if self.breaker.outage is None and len(self.senders) >= senders:
            return next((sender.outage for sender in self.senders.values()), None)
        return self.breaker.outage

    def hold(self, sender: str, now: float) -> Hold | None:
        """Tell whether mails of one sender have to wait because it is refused."""
        breaker = self.senders.get(sender)
        if breaker is None or breaker.outage is None:
            return None
        seconds = breaker.wait(now) or 0.0
        return Hold(Blame.SENDER, sender, breaker.outage, seconds) if seconds else None

    def _denies_one(self, message: Message, failure: Failure, at: Moment) -> bool:
        if failure.rule != _RELAYING_DENIED or failure.phase is not Phase.RCPT:
            return False
        return not self.denials.denied(message.envelope_to, at.monotonic)

    def _sender_refused(
        self, passage: Passage, message: Message, failure: Failure, at: Moment
    ) -> None:
        name = identity_of(message)
        sender = self.senders.get(name)
        if sender is None:
            sender = self.guard.breaker(Blame.SENDER, f"{name} at {self.relay.name}")
            self.senders[name] = sender
        if sender is passage.sender:
            sender.failed(passage.sender_permit, failure, at)
        elif sender.outage is None:
            sender.failed(sender.permit, failure, at)
