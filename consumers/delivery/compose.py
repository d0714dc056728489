"""From an event to the mail that it asks for."""

from consumers.delivery.message import Message
from consumers.delivery.mime import MimeBuilder, Sender
from consumers.delivery.render import Renderer
from schemas.events import SignupEvent


class Composer:
    """Composes mails from one sender; the same event always gives the same bytes."""

    def __init__(self, renderer: Renderer, sender: Sender) -> None:
        self._renderer = renderer
        self._builder = MimeBuilder(sender)

    def compose(self, event: SignupEvent) -> Message:
        """Return the event's mail.

        Raises:
            UnknownTemplate: the catalogue has no such template.
            Unrenderable: the event cannot become a mail.
        """
        return self._builder.build(event, self._renderer.render(event))
