"""The balance of a run: what was accepted against what was sent or given up."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from console.stack.load import Posted
from schemas.mail_states import MailState


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
    """The balance. `lost`, `duplicates` and `mistold` are addresses; each should be empty.

    `told` counts mails by the state that the status view has them in; `mistold` are those that it
    does not have, or not as what they ended as.
    """

    posted: int
    accepted: int
    sent: int
    retried: Mapping[str, int]
    dead: int
    lost: tuple[str, ...]
    duplicates: tuple[str, ...]
    told: Mapping[MailState, int]
    mistold: tuple[str, ...]
    first_attempts: Latency
    all_mails: Latency

    @property
    def is_clean(self) -> bool:
        """Tell whether every signup was accepted, ended in one place, and is told as it ended."""
        wrong = (self.lost, self.duplicates, self.mistold)
        return self.posted == self.accepted and not any(wrong)


def percentile(values: Sequence[int], share: float) -> int | None:
    """Return the value that this share of all values does not exceed (nearest rank)."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def ends(
    posted: Sequence[Posted], caught: Sequence[Caught], dead: Sequence[DeadMail]
) -> dict[str, MailState]:
    """Return what each mail that has ended is, by its id: as mailbox and dead-letter topic say."""
    states = {mail.address: MailState.DEAD for mail in dead}
    states.update((mail.address, MailState.SENT) for mail in caught)
    return {
        item.mail_id: states[item.signup.address]
        for item in posted
        if item.mail_id is not None and item.signup.address in states
    }


def balance(
    posted: Sequence[Posted],
    caught: Sequence[Caught],
    dead: Sequence[DeadMail],
    retried: Mapping[str, int],
    told: Mapping[str, MailState],
) -> Tally:
    """Return the balance of a run in which every address signed up once.

    `told` are the states by the status view, by the mails' ids.
    """
    accepted = {item.signup.address: item for item in posted if item.mail_id is not None}
    reached = Counter(mail.address for mail in caught)
    reached.update(mail.address for mail in dead)
    ended = ends(posted, caught, dead)
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
        lost=tuple(sorted(accepted.keys() - reached.keys())),
        duplicates=tuple(sorted(address for address, count in reached.items() if count > 1)),
        told=Counter(told.values()),
        mistold=tuple(
            sorted(
                address
                for address, item in accepted.items()
                if item.mail_id in ended and told.get(item.mail_id) is not ended[item.mail_id]
            )
        ),
        first_attempts=_latency(ordinary),
        all_mails=_latency(list(waits.values())),
    )


def _latency(waits: Sequence[int]) -> Latency:
    return Latency(percentile(waits, 0.5), percentile(waits, 0.99))
