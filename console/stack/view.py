"""Asks the stack's status view: whether its projector is at work, and what became of mails."""

from types import TracebackType
from typing import Final, Self

from consumers.status.reader import (
    MailStatus,
    StatusQuery,
    StatusReader,
    StatusUnavailable,
    view_url,
)
from runtime.settings import Settings
from schemas.identity import parse_mail_id
from schemas.mail_states import MailState

_PAGE: Final = 1_000


class StackView:
    """A context manager around the reader of the view that these settings name."""

    def __init__(self, settings: Settings) -> None:
        key = settings.status_key
        secret = None if key is None else key.get_secret_value()
        self._reader = StatusReader(view_url(settings), secret)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._reader.close()

    def is_kept_since(self, instant_ms: int) -> bool:
        """Tell whether a projector has written to the view at this instant or later."""
        try:
            projected_at = self._reader.freshness().projected_at
        except StatusUnavailable:
            return False
        return projected_at is not None and projected_at >= instant_ms

    def states(self, now: int) -> dict[str, MailState]:
        """Return every mail's state by its id; raises StatusUnavailable."""
        found: dict[str, MailState] = {}
        query = StatusQuery(limit=_PAGE)
        while True:
            page = self._reader.find(query, now)
            found.update((mail.mail_id, mail.state) for mail in page.mails)
            if page.next is None:
                return found
            query = StatusQuery(limit=_PAGE, after=page.next)

    def mail(self, mail_id: str) -> MailStatus | None:
        """Return one mail with its history; raises StatusUnavailable."""
        event_id, _ = parse_mail_id(mail_id)
        return self._reader.mail(event_id)
