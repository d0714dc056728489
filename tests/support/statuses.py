"""A status view in memory, and mails to put into it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from uuid import UUID

from consumers.status.letters import LetterCounts
from consumers.status.reader import (
    Cursor,
    HistoryItem,
    MailStatus,
    StatusPage,
    StatusQuery,
    StatusUnavailable,
)
from schemas.identity import lane_key, mail_id, parse_mail_id
from schemas.mail_states import MailState
from schemas.outages import KnownOutage, WorkerOutages
from schemas.privacy import mask_address
from schemas.switches import Switches

ADDRESS = "ada@example.com"
EVENT_ID = UUID(int=7)
LANE_KEY = lane_key(ADDRESS)
MAIL_ID = mail_id(EVENT_ID, LANE_KEY)
#: 2027-01-15T08:00:00Z
ACCEPTED_AT = 1_800_000_000_000

ITEM = HistoryItem(
    at=ACCEPTED_AT + 62_000,
    state=MailState.RETRY,
    generation=0,
    attempts=2,
    due_at=ACCEPTED_AT + 662_000,
    worker="w1",
    reason="",
    text="try later",
    phase="rcpt",
    rule="greylisted",
    code=451,
    enhanced="4.7.1",
)
MAIL = MailStatus(
    mail_id=MAIL_ID,
    state=MailState.RETRY,
    tenant="shop",
    template="welcome",
    recipient=mask_address(ADDRESS),
    accepted_at=ACCEPTED_AT,
    updated_at=ITEM.at,
    due_at=ITEM.due_at,
    not_before=None,
    expires_at=None,
    attempts=2,
    generation=0,
    reason="",
    text=ITEM.text,
    code=ITEM.code,
    enhanced=ITEM.enhanced,
    rule=ITEM.rule,
    cancel_requested_at=None,
    history=(ITEM,),
    history_omitted=0,
)

RELAY_OUT = KnownOutage(
    "relay", "smtp.example:587", "535 5.7.8 Bad credentials", "auth", ACCEPTED_AT + 1_000, True
)


def quiet(state: MailState, mail: MailStatus = MAIL) -> MailStatus:
    """Return the mail in another state, with nothing that was said about it."""
    return replace(
        mail, state=state, due_at=None, attempts=0, text="", code=None, enhanced=None, rule=""
    )


@dataclass
class MemoryStatuses:
    """Answers from `mails`; `down` says why it cannot, `before` is called with each question."""

    mails: list[MailStatus] = field(default_factory=list)
    asked: list[StatusQuery] = field(default_factory=list)
    next: Cursor | None = None
    down: str = ""
    before: Callable[[], None] = lambda: None
    closed: bool = False
    told: tuple[WorkerOutages, ...] = ()
    off: Switches = field(default_factory=Switches)
    counts: LetterCounts = field(default_factory=lambda: LetterCounts({}, ()))

    def mail(self, event_id: UUID, now: int | None = None) -> MailStatus | None:
        """Return the mail with this id."""
        self._answer()
        named = (mail for mail in self.mails if parse_mail_id(mail.mail_id)[0] == event_id)
        return next(named, None)

    def find(self, query: StatusQuery, now: int) -> StatusPage:
        """Return every mail, whatever is asked, and keep the question."""
        self._answer()
        self.asked.append(query)
        return StatusPage(
            tuple(replace(mail, history=()) for mail in self.mails[: query.limit]), self.next
        )

    def outages(self, now: int) -> tuple[WorkerOutages, ...]:
        """Return what is out in the workers."""
        self._answer()
        return self.told

    def switches(self) -> Switches:
        """Return what operators have paused."""
        self._answer()
        return self.off

    def letters(self) -> LetterCounts:
        """Return the counts of dead letters."""
        self._answer()
        return self.counts

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def _answer(self) -> None:
        self.before()
        if self.down:
            raise StatusUnavailable(self.down)
