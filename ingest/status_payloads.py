"""What clients and programs are told about a mail. Instants are RFC 3339 in UTC."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from consumers.status.letters import LetterState, LetterStatus
from consumers.status.reader import HistoryItem, MailStatus, StatusPage
from consumers.status.summary import NOT_KNOWN, in_time, item_summary, summary_of
from ingest.outbox import status_url
from schemas.instants import write_instant
from schemas.mail_states import MailState
from schemas.switches import PAUSED

Instant = Annotated[str, Meta(examples=["2031-01-31T09:00:00.000Z"])]

CANCELLING: Final = "its cancellation is asked for; it counts if the mail has not been sent before"


class Attempts(Struct, frozen=True):
    """Failed attempts that count: those used up, and how many a mail has before it is given up."""

    used: int
    max: int


class LastReply(Struct, frozen=True):
    """What was said last: by the relay, or by us. `rule` classified it, `phase` is where it was."""

    text: str
    code: int | None
    enhanced: str | None
    rule: str | None
    phase: str | None


class WaitsFor(Struct, frozen=True):
    """What keeps the mail: a relay, a sender or a registry that is out, or an operator's pause."""

    kind: str
    what: str
    reason: str
    since: Instant


class DeadLetter(Struct, frozen=True):
    """A record of the mail on the dead-letter topic: what it is, since when, and by which job."""

    position: Annotated[str, Meta(examples=["3:1204"])]
    state: Annotated[str, Meta(examples=[state.value for state in LetterState])]
    at: Instant
    job: str | None
    reason: str | None


class Cancellation(Struct, frozen=True):
    """When it was asked for, and whether that was in time; null: it is not decided yet."""

    requested_at: Instant | None
    in_time: bool | None


class HistoryEntry(Struct, frozen=True):
    """One change of the mail's state. `generation` counts how often a person sent it again."""

    at: Instant
    state: str
    summary: str
    generation: int
    attempts: int
    due_at: Instant | None
    reason: str | None
    text: str | None
    code: int | None
    enhanced: str | None
    phase: str | None
    rule: str | None


class ListedMail(Struct, frozen=True, kw_only=True):
    """A mail without its history. `summary` says it in one sentence for people."""

    id: str
    status_url: str
    state: Annotated[str, Meta(examples=[state.value for state in MailState])]
    summary: str
    template: str | None = None
    recipient: Annotated[str, Meta(description="Masked.", examples=["a***@example.com"])] | None = (
        None
    )
    accepted_at: Instant | None = None
    updated_at: Instant | None = None
    due_at: Instant | None = None
    not_before: Instant | None = None
    expires_at: Instant | None = None
    attempts: Attempts
    last: LastReply | None = None
    reason: str | None = None
    cancel: Cancellation | None = None
    waits_for: tuple[WaitsFor, ...] = ()
    dead_letters: tuple[DeadLetter, ...] = ()


class MailDetail(ListedMail, frozen=True, kw_only=True):
    """A mail with its history, oldest first; of a long one the middle is left out."""

    history: tuple[HistoryEntry, ...] = ()
    history_omitted: int = 0


class MailPage(Struct, frozen=True):
    """Mails, newest first. `next_cursor` asks for those after them; null: there are none."""

    emails: tuple[ListedMail, ...]
    next_cursor: str | None


class CancelAnswer(Struct, frozen=True):
    """What became of the demand to cancel a mail. `state` null: the status view is away."""

    id: str
    status_url: str
    state: str | None
    summary: str
    cancel: Cancellation


def detail_of(mail: MailStatus, retries: int) -> MailDetail:
    """Return a mail with its history; `retries` is the number of tiers."""
    history = tuple(_entry(item) for item in mail.history)
    return MailDetail(
        **_fields(mail, retries), history=history, history_omitted=mail.history_omitted
    )


def listed(mail: MailStatus, retries: int) -> ListedMail:
    """Return a mail as it stands in a list."""
    return ListedMail(**_fields(mail, retries))


def page_of(page: StatusPage, retries: int) -> MailPage:
    """Return a page of mails."""
    cursor = None if page.next is None else page.next.encode()
    return MailPage(tuple(listed(mail, retries) for mail in page.mails), cursor)


def unknown(mail_id: str, retries: int) -> MailDetail:
    """Return what is said of a mail that the view does not know (yet)."""
    return MailDetail(
        id=mail_id,
        status_url=status_url(mail_id),
        state=MailState.QUEUED,
        summary=NOT_KNOWN,
        attempts=Attempts(0, retries + 1),
    )


def cancelling(mail_id: str, state: MailState | None, at: int) -> CancelAnswer:
    """Return the answer to a demand that was written down."""
    demand = Cancellation(write_instant(at), None)
    return CancelAnswer(mail_id, status_url(mail_id), state, CANCELLING, demand)


def over(mail: MailStatus, retries: int) -> CancelAnswer:
    """Return the answer to a demand that changes nothing, because the mail is over."""
    demand = Cancellation(_instant(mail.cancel_requested_at), mail.state is MailState.CANCELLED)
    sentence = summary_of(mail, retries)
    return CancelAnswer(mail.mail_id, status_url(mail.mail_id), mail.state, sentence, demand)


def _fields(mail: MailStatus, retries: int) -> dict[str, Any]:
    asked = mail.cancel_requested_at
    return {
        "id": mail.mail_id,
        "status_url": status_url(mail.mail_id),
        "state": mail.state.value,
        "summary": summary_of(mail, retries),
        "template": mail.template or None,
        "recipient": mail.recipient or None,
        "accepted_at": _instant(mail.accepted_at),
        "updated_at": _instant(mail.updated_at),
        "due_at": _instant(mail.due_at),
        "not_before": _instant(mail.not_before),
        "expires_at": _instant(mail.expires_at),
        "attempts": Attempts(mail.attempts, retries + 1),
        "last": _last(mail),
        "reason": mail.reason or None,
        "cancel": None if asked is None else Cancellation(_instant(asked), in_time(mail)),
        "waits_for": tuple(_waits_for(mail)),
        "dead_letters": tuple(map(_letter, mail.letters)),
    }


def _waits_for(mail: MailStatus) -> Iterator[WaitsFor]:
    if mail.paused is not None:
        # Why, and who did it, is nothing for tenants.
        yield WaitsFor("operator", "", PAUSED, write_instant(mail.paused.since))
    for out in mail.waits_for:
        yield WaitsFor(out.kind, out.what, out.reason, write_instant(out.since))


def _letter(letter: LetterStatus) -> DeadLetter:
    return DeadLetter(
        str(letter.position),
        letter.state.value,
        write_instant(letter.at),
        letter.job or None,
        letter.reason or None,
    )


def _last(mail: MailStatus) -> LastReply | None:
    if mail.code is None and not mail.text:
        return None
    phase = _last_phase(mail.history)
    return LastReply(mail.text, mail.code, mail.enhanced, mail.rule or None, phase)


def _last_phase(history: Sequence[HistoryItem]) -> str | None:
    return next((item.phase for item in reversed(history) if item.phase), None)


def _entry(item: HistoryItem) -> HistoryEntry:
    return HistoryEntry(
        write_instant(item.at),
        item.state.value,
        item_summary(item),
        item.generation,
        item.attempts,
        _instant(item.due_at),
        item.reason or None,
        item.text or None,
        item.code,
        item.enhanced,
        item.phase or None,
        item.rule or None,
    )


def _instant(instant_ms: int | None) -> str | None:
    return None if instant_ms is None else write_instant(instant_ms)
