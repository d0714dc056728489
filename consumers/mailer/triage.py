"""Whether a mail may be sent now: its time has come, is still to come, or is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from retry_topics.headers import Journey
from retry_topics.topology import Tier
from schemas.events import SignupEvent


@dataclass(frozen=True, slots=True)
class Proceed:
    """Send it now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not before `due_at`, milliseconds since the epoch."""

    due_at: int


@dataclass(frozen=True, slots=True)
class TimeOver:
    """It must not be sent any more."""


Verdict = Proceed | Wait | TimeOver
_PROCEED: Final = Proceed()

#: For so long a mail waits for a recipient's domain that wants nothing from us, without an attempt:
#: what RFC 5321 (4.5.4.1) gives a mail, at least four days.
LONGEST_PATIENCE_MS: Final = 4 * 86_400_000
#: A mail is looked at so often in a pause before it waits in a longer tier.
_LOOKS: Final = 6


def triage(event: SignupEvent, journey: Journey, now: int) -> Verdict:
    """Decide by the clock alone. A mail that would only become due after its end is over now."""
    due_at = max(event.not_before or 0, journey.due_at or 0)
    if event.expires_at is not None and max(now, due_at) >= event.expires_at:
        return TimeOver()
    return Wait(due_at) if due_at > now else _PROCEED


def put_off(event: SignupEvent, seconds: float, now: int) -> Wait | TimeOver:
    """Decide about a mail that something keeps back for so long."""
    due_at = now + round(seconds * 1000)
    if event.expires_at is not None and due_at >= event.expires_at:
        return TimeOver()
    return Wait(due_at)


def look_again_at(event: SignupEvent, since: int, now: int, tiers: Sequence[Tier]) -> int:
    """Return when to look again at a mail that an operator has paused `since` an instant.

    The tiers' shortest delay at first, a longer one once the pause has lasted for six of it, so
    that a long one of many mails costs few records. A mail whose time ends before is looked at
    then.
    """
    fitting = [tier for tier in tiers if now - since >= _LOOKS * tier.delay_ms]
    due_at = now + (fitting[-1] if fitting else tiers[0]).delay_ms
    return due_at if event.expires_at is None else min(due_at, event.expires_at)


def is_overdue(event: SignupEvent, now: int) -> bool:
    """Tell whether a mail has waited longer than its recipient's domain is waited for."""
    return now - max(event.occurred_at, event.not_before or 0) > LONGEST_PATIENCE_MS
