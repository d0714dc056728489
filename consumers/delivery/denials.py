"""Tells a relay that relays nothing any more from a recipient that it never relayed to. Pure."""

from typing import Final

#: So many different recipients in a row that are denied are the relay's fault.
RECIPIENTS: Final = 2
#: And so many denials in a row, of whomever.
DENIALS: Final = 3
#: The same recipient counts again after so many seconds: where little is sent, nobody else comes.
AGAIN_SECONDS: Final = 30.0


class Denials:
    """Recipients to which one relay would not relay, since it last took a mail."""

    def __init__(self) -> None:
        self._trusted = False
        self._count = 0
        self._denied: dict[str, float] = {}

    def denied(self, recipient: str, now: float) -> bool:
        """Note a denial, and tell whether the relay is to blame.

        A relay that has taken nothing yet is at once: that is a wrong setting, and not a mail's.
        """
        if now - self._denied.get(recipient, -AGAIN_SECONDS) >= AGAIN_SECONDS:
            self._denied[recipient] = now
            self._count += 1
        if self._trusted and len(self._denied) < RECIPIENTS and self._count < DENIALS:
            return False
        self._trusted = False
        self._forget()
        return True

    def accepted(self) -> None:
        """Note that the relay took a mail."""
        self._trusted = True
        if self._count:
            self._forget()

    def _forget(self) -> None:
        self._count = 0
        self._denied.clear()
