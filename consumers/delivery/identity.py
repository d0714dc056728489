"""Who a mail is from, as relays judge it: the mailbox in its From header."""

import re
from email.utils import parseaddr
from typing import Final

from consumers.delivery.message import Message

_FROM: Final = re.compile(rb"(?:\A|\r\n)From:[ \t]*([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.IGNORECASE)


def identity_of(message: Message) -> str:
    """Return the address in lower case; the envelope's where the mail has no From header."""
    head = message.content.partition(b"\r\n\r\n")[0]
    found = _FROM.search(head)
    address = parseaddr(found[1].decode("utf-8", "replace"))[1] if found else ""
    return (address or message.envelope_from).lower()
