"""What a failure leads to: another attempt through a tier, the dead-letter topic, or expiry."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from retry_topics.failure import Ambiguous, Failure, FailureClass
from retry_topics.topology import Tier


class DeadReason(StrEnum):
    """Why a record ended on the dead-letter topic."""

    REFUSED = "refused"
    EXHAUSTED = "exhausted"
    UNDECODABLE = "undecodable"
    UNKNOWN_TEMPLATE = "unknown_template"
    UNRENDERABLE = "unrenderable"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again at `due_at`, milliseconds since the epoch."""

    due_at: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Do not try again by ourselves."""

    reason: DeadReason


@dataclass(frozen=True, slots=True)
class Expire:
    """The next attempt would come after the mail's time is over; nothing more happens to it."""


Decision = RetryAt | DeadLetter | Expire


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Every failure takes the next tier, once each; a failure after the last one is dead."""

    tiers: Sequence[Tier]

    def decide(
        self, failure: Failure | Ambiguous, attempts: int, now: int, expires_at: int | None
    ) -> Decision:
        """Decide about a mail whose attempt number `attempts` (from 1) failed at `now`.

        A delay that the relay asked for is honoured where it is longer than the tier's. An
        ambiguous attempt waits at least as long as the second tier: its copy may be on its way.
        """
        if isinstance(failure, Failure) and failure.kind is FailureClass.PERMANENT:
            return DeadLetter(DeadReason.REFUSED)
        if attempts > len(self.tiers):
            return DeadLetter(DeadReason.EXHAUSTED)
        due_at = now + self._delay(failure, attempts)
        if expires_at is not None and due_at >= expires_at:
            return Expire()
        return RetryAt(due_at)

    def _delay(self, failure: Failure | Ambiguous, attempts: int) -> int:
        delay = self.tiers[attempts - 1].delay_ms
        if isinstance(failure, Ambiguous):
            return max(delay, self.tiers[min(1, len(self.tiers) - 1)].delay_ms)
        return max(delay, failure.retry_after_ms or 0)
