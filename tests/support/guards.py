"""Guards for tests: breakers without chance, and what they tell."""

from collections.abc import Mapping

from consumers.delivery.blame import Blame
from consumers.delivery.breaker import Outage, Recovery
from consumers.delivery.guard import RECOVERIES, Guard
from runtime.clock import Clock
from tests.support.clock import ManualClock

Told = list[tuple[Blame, str, Outage | None]]


def guard_with(
    clock: Clock | None = None, recoveries: Mapping[Blame, Recovery] = RECOVERIES
) -> tuple[Guard, Told]:
    """Return a guard whose pauses are as long as they can be, and what it is going to tell."""
    told: Told = []
    guard = Guard(clock or ManualClock(), lambda: 1.0, lambda *news: told.append(news), recoveries)
    return guard, told
