"""Recipients' domains that have had enough of us, and templates whose content is refused.

Their mails wait in the tiers, without an attempt, while all others go out. Owned by the engine's
loop.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from consumers.delivery.blame import Blame, blame, is_about_content
from consumers.delivery.breaker import Breaker, Outage, Permit
from consumers.delivery.guard import Guard, Hold
from retry_topics.failure import Accepted, Failure, Outcome

#: Domains that can be out at once; what is further refused is the mail's own failure.
_MOST_DOMAINS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Tolerance:
    """When a template pauses: more than `percent` of its last `window` mails were refused, of at
    least `least`. No percentage at all: never."""

    percent: int = 20
    least: int = 20
    window: int = 100


class Share:
    """How many of the last mails of one template were refused for their content. Pure."""

    def __init__(self, tolerance: Tolerance) -> None:
        self._tolerance = tolerance
        self._last: deque[bool] = deque(maxlen=tolerance.window)
        self._refused = 0

    def note(self, refused: bool) -> bool:
        """Note one mail; tell whether that is too much."""
        last = self._last
        if len(last) == last.maxlen and last[0]:
            self._refused -= 1
        last.append(refused)
        if not refused:
            return False
        self._refused += 1
        tolerance = self._tolerance
        if not tolerance.percent or len(last) < tolerance.least:
            return False
        return self._refused * 100 > tolerance.percent * len(last)

    def forget(self) -> None:
        """Begin anew."""
        self._last.clear()
        self._refused = 0


class Leave(NamedTuple):
    """Leave to send a mail: what was asked for its domain and its template, if they are out."""

    domain: Permit | None = None
    template: Permit | None = None


#: Leave where nothing is out.
NOTHING_ASKED: Final = Leave()


class Throttles:
    """Which domains and templates are out, and who may try them."""

    def __init__(self, guard: Guard, tolerance: Tolerance) -> None:
        self._guard = guard
        self._tolerance = tolerance
        self._domains: dict[str, Breaker] = {}
        self._templates: dict[str, Breaker] = {}
        self._shares: dict[str, Share] = {}

    def ask(self, address: str, template: str) -> Leave | Hold:
        """Give leave to send a mail, or say why it has to wait. What is given is to be settled."""
        if not self._domains and not self._templates:
            return NOTHING_ASKED
        now = self._guard.clock.monotonic()
        domain = _domain_of(address)
        first = self._ask(self._domains.get(domain), Blame.DOMAIN, domain, now)
        if isinstance(first, Hold):
            return first
        second = self._ask(self._templates.get(template), Blame.TEMPLATE, template, now)
        if isinstance(second, Hold):
            if first is not None:
                self._domains[domain].returned(first)
            return second
        return Leave(first, second)

    def settle(
        self, address: str, template: str, leave: Leave, outcome: Outcome | None
    ) -> Hold | None:
        """Learn what came of a mail; None: nothing is known. Return why it has to wait after all.

        A mail that its domain or template keeps from being sent is not to blame for that.
        """
        if isinstance(outcome, Accepted) and leave is NOTHING_ASKED:
            self._share(template).note(refused=False)
            return None
        by_domain = self._settle_domain(_domain_of(address), leave.domain, outcome)
        by_template = self._settle_template(template, leave.template, outcome)
        return by_domain or by_template

    def _ask(
        self, breaker: Breaker | None, kind: Blame, name: str, now: float
    ) -> Permit | Hold | None:
        if breaker is None:
            return None
        permit = breaker.ask(now)
        if isinstance(permit, Outage):
            return Hold(kind, name, permit, self._seconds(breaker, kind, now))
        return permit

    def _settle_domain(
        self, domain: str, permit: Permit | None, outcome: Outcome | None
    ) -> Hold | None:
        breaker = self._domains.get(domain)
        if isinstance(outcome, Failure) and blame(outcome) is Blame.DOMAIN:
            if breaker is None:
                if len(self._domains) >= _MOST_DOMAINS:
                    return None
                breaker = self._domains[domain] = self._guard.breaker(Blame.DOMAIN, domain)
                permit = breaker.permit
            return self._out(breaker, permit, outcome, (Blame.DOMAIN, domain))
        if breaker is None or permit is None:
            return None
        of_the_mail = isinstance(outcome, Failure) and not outcome.is_outage
        if of_the_mail or isinstance(outcome, Accepted):
            breaker.answered(permit)
            if breaker.outage is None:
                del self._domains[domain]
        else:
            breaker.returned(permit)
        return None

    def _settle_template(
        self, template: str, permit: Permit | None, outcome: Outcome | None
    ) -> Hold | None:
        breaker = self._templates.get(template)
        refused = isinstance(outcome, Failure) and is_about_content(outcome)
        if isinstance(outcome, Failure) and refused:
            too_much = self._share(template).note(refused=True)
            if breaker is None and too_much:
                breaker = self._templates[template] = self._guard.breaker(Blame.TEMPLATE, template)
                permit = breaker.permit
            if breaker is not None:
                return self._out(breaker, permit, outcome, (Blame.TEMPLATE, template))
        elif isinstance(outcome, Accepted):
            self._share(template).note(refused=False)
        if breaker is None or permit is None:
            return None
        if isinstance(outcome, Accepted):
            breaker.answered(permit)
            if breaker.outage is None:
                del self._templates[template]
                self._share(template).forget()
        else:
            breaker.returned(permit)
        return None

    def _out(
        self, breaker: Breaker, permit: Permit | None, failure: Failure, what: tuple[Blame, str]
    ) -> Hold:
        """Note an outage, unless the mail began before it, and return how long to wait for it."""
        at = self._guard.moment()
        if permit is not None:
            breaker.failed(permit, failure, at)
        outage = breaker.outage or Outage(failure, at.now_ms)
        return Hold(*what, outage, self._seconds(breaker, what[0], at.monotonic))

    def _seconds(self, breaker: Breaker, kind: Blame, now: float) -> float:
        """Return how long a mail waits at least, also while others probe."""
        return max(breaker.wait(now) or 0.0, self._guard.recoveries[kind].behind)

    def _share(self, template: str) -> Share:
        share = self._shares.get(template)
        if share is None:
            share = self._shares[template] = Share(self._tolerance)
        return share


def _domain_of(address: str) -> str:
    return address.rpartition("@")[2].lower()
