"""What all mails of a deployment have in common: who they come from, where bounces go."""

from dataclasses import dataclass

from consumers.delivery.sender import InvalidSender, ReturnPath, Sender
from runtime.settings import Settings, env_name


class UnfitLetterhead(ValueError):
    """A setting that every mail needs cannot be used; the message names it."""


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What stands on every mail.

    Without a `return_path` bounces go to the sender; without an `idempotency_header` there is none.
    """

    sender: Sender
    return_path: ReturnPath | None = None
    idempotency_header: str | None = None


def letterhead_of(settings: Settings) -> Letterhead:
    """Read the letterhead.

    Raises:
        UnfitLetterhead: a setting cannot be used.
    """
    try:
        sender = Sender.parse(settings.mail_from)
    except InvalidSender as error:
        raise UnfitLetterhead(f"{env_name('mail_from')}: {error}") from error
    return Letterhead(sender, _return_path(settings.return_path), settings.idempotency_header)


def _return_path(text: str | None) -> ReturnPath | None:
    if text is None:
        return None
    try:
        return ReturnPath.parse(text)
    except InvalidSender as error:
        raise UnfitLetterhead(f"{env_name('return_path')}: {error}") from error
