"""Who mails come from, and where what cannot be delivered goes back to."""

import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import idna

from consumers.delivery.headers import one_line
from schemas.identity import lane_key, mail_id

#: An address as the event promises it: no blanks, controls, brackets or quotes, one @.
_MAILBOX: Final = re.compile(r'[^\x00-\x20\x7f-\x9f\u2028\u2029<>()\[\]\\,:;"@]+@[A-Za-z0-9.-]+')
_LONGEST_MAILBOX: Final = 320
_LONGEST_LOCAL: Final = 64
_SENDER: Final = re.compile(r"(?P<name>[^<>]*?)\s*<(?P<address>[^<>\s]+)>|(?P<bare>[^<>\s]+)")
#: What stands for a mail's public id in a return path, and an id to try one with.
_ID: Final = "{id}"
_SOME_ID: Final = "a" * 32


class InvalidSender(ValueError):
    """A text is no mailbox that mails can come from or go back to."""


def is_mailbox(address: str) -> bool:
    """Tell whether an address can stand in a header and in an envelope as it is."""
    return len(address) <= _LONGEST_MAILBOX and _MAILBOX.fullmatch(address) is not None


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
        name = match["name"] or ""
        if name.startswith('"') and name.endswith('"') and len(name) > 1:
            name = re.sub(r"\\(.)", r"\1", name[1:-1])
        return cls(_address(match["bare"] or match["address"]), one_line(name))

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class ReturnPath:
    """The envelope sender of every mail (RFC 5321, 4.4): where bounces go.

    With `{id}` in its local part each mail has its own, by its public id, so that a bounce tells
    which mail it is about.
    """

    address: str

    @classmethod
    def parse(cls, text: str) -> "ReturnPath":
        """Read an address; the domain becomes its A-label.

        Raises:
            InvalidSender: the text is no address, or too long once it has an id in it.
        """
        if not text.isprintable():
            raise InvalidSender(f"{text!r} holds control characters")
        address = _address(text.strip())
        local, _, domain = address.rpartition("@")
        if _ID in domain or local.count(_ID) > 1:
            raise InvalidSender(f"{text!r} may have {_ID} once, before the @")
        filled = local.replace(_ID, _SOME_ID)
        if "{" in filled or "}" in filled:
            raise InvalidSender(f"{text!r} has braces that are not {_ID}")
        if len(filled) > _LONGEST_LOCAL:
            raise InvalidSender(
                f"{text!r} has {len(filled)} characters before the @ with a mail's id; "
                f"{_LONGEST_LOCAL} are allowed"
            )
        return cls(address)

    def of(self, event_id: UUID, recipient: str) -> str:
        """Return the envelope sender of one mail."""
        if _ID not in self.address:
            return self.address
        return self.address.replace(_ID, mail_id(event_id, lane_key(recipient)))


def _address(text: str) -> str:
    local, _, domain = text.rpartition("@")
    try:
        address = f"{local}@{idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError as error:
        raise InvalidSender(f"{domain!r} is not a domain name") from error
    if not is_mailbox(address):
        raise InvalidSender(f"{address!r} is not an address that every relay accepts")
    return address
