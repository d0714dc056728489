"""A mail as it goes to a relay: its envelope and its bytes."""

import re

from msgspec import Struct

_LINE_END = re.compile(rb"\r\n|\r|\n")


class Message(Struct, frozen=True, gc=False):
    """One mail to one mailbox.

    `content` is a complete RFC 5322 message with CRLF line ends, not dot-stuffed. `message_id` is
    the Message-ID header's value, angle brackets included. `is_plain`: whoever made the content
    vouches for its line ends, and that no line starts with a dot.
    """

    message_id: str
    envelope_from: str
    envelope_to: str
    content: bytes
    is_plain: bool = False

    @property
    def needs_smtputf8(self) -> bool:
        """Tell whether an address cannot be written in ASCII, so that SMTPUTF8 must be there."""
        return not (self.envelope_from.isascii() and self.envelope_to.isascii())

    def wire_form(self) -> bytes:
        """Return what follows the 354 reply: dot-stuffed, CRLF only, with the final dot.

        Content that breaks the line-end promise is mended: a bare CR or LF would let one mail
        smuggle another past the relay.
        """
        content = self.content
        if self.is_plain:
            return content + b".\r\n"
        pairs = content.count(b"\r\n")
        if content.count(b"\n") != pairs or content.count(b"\r") != pairs:
            content = _LINE_END.sub(b"\r\n", content)
        if not content.endswith(b"\r\n"):
            content += b"\r\n"
        stuffed = content.replace(b"\r\n.", b"\r\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        return stuffed + b".\r\n"
