"""What all mails of a deployment have in common: who they come from, where bounces go."""

from dataclasses import dataclass
from typing import Protocol

from consumers.delivery.sender import InvalidSender, ReturnPath, Sender
from runtime.settings import Settings, env_name
from schemas.url_patterns import InvalidPattern, UrlPattern


class UnfitLetterhead(ValueError):
    """A setting that every mail needs cannot be used; the message names it."""


class Signer(Protocol):
    """Signs mails, the same one always to the same bytes."""

    def sign(self, content: bytes, at: int) -> bytes:
        """Return the complete mail, signed `at` so many seconds since 1970."""
        ...


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What stands on every mail.

    Without a `return_path` bounces go to the sender; without an `idempotency_header` there is none.
    `unsubscribe_url` is for templates without their own.
    """

    sender: Sender
    return_path: ReturnPath | None = None
    idempotency_header: str | None = None
    unsubscribe_url: UrlPattern | None = None


def letterhead_of(settings: Settings) -> Letterhead:
    """Read the letterhead.

    Raises:
        UnfitLetterhead: a setting cannot be used.
    """
    try:
        sender = Sender.parse(settings.mail_from)
    except InvalidSender as error:
        raise UnfitLetterhead(f"{env_name('mail_from')}: {error}") from error
    return Letterhead(
        sender,
        _return_path(settings.return_path),
        settings.idempotency_header,
        _unsubscribe_url(settings.unsubscribe_url),
    )


def _return_path(text: str | None) -> ReturnPath | None:
    if text is None:
        return None
    try:
        return ReturnPath.parse(text)
    except InvalidSender as error:
        raise UnfitLetterhead(f"{env_name('return_path')}: {error}") from error


def _unsubscribe_url(text: str | None) -> UrlPattern | None:
    if text is None:
        return None
    try:
        return UrlPattern.parse(text)
    except InvalidPattern as error:
        raise UnfitLetterhead(f"{env_name('unsubscribe_url')}: {error}") from error


def signer_of(settings: Settings) -> Signer | None:
    """Read the keys that sign mails; None: there are none.

    Raises:
        UnfitLetterhead: one cannot be read, or is none that can sign.
    """
    if not settings.dkim_keys:
        return None
    # Loaded here, so that a worker that signs nothing does not carry the cryptography.
    from consumers.delivery.dkim import KeyPlace, UnfitKey  # noqa: PLC0415
    from consumers.delivery.dkim import Signer as DkimSigner  # noqa: PLC0415

    try:
        return DkimSigner([KeyPlace.parse(key) for key in settings.dkim_keys])
    except UnfitKey as error:
        raise UnfitLetterhead(f"{env_name('dkim_keys')}: {error}") from error
