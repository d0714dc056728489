"""What the worker asks of whatever hands mails over."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from consumers.delivery.figures import RelayFigures
from consumers.delivery.message import Message
from retry_topics.failure import Outcome

#: Called when a mail's turn has come, before the relay hears of it; what it returns is awaited.
Begins = Callable[[], Awaitable[None] | None]


class Delivery(Protocol):
    """Hands one mail at a time to a relay; many calls may run at once."""

    async def send(self, message: Message, begins: Begins | None = None) -> Outcome:
        """Hand over one mail and say what came of it.

        Trouble with the relay is an outcome, never an exception. The mail may wait for long, for
        its relay's rate or for a connection. Until `begins` is called, which may be more than
        once, a call can be cancelled and nothing has happened; what `begins` raises goes on to the
        caller, likewise. A call that is cancelled later gives up its connection; whether the mail
        was accepted is unknown then.
        """

    def figures(self) -> Sequence[RelayFigures]:
        """Return how each relay stands. From any thread."""

    async def close(self) -> None:
        """Give up every connection. Calls that still run end with a connection failure."""
