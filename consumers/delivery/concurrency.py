"""How many connections a relay likes: one more while it takes mail, half as many at a throttle.

Additive increase, multiplicative decrease, as TCP does it: a limit that many workers find without
knowing of each other. Pure: it counts outcomes and asks no clock.
"""

from typing import Final

from retry_topics.failure import Failure, FailureClass, Outcome, Scope

_CLOSING: Final = 421
_TEMPORARY_LOGIN: Final = 454
_DEFERRED: Final = (450, "4.2.1")
_DECREASE: Final = 0.5


def is_throttle(outcome: Outcome) -> bool:
    """Tell whether a relay says that we ask too much of it, and not that a recipient does."""
    if not isinstance(outcome, Failure) or outcome.scope is Scope.RECIPIENT:
        return False
    return (
        outcome.kind is FailureClass.THROTTLE
        or outcome.code in (_CLOSING, _TEMPORARY_LOGIN)
        or (outcome.code, outcome.enhanced) == _DEFERRED
    )


class Concurrency:
    """The limit of one relay's connections, from 1 to `most`, where it begins."""

    def __init__(self, most: int) -> None:
        self.most = most
        #: Connections that there may be.
        self.limit = most
        self._exact = float(most)
        self.round = 0

    def accepted(self) -> None:
        """Note a mail that was taken: as many of them as there are connections allow one more."""
        if self._exact < self.most:
            self._set(min(float(self.most), self._exact + 1 / self._exact))

    def throttled(self, begun_in: int) -> None:
        """Note a throttle of what began in a round. Those of one round count once."""
        if begun_in == self.round:
            self.round += 1
            self._set(max(1.0, self._exact * _DECREASE))

    def crowded(self, standing: int) -> None:
        """Note that the relay takes no connection beside those that stand."""
        self.round += 1
        self._set(float(max(1, min(standing, self.limit))))

    def _set(self, exact: float) -> None:
        self._exact, self.limit = exact, int(exact)
