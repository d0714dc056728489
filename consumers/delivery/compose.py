"""From an event to the mail that it asks for."""

from consumers.delivery.letterhead import Letterhead, Signer
from consumers.delivery.message import Message
from consumers.delivery.mime import Frame
from consumers.delivery.render import Renderer
from consumers.delivery.sender import ReturnPath
from consumers.delivery.unsubscribe import (
    VARIABLE,
    unsubscribe_headers,
    unsubscribe_patterns,
    unsubscribe_url,
)
from schemas.catalogue import Catalogue
from schemas.events import SignupEvent


class Composer:
    """Composes the mails of one catalogue; the same event always gives the same bytes."""

    def __init__(
        self, catalogue: Catalogue, letterhead: Letterhead, signer: Signer | None = None
    ) -> None:
        """Compile every template in each of its locales. Without a `signer` mails go unsigned.

        Raises:
            BrokenCatalogue: one line for each thing that is wrong with any of them.
        """
        self._renderer = Renderer(catalogue)
        self._unsubscribe = unsubscribe_patterns(catalogue, letterhead.unsubscribe_url)
        self._signer = signer
        self._return_path = letterhead.return_path or ReturnPath(letterhead.sender.address)
        self._frames = {
            name: Frame(name, letterhead.sender, letterhead.idempotency_header)
            for name in catalogue.names
        }

    def compose(self, event: SignupEvent, generation: int) -> Message:
        """Return the event's mail; `generation` counts how often people had it sent again.

        Raises:
            UnknownTemplate: the catalogue has no such template.
            Unrenderable: the event cannot become a mail.
        """
        pattern = self._unsubscribe.get(event.template)
        if pattern is None:
            rendered, headers = self._renderer.render(event), b""
        else:
            url = unsubscribe_url(pattern, event)
            rendered = self._renderer.render(event, {VARIABLE: url})
            headers = unsubscribe_headers(url)
        mail = self._frames[event.template].assemble(event, generation, rendered, headers)
        content, is_plain = mail.content, mail.is_plain
        if self._signer is not None:
            content, is_plain = self._signer.sign(content, mail.dated_ms // 1000), False
        address = event.recipient.address
        sender = self._return_path.of(event.event_id, address)
        return Message(mail.message_id, sender, address, content, is_plain)
