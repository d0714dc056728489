"""Assembles the bytes of one mail from parts that are made beforehand, and always the same.

`email.message.EmailMessage` needs about a millisecond for what takes some ten microseconds here;
tests hold the two to the same result. Nothing but the event, the texts and the letterhead goes in:
no clock, no randomness, so every attempt of a mail has the same bytes.
"""

from hashlib import blake2b
from typing import Final
from uuid import UUID

from msgspec import Struct

from consumers.delivery.body import TextPart
from consumers.delivery.headers import date, one_line, phrase, unstructured
from consumers.delivery.render import Rendered, Unrenderable
from consumers.delivery.sender import Sender, is_mailbox
from schemas.events import Recipient, SignupEvent

_AUTOMATIC: Final = b"\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
_PLAIN: Final = TextPart(b"plain")
_HTML: Final = TextPart(b"html")


def mailbox(address: str, name: str | None) -> bytes:
    """Return `name <address>` for a header, or the bare address."""
    raw = address.encode("utf-8", "replace")
    shown = phrase(one_line(name)) if name else b""
    if not shown:
        return raw
    # A line with encoded words holds 76 characters at most, so the address starts its own.
    fold = b"\r\n " if shown.startswith(b"=?") else b" "
    return b"%b%b<%b>" % (shown, fold, raw)


class Assembled(Struct, frozen=True, gc=False):
    """A mail's bytes, its Message-ID with the angle brackets, and its date in Unix milliseconds.

    `is_plain` as `Message` has it.
    """

    message_id: str
    dated_ms: int
    content: bytes
    is_plain: bool


class Frame:
    """What the mails of one template have in common, as bytes: all but their texts and addresses.

    Texts cannot hold what starts a boundary line (see `TextPart`), so one boundary does for all.
    """

    def __init__(self, template: str, sender: Sender, idempotency_header: str | None) -> None:
        boundary = b"=_" + blake2b(template.encode(), digest_size=12).hexdigest().encode("ascii")
        self._head = b"From: %b\r\nTo: " % mailbox(sender.address, sender.name)
        self._domain = sender.domain
        self._idempotency = b"\r\n%b: " % (idempotency_header or "").encode("ascii")
        self._is_idempotent = idempotency_header is not None
        #: A header's name may start with a dot, of all things.
        self._is_plain = not (idempotency_header or "").startswith(".")
        self._to_text = b'%bContent-Type: multipart/alternative; boundary="%b"\r\n\r\n--%b\r\n' % (
            _AUTOMATIC,
            boundary,
            boundary,
        )
        self._to_html = b"\r\n--%b\r\n" % boundary
        self._end = b"\r\n--%b--\r\n" % boundary

    def assemble(
        self, event: SignupEvent, generation: int, rendered: Rendered, extra: bytes = b""
    ) -> Assembled:
        """Return the mail. `extra` are further headers, each with CRLF before it.

        Raises:
            Unrenderable: the recipient's address cannot stand in a header or an envelope.
        """
        dated_ms = max(event.occurred_at, event.not_before or 0)
        message_id = f"<{_token(event.event_id)}@{self._domain}>"
        if self._is_idempotent:
            extra += self._idempotency + _once(event.event_id, generation)
        text, html = _PLAIN.of(rendered.text), _HTML.of(rendered.html)
        content = b"".join(
            (
                self._head,
                _recipient(event.recipient),
                b"\r\nSubject: ",
                unstructured(one_line(rendered.subject)),
                b"\r\nDate: ",
                date(dated_ms),
                b"\r\nMessage-ID: ",
                message_id.encode("ascii"),
                extra,
                self._to_text,
                text.content,
                self._to_html,
                html.content,
                self._end,
            )
        )
        is_plain = self._is_plain and text.is_plain and html.is_plain
        return Assembled(message_id, dated_ms, content, is_plain)


def _recipient(recipient: Recipient) -> bytes:
    if not is_mailbox(recipient.address):
        raise Unrenderable("the recipient's address is not a mailbox with an ASCII domain")
    return mailbox(recipient.address, recipient.name)


def _token(event_id: UUID) -> str:
    """Return 40 hexadecimal digits that stand for the event without giving its id away."""
    return blake2b(event_id.bytes, digest_size=20, person=b"mc-message-id").hexdigest()


def _once(event_id: UUID, generation: int) -> bytes:
    """Return 40 hexadecimal digits, the same for every attempt of one generation of a mail.

    A person who sends a mail again wants it sent: a relay that has seen its key would swallow it.
    """
    what = b"%b%d" % (event_id.bytes, generation)
    return blake2b(what, digest_size=20, person=b"mc-idempotency").hexdigest().encode("ascii")
