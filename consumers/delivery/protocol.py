"""What the worker asks of whatever hands mails over."""

from typing import Protocol

from consumers.delivery.message import Message
from retry_topics.failure import Outcome


class Delivery(Protocol):
    """Hands one mail at a time to a relay; many calls may run at once."""

    async def send(self, message: Message) -> Outcome:
        """Hand over one mail and say what came of it.

        Trouble with the relay is an outcome, never an exception. A cancelled call gives up its
        connection; whether the mail was accepted is unknown then.
        """

    async def close(self) -> None:
        """Give up every connection. Calls that still run end with a connection failure."""
