"""The caught mails, in memory and bounded, and counts of everything that ever happened."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from typing import Final

DEFAULT_LIMIT: Final = 10_000


@dataclass(frozen=True, slots=True)
class CaughtMail:
    """One accepted mail. `number` counts from 1 and is never used again."""

    number: int
    received_at: int
    envelope_from: str
    recipients: tuple[str, ...]
    content: bytes
    subject: str
    message_id: str

    def parsed(self) -> EmailMessage:
        """Return the mail as the standard library reads it."""
        return parse(self.content)


@dataclass(frozen=True, slots=True)
class Envelope:
    """Sender and recipients as they were named in the SMTP dialogue."""

    sender: str
    recipients: tuple[str, ...]


@dataclass(slots=True)
class Summary:
    """Counts since the start: they go on when old mails are forgotten."""

    accepted: int = 0
    dropped: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class MailStore:
    """Keeps the newest mails. Safe to use from several threads."""

    def __init__(self, now_ms: Callable[[], int], limit: int = DEFAULT_LIMIT) -> None:
        self._now_ms = now_ms
        self._mails: deque[CaughtMail] = deque(maxlen=limit)
        self._summary = Summary()
        self._attempts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, envelope: Envelope, content: bytes) -> CaughtMail:
        """Keep an accepted mail, forgetting the oldest one when the store is full."""
        headers = parse(content, headers_only=True)
        received_at = self._now_ms()
        with self._lock:
            self._summary.accepted += 1
            mail = CaughtMail(
                number=self._summary.accepted,
                received_at=received_at,
                envelope_from=envelope.sender,
                recipients=envelope.recipients,
                content=content,
                subject=str(headers.get("Subject", "")),
                message_id=str(headers.get("Message-ID", "")),
            )
            self._mails.append(mail)
        return mail

    def count_attempt(self, address: str) -> int:
        """Return how many attempts at the address there were before this one."""
        with self._lock:
            before = self._attempts[address]
            self._attempts[address] += 1
        return before

    def count_refusal(self, reply: str) -> None:
        """Note a recipient that was refused with this reply."""
        with self._lock:
            self._summary.refused[reply[:3]] += 1

    def count_drop(self) -> None:
        """Note a mail whose connection was broken after the final dot."""
        with self._lock:
            self._summary.dropped += 1

    def mails(self) -> list[CaughtMail]:
        """Return what is kept, oldest first."""
        with self._lock:
            return list(self._mails)

    def get(self, number: int) -> CaughtMail | None:
        """Return one mail, None where it never was or is forgotten."""
        return next((mail for mail in self.mails() if mail.number == number), None)

    def to(self, address: str) -> list[CaughtMail]:
        """Return the kept mails to one recipient, oldest first."""
        wanted = address.casefold()
        return [mail for mail in self.mails() if wanted in _folded(mail.recipients)]

    def summary(self) -> Summary:
        """Return the counts of this moment."""
        with self._lock:
            now = self._summary
            return Summary(now.accepted, now.dropped, Counter(now.refused))


def parse(content: bytes, *, headers_only: bool = False) -> EmailMessage:
    """Read a mail; what is malformed in it stays visible as text."""
    return BytesParser(policy=default).parsebytes(content, headersonly=headers_only)


def _folded(addresses: Iterable[str]) -> set[str]:
    return {address.casefold() for address in addresses}
