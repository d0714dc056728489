"""`mailcascade status` and `cancel`: where mails are, asked of the status view; how to stop one."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from console.demands import Demands
from console.failures import CommandFailed, ExitCode
from console.letter_counts import letter_count_lines, letter_line, letters_json
from console.operator import NamedMail
from console.switches import switch_json
from consumers.status.letters import LetterCounts
from consumers.status.outages import SharedOutage, shared
from consumers.status.reader import (
    Freshness,
    HistoryItem,
    MailStatus,
    StatusPage,
    StatusQuery,
)
from consumers.status.summary import NOT_KNOWN, in_time, item_summary, outage_line, summary_of
from ingest.status_payloads import detail_of, page_of
from ingest.status_queries import parse_states
from retry_topics.topology import parse_duration
from schemas.instants import parse_instant, show_instant, write_instant
from schemas.mail_states import MailState
from schemas.outages import WorkerOutages
from schemas.switches import Switch, Switches

Print = Callable[[str], None]

#: A view that was written to longer ago than this is said to be old.
_OLD_MS: Final = 15_000


class View(Protocol):
    """What is asked of the status view; see `consumers.status.reader.StatusReader`."""

    def mail(self, event_id: UUID, now: int | None = None) -> MailStatus | None:
        """Return a mail with its history, None where the view does not know it."""

    def find(self, query: StatusQuery, now: int) -> StatusPage:
        """Return a page of mails, newest first."""

    def outages(self, now: int) -> tuple[WorkerOutages, ...]:
        """Return what is out in each worker that told so lately."""

    def switches(self) -> Switches:
        """Return what operators have paused."""

    def letters(self) -> LetterCounts:
        """Return the dead-lettered records by state and job."""

    def freshness(self) -> Freshness:
        """Return how new the view is."""


class Desk:
    """Shows what the view says; `retries` is the number of tiers."""

    def __init__(self, view: View, retries: int, now: int) -> None:
        self._view = view
        self._retries = retries
        self._now = now

    def show_mail(self, named: NamedMail, as_json: bool, show: Print) -> None:
        """Show everything about one mail.

        Raises:
            CommandFailed: the view does not know it.
        """
        mail = self._view.mail(named.event_id, self._now)
        if mail is None or mail.mail_id not in ("", named.text):
            raise CommandFailed(f"{named.text}: {NOT_KNOWN}{self._age()}")
        mail = replace(mail, mail_id=named.text)
        if as_json:
            show(json.dumps(mail_json(mail, self._retries), indent=2))
            return
        for line in mail_lines(mail, self._retries):
            show(line)
        if age := self._age():
            show(age.removeprefix("; "))

    def show_mails(self, query: StatusQuery, as_json: bool, show: Print) -> None:
        """Show what is paused and out, and the mails that are asked for, newest first."""
        page = self._view.find(query, self._now)
        out = shared(self._view.outages(self._now))
        switches = self._view.switches()
        if as_json:
            fields = {
                **page_json(page, self._retries),
                "outages": list(map(outage_json, out)),
                "switches": list(map(switch_json, switches)),
            }
            show(json.dumps(fields, indent=2))
            return
        for switch in switches:
            show(str(switch))
        for each in out:
            show(f"{outage_line(each.outage)} (on {', '.join(each.workers)})")
        for mail in page.mails:
            show(mail_line(mail, self._retries))
        more = "; there are more: raise --limit" if page.next is not None else ""
        show(f"{len(page.mails)} mails{more}{self._age()}")

    def show_letters(self, as_json: bool, show: Print) -> None:
        """Show how many dead-lettered records are in which state, and what came of each job."""
        counts = self._view.letters()
        if as_json:
            show(json.dumps(letters_json(counts), indent=2))
            return
        for line in letter_count_lines(counts):
            show(line)
        if age := self._age():
            show(age.removeprefix("; "))

    def _age(self) -> str:
        """Return a remark where the view is not up to date; empty where it is."""
        fresh = self._view.freshness()
        if fresh.projected_at is None:
            return "; the status view is empty: start `mailcascade projector`"
        if self._now - fresh.projected_at > _OLD_MS:
            at = show_instant(fresh.projected_at)
            return f"; the status view is of {at}: is `mailcascade projector` running?"
        return f"; the status view is {fresh.behind} records behind" if fresh.behind else ""


def cancel(demands: Demands, mails: Sequence[NamedMail], show: Print) -> None:
    """Ask that mails are not sent."""
    demands.cancel(mails)
    for mail in mails:
        show(f"{mail.text}: asked for; mailcascade status {mail.text} tells if it was in time")


def instant_of(text: str, now: int) -> int:
    """Return the instant that a text names: in RFC 3339, or how long ago, such as `2h`.

    Raises:
        CommandFailed: it is neither.
    """
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        return parse_instant(text)
    except ValueError as error:
        demand = f"{text}: {error}, or how long ago it was such as 30m, 2h or 7d"
        raise CommandFailed(demand, ExitCode.WRONG_SETTING) from error


def states_of(texts: Sequence[str]) -> frozenset[MailState]:
    """Return the states that these texts name, each a list such as `retry,dead`.

    Raises:
        CommandFailed: one is no state.
    """
    try:
        return parse_states(",".join(texts)) if texts else frozenset()
    except ValueError as error:
        raise CommandFailed(f"--state {error}", ExitCode.WRONG_SETTING) from error


def mail_json(mail: MailStatus, retries: int) -> dict[str, Any]:
    """Return what the API tells about a mail, and beside it the tenant, workers and operators."""
    fields: dict[str, Any] = msgspec.to_builtins(detail_of(mail, retries))
    for entry, item in zip(fields["history"], mail.history, strict=True):
        entry["worker"] = item.worker or None
    _add_operators(fields, mail)
    return {**fields, "tenant": mail.tenant}


def page_json(page: StatusPage, retries: int) -> dict[str, Any]:
    """Return what the API tells about these mails, and beside each the tenant."""
    fields: dict[str, Any] = msgspec.to_builtins(page_of(page, retries))
    for entry, mail in zip(fields["emails"], page.mails, strict=True):
        entry["tenant"] = mail.tenant
        _add_operators(entry, mail)
    return fields


def _add_operators(fields: dict[str, Any], mail: MailStatus) -> None:
    fields["paused"] = None if mail.paused is None else switch_json(mail.paused)
    for entry, letter in zip(fields["dead_letters"], mail.letters, strict=True):
        entry["by"] = letter.by or None


def outage_json(each: SharedOutage) -> dict[str, Any]:
    """Return what is out, and in which workers."""
    out = each.outage
    return {
        "kind": out.kind,
        "what": out.what,
        "reason": out.reason,
        "rule": out.rule or None,
        "since": write_instant(out.since),
        "pauses": out.pauses,
        "workers": list(each.workers),
    }


def mail_line(mail: MailStatus, retries: int) -> str:
    """Return a mail as one line of a list."""
    at = "-" if mail.accepted_at is None else show_instant(mail.accepted_at)
    who = f"{mail.template or '-'}  {mail.recipient or '-'}"
    return (
        f"{mail.mail_id}  {at}  {mail.state:<10}  {who}  {summary_of(mail, retries, reasons=True)}"
    )


def mail_lines(mail: MailStatus, retries: int) -> list[str]:
    """Return everything about a mail as lines for a person."""
    cancelled = {True: "in time", False: "too late", None: "not decided yet"}[in_time(mail)]
    asked = mail.cancel_requested_at
    rows = [
        ("recipient", mail.recipient),
        ("template", mail.template),
        ("tenant", mail.tenant),
        ("accepted", _instant(mail.accepted_at)),
        ("changed", _instant(mail.updated_at)),
        ("not before", _instant(mail.not_before)),
        ("due", _instant(mail.due_at)),
        ("expires", _instant(mail.expires_at)),
        ("attempts", f"{mail.attempts} of {retries + 1} used up"),
        ("sent again", str(mail.generation) if mail.generation else ""),
        ("reason", mail.reason),
        ("paused", "" if mail.paused is None else _pause_line(mail.paused)),
        *(("waits for", outage_line(outage)) for outage in mail.waits_for),
        *(("dead letter", letter_line(letter)) for letter in mail.letters),
        ("cancel", "" if asked is None else f"asked for at {show_instant(asked)}: {cancelled}"),
    ]
    lines = [f"{mail.state}: {summary_of(mail, retries, reasons=True)}"]
    lines += [f"  {name:<11} {value}" for name, value in rows if value]
    lines += [_item_line(item) for item in mail.history]
    if mail.history_omitted:
        lines.append(f"  {mail.history_omitted} changes in between are left out")
    return lines


def _pause_line(switch: Switch) -> str:
    return f"{switch} ({switch.by})" if switch.by else str(switch)


def _item_line(item: HistoryItem) -> str:
    notes = ", ".join(note for note in (item.reason, item.rule, item.phase, item.worker) if note)
    return f"  {show_instant(item.at)}  {item_summary(item)}" + (f" ({notes})" if notes else "")


def _instant(instant_ms: int | None) -> str:
    return "" if instant_ms is None else show_instant(instant_ms)
