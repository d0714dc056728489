"""Builds the bytes of one mail from its rendered texts, by hand and always the same.

`email.message.EmailMessage` needs about a millisecond for what takes some ten microseconds here;
tests hold the two to the same result. Nothing but the event and the sender goes in: no clock, no
randomness, so every attempt of a mail has the same bytes.
"""

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final
from uuid import UUID

import idna

from consumers.delivery.body import text_part
from consumers.delivery.headers import date, one_line, phrase, unstructured
from consumers.delivery.message import Message
from consumers.delivery.render import Rendered, Unrenderable
from schemas.events import Recipient, SignupEvent

#: An address as the event promises it: no blanks, controls, brackets or quotes, one @.
_MAILBOX: Final = re.compile(r'[^\x00-\x20\x7f-\x9f\u2028\u2029<>()\[\]\\,:;"@]+@[A-Za-z0-9.-]+')
_LONGEST_MAILBOX: Final = 320
_SENDER: Final = re.compile(r"(?P<name>[^<>]*?)\s*<(?P<address>[^<>\s]+)>|(?P<bare>[^<>\s]+)")


class InvalidSender(ValueError):
    """The sender's mailbox cannot stand in a From header."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who mails come from. `domain` stands in every Message-ID."""

    address: str
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> "Sender":
        """Read `Name <local@domain>` or a bare address; the domain becomes its A-label.

        Raises:
            InvalidSender: the text is not one mailbox.
        """
        if not text.isprintable():
            raise InvalidSender(f"{text!r} holds control characters")
        match = _SENDER.fullmatch(text.strip())
        if match is None:
            raise InvalidSender(f"{text!r} is not one mailbox such as Name <local@domain>")
        local, _, domain = (match["bare"] or match["address"]).rpartition("@")
        try:
            address = f"{local}@{idna.encode(domain, uts46=True).decode()}"
        except idna.IDNAError as error:
            raise InvalidSender(f"{domain!r} is not a domain name") from error
        if len(address) > _LONGEST_MAILBOX or not _MAILBOX.fullmatch(address):
            raise InvalidSender(f"{address!r} is not an address that every relay accepts")
        name = match["name"] or ""
        if name.startswith('"') and name.endswith('"') and len(name) > 1:
            name = re.sub(r"\\(.)", r"\1", name[1:-1])
        return cls(address=address, name=one_line(name))

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


def mailbox(address: str, name: str | None) -> bytes:
    """Return `name <address>` for a header, or the bare address."""
    raw = address.encode("utf-8", "replace")
    shown = phrase(one_line(name)) if name else b""
    if not shown:
        return raw
    # A line with encoded words holds 76 characters at most, so the address starts its own.
    fold = b"\r\n " if shown.startswith(b"=?") else b" "
    return b"%b%b<%b>" % (shown, fold, raw)


class MimeBuilder:
    """Builds mails from one sender."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._head = b"From: %b\r\nTo: " % mailbox(sender.address, sender.name)

    def build(self, event: SignupEvent, rendered: Rendered) -> Message:
        """Return the mail.

        Raises:
            Unrenderable: the recipient's address cannot stand in a header or an envelope.
        """
        token = _token(event.event_id)
        boundary = b"=_" + token[:32].encode("ascii")
        message_id = f"<{token}@{self._sender.domain}>"
        content = b"".join(
            (
                self._head,
                _recipient(event.recipient),
                b"\r\nSubject: ",
                unstructured(one_line(rendered.subject)),
                b"\r\nDate: ",
                date(event.occurred_at),
                b"\r\nMessage-ID: ",
                message_id.encode("ascii"),
                b"\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                b'Content-Type: multipart/alternative; boundary="',
                boundary,
                b'"\r\n\r\n--',
                boundary,
                b"\r\n",
                text_part(b"plain", rendered.text),
                b"\r\n--",
                boundary,
                b"\r\n",
                text_part(b"html", rendered.html),
                b"\r\n--",
                boundary,
                b"--\r\n",
            )
        )
        return Message(message_id, self._sender.address, event.recipient.address, content)


def build(event: SignupEvent, rendered: Rendered, sender: Sender) -> Message:
    """Build one mail; `MimeBuilder` is the way to build many.

    Raises:
        Unrenderable: the recipient's address cannot stand in a header or an envelope.
    """
    return MimeBuilder(sender).build(event, rendered)


def _recipient(recipient: Recipient) -> bytes:
    address = recipient.address
    if len(address) > _LONGEST_MAILBOX or not _MAILBOX.fullmatch(address):
        raise Unrenderable("the recipient's address is not a mailbox with an ASCII domain")
    return mailbox(address, recipient.name)


def _token(event_id: UUID) -> str:
    """Return 40 hexadecimal digits that stand for the event without giving its id away."""
    return blake2b(event_id.bytes, digest_size=20, person=b"mc-message-id").hexdigest()
