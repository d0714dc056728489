"""Whether a mail may be sent now: its time has come, is still to come, or is over."""

from dataclasses import dataclass

from retry_topics.headers import Journey
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


def triage(event: SignupEvent, journey: Journey, now: int) -> Verdict:
    """Decide by the clock alone. A mail that would only become due after its end is over now."""
    due_at = max(event.not_before or 0, journey.due_at or 0)
    if event.expires_at is not None and max(now, due_at) >= event.expires_at:
        return TimeOver()
    return Wait(due_at) if due_at > now else Proceed()
