"""What a mail's status means, in one sentence for people; the API and the command line share it."""

from collections.abc import Callable, Mapping
from typing import Final

from consumers.status.letters import settled_words
from consumers.status.pauses import PUT_OFF
from consumers.status.reader import HistoryItem, MailStatus
from schemas.instants import show_instant
from schemas.mail_states import SETTLED, MailState
from schemas.outages import KnownOutage
from schemas.switches import Switch

#: What the view does not know may have been accepted a moment ago.
NOT_KNOWN: Final = "accepted a moment ago, or not one of ours: the status view does not know it yet"


#: What a mail waits for that is out, by the reason in its ledger entry.
_OUT: Final = {
    "domain-out": "recipient's domain, which refuses us,",
    "template-out": "template, whose content was refused too often,",
    "sender-out": "sender, which the relay refuses,",
}


def summary_of(mail: MailStatus, retries: int, *, reasons: bool = False) -> str:
    """Return the sentence; `retries` is how many tiers a mail can go through.

    With `reasons` it says why an operator has paused a mail, which is nothing for tenants.
    """
    sentence = _SENTENCES[mail.state](mail, retries)
    waits = (
        _waiting(mail) if mail.paused is None else f"; waits: {pause_line(mail.paused, reasons)}"
    )
    return sentence + _settled(mail) + waits + _cancellation(mail)


def item_summary(item: HistoryItem) -> str:
    """Return one change of a mail's state in a sentence."""
    tries = f" after {_failures(item.attempts)}" if item.attempts else ""
    reply = reply_of(item.code, item.enhanced, item.text)
    return f"{item.state}{tries}{_due(item.due_at)}" + (f": {reply}" if reply else "")


def reply_of(code: int | None, enhanced: str | None, text: str) -> str:
    """Return what a relay said as one line, such as `451 4.7.1 try later`; empty for nothing."""
    parts = (str(code) if code is not None else "", enhanced or "", text)
    return " ".join(part for part in parts if part)


def outage_line(outage: KnownOutage) -> str:
    """Return what is out, since when and why, such as `relay smtp.example:587 is out since ...`."""
    kind = "" if outage.what.endswith(f" {outage.kind}") else f"{outage.kind} "
    return f"{kind}{outage.what} is out since {show_instant(outage.since)}: {outage.reason}"


def pause_line(switch: Switch, reasons: bool) -> str:
    """Return since when an operator has paused a mail, with `reasons` also what, and why."""
    return f"{switch.words}: {switch.reason}" if reasons and switch.reason else switch.words


def in_time(mail: MailStatus) -> bool | None:
    """Tell whether a cancellation that was asked for stopped the mail; None: not decided yet."""
    if mail.cancel_requested_at is None:
        return None
    if mail.state is MailState.CANCELLED:
        return True
    return False if mail.state in SETTLED else None


def _queued(mail: MailStatus, _retries: int) -> str:
    what = "to be sent again" if mail.generation else "accepted"
    return what if mail.waits_for or mail.paused else f"{what}; no worker has taken it up yet"


def _scheduled(mail: MailStatus, _retries: int) -> str:
    if (what := _OUT.get(mail.reason)) is not None:
        return _said(f"waits for its {what}{_until(mail.due_at)}, without an attempt", mail)
    if mail.reason in PUT_OFF:
        if mail.paused is not None:
            return "kept back without an attempt"
        return f"was {mail.text}; its turn comes{_by(mail.due_at)}"
    instant = mail.not_before if mail.not_before is not None else mail.due_at
    return "scheduled" if instant is None else f"scheduled for {show_instant(instant)}"


def _retry(mail: MailStatus, retries: int) -> str:
    return _said(f"retry {mail.attempts} of {retries}{_due(mail.due_at)}", mail)


def _sending(_mail: MailStatus, _retries: int) -> str:
    return "being handed to the relay"


def _held(mail: MailStatus, _retries: int) -> str:
    return _said("held until a person releases or discards it", mail)


def _sent(mail: MailStatus, _retries: int) -> str:
    if mail.reason == "relay-suppressed":
        at = show_instant(mail.updated_at)
        return _said(f"taken by the relay at {at}, which suppresses its recipient", mail)
    return _said(f"accepted by the relay at {show_instant(mail.updated_at)}", mail)


def _dead(mail: MailStatus, _retries: int) -> str:
    return _said(f"given up after {_failures(mail.attempts)}", mail)


def _expired(mail: MailStatus, _retries: int) -> str:
    at = "" if mail.expires_at is None else f" at {show_instant(mail.expires_at)}"
    return _said(f"not sent: its time was over{at}", mail)


def _cancelled(mail: MailStatus, _retries: int) -> str:
    return f"cancelled at {show_instant(mail.updated_at)}, before it was sent"


def _suppressed(mail: MailStatus, _retries: int) -> str:
    return _said("not sent: its recipient gets no more mail", mail)


def _discarded(mail: MailStatus, _retries: int) -> str:
    return _said(f"discarded by {mail.reason or 'a person'}", mail)


_SENTENCES: Final[Mapping[MailState, Callable[[MailStatus, int], str]]] = {
    MailState.QUEUED: _queued,
    MailState.SCHEDULED: _scheduled,
    MailState.RETRY: _retry,
    MailState.SENDING: _sending,
    MailState.HELD: _held,
    MailState.SENT: _sent,
    MailState.DEAD: _dead,
    MailState.EXPIRED: _expired,
    MailState.CANCELLED: _cancelled,
    MailState.SUPPRESSED: _suppressed,
    MailState.DISCARDED: _discarded,
}


def _settled(mail: MailStatus) -> str:
    words = settled_words(mail.letters)
    return f"; {words}" if words else ""


def _waiting(mail: MailStatus) -> str:
    if not mail.waits_for:
        return ""
    others = len(mail.waits_for) - 1
    beside = f" (and {others} more)" if others else ""
    return f"; waits: the {outage_line(mail.waits_for[0])}{beside}"


def _cancellation(mail: MailStatus) -> str:
    if mail.cancel_requested_at is None or mail.state is MailState.CANCELLED:
        return ""
    asked = show_instant(mail.cancel_requested_at)
    if mail.state in SETTLED:
        return f"; the cancellation asked for at {asked} came too late"
    return f"; its cancellation was asked for at {asked}"


def _said(sentence: str, mail: MailStatus) -> str:
    reply = reply_of(mail.code, mail.enhanced, mail.text)
    return f"{sentence}: {reply}" if reply else sentence


def _until(instant: int | None) -> str:
    return "" if instant is None else f" until {show_instant(instant)}"


def _by(instant: int | None) -> str:
    return " soon" if instant is None else f" by {show_instant(instant)}"


def _due(instant: int | None) -> str:
    return "" if instant is None else f", due at {show_instant(instant)}"


def _failures(attempts: int) -> str:
    return "1 failed attempt" if attempts == 1 else f"{attempts} failed attempts"
