"""The balance of a run: what was accepted against what was sent or given up."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from console.stack.load import Posted


@dataclass(frozen=True, slots=True)
class Caught:
    """A mail that the catcher took."""

    number: int
    address: str
    received_at: int


@dataclass(frozen=True, slots=True)
class DeadMail:
    """A record of the dead-letter topic."""

    address: str
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from POST to the catcher's acceptance; None where nothing was sent."""

    p50: int | None
    p99: int | None


@dataclass(frozen=True, slots=True)
class Tally:
    """The balance. `lost` and `duplicates` are addresses; each should be empty."""

    posted: int
    accepted: int
    sent: int
    retried: Mapping[str, int]
    dead: int
    lost: tuple[str, ...]
    duplicates: tuple[str, ...]
    first_attempts: Latency
    all_mails: Latency

    @property
    def is_clean(self) -> bool:
        """Tell whether every posted signup was accepted and ended in exactly one place."""
        return self.posted == self.accepted and not self.lost and not self.duplicates


def percentile(values: Sequence[int], share: float) -> int | None:
    """Return the value that this share of all values does not exceed (nearest rank)."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def balance(
    posted: Sequence[Posted],
    caught: Sequence[Caught],
    dead: Sequence[DeadMail],
    retried: Mapping[str, int],
) -> Tally:
    """Return the balance of a run in which every address signed up once."""
    accepted = {item.signup.address: item for item in posted if item.mail_id is not None}
    ends = Counter(mail.address for mail in caught)
    ends.update(mail.address for mail in dead)
    waits = {
        mail.address: mail.received_at - accepted[mail.address].posted_at
        for mail in reversed(caught)
        if mail.address in accepted
    }
    ordinary = [wait for address, wait in waits.items() if accepted[address].signup.is_ordinary]
    return Tally(
        posted=len(posted),
        accepted=len(accepted),
        sent=len(waits),
        retried=dict(retried),
        dead=len(dead),
        lost=tuple(sorted(accepted.keys() - ends.keys())),
        duplicates=tuple(sorted(address for address, count in ends.items() if count > 1)),
        first_attempts=_latency(ordinary),
        all_mails=_latency(list(waits.values())),
    )


def _latency(waits: Sequence[int]) -> Latency:
    return Latency(percentile(waits, 0.5), percentile(waits, 0.99))
