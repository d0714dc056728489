"""A rate that is not exceeded: tells each mail how long it has to wait. Pure."""

from collections.abc import Callable


class Pace:
    """Spaces mails evenly, with what one second allows as the largest burst.

    `share` says which part of the rate is ours, from 0 to 1; it is asked for every mail.
    """

    def __init__(self, per_second: float, share: Callable[[], float]) -> None:
        self._per_second = per_second
        self._share = share
        self._next = 0.0

    def reserve(self, now: float) -> float:
        """Take the next place, and return the seconds until it comes.

        With no share at all the whole rate counts: whoever still has mails in hand may end them.
        """
        rate = self._per_second * (self._share() or 1.0)
        burst = max(0.0, 1.0 - 1.0 / rate)
        place = max(self._next, now - burst)
        self._next = place + 1.0 / rate
        return max(0.0, place - now)
