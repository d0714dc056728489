"""`mailcascade held`: mails that wait for a person, to be sent after all or to be over for good."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol
from uuid import UUID

from console.cluster import Cluster
from console.demands import Demands
from console.failures import CommandFailed
from console.held_records import HeldRecord, find_held
from console.operator import NamedMail, Order
from consumers.status.reader import MailStatus, StatusPage, StatusQuery, StatusUnavailable
from retry_topics.again import to_main
from retry_topics.topology import Topology
from runtime.kafka.published import RecordTooLarge
from runtime.kafka.writer import WriteFailed
from runtime.logs import get_logger
from runtime.trace_context import read_context
from schemas.codec import EventCodec
from schemas.errors import SchemasError
from schemas.instants import show_instant, write_instant
from schemas.mail_states import MailState
from schemas.privacy import mask_address, mask_addresses

Print = Callable[[str], None]

_log = get_logger("held")


class View(Protocol):
    """What is asked of the status view."""

    def mail(self, event_id: UUID, now: int | None = None) -> MailStatus | None:
        """Return a mail with its history, None where the view does not know it."""

    def find(self, query: StatusQuery, now: int) -> StatusPage:
        """Return a page of mails, newest first."""


@dataclass(frozen=True, slots=True)
class HeldMail:
    """A held mail as it is shown."""

    id: str
    held_at: int
    template: str
    recipient: str
    text: str


class HeldDesk:
    """What an operator sees and decides of held mails."""

    def __init__(self, view: View, cluster: Cluster, topology: Topology, order: Order) -> None:
        self._view = view
        self._cluster = cluster
        self._topology = topology
        self._order = order

    def list(self, limit: int) -> tuple[Sequence[HeldMail], str]:
        """Return held mails, those that came last first, and a remark for the operator.

        They come from the status view or, while it is away, from the dead-letter topic and the
        ledger.
        """
        query = StatusQuery(states=frozenset({MailState.HELD}), limit=limit)
        try:
            page = self._view.find(query, self._order.at)
        except StatusUnavailable as error:
            return self._list_records(limit, str(error))
        mails = [
            HeldMail(mail.mail_id, mail.updated_at, mail.template, mail.recipient, mail.text)
            for mail in page.mails
        ]
        return mails, "" if page.next is None else "there are more: raise --limit"

    def release(self, mails: Sequence[NamedMail], force: bool, show: Print) -> None:
        """Write held mails to the main topic again, to be sent.

        With `force` also those of which neither ledger nor view knows whether they are still held.

        Raises:
            CommandFailed: one of them is not held; then nothing was written.
        """
        found = self._found(mails)
        self._refuse(
            [problem for mail in mails if (problem := self._unreleasable(mail, found, force))]
        )
        for mail in mails:
            held = found[mail.event_id]
            _write_again(self._cluster, self._topology, held)
            context = read_context(held.record.headers)
            trace = {} if context is None else {"trace_id": context.trace_id}
            by, reason = self._order.by, self._order.reason
            _log.info("held.released", mail_id=mail.text, by=by, reason=reason, **trace)
            show(f"{mail.text}: released, to be sent")

    def discard(self, mails: Sequence[NamedMail], show: Print) -> None:
        """Ask that held mails are over for good.

        Raises:
            CommandFailed: one of them is not held; then nothing was asked for.
        """
        found = self._found(mails)
        self._refuse([problem for mail in mails if (problem := self._undiscardable(mail, found))])
        Demands(self._cluster, self._topology.control, self._order).discard(mails)
        for mail in mails:
            show(f"{mail.text}: asked for, it will not be sent")

    def _list_records(self, limit: int, reason: str) -> tuple[Sequence[HeldMail], str]:
        found = find_held(self._cluster, self._topology).values()
        known = [one for one in found if one.state is MailState.HELD]
        held = sorted(map(_shown, known), key=lambda mail: mail.held_at, reverse=True)
        remark = f"read from {self._topology.dlt}, because {reason}"
        if forgotten := sum(one.state is None for one in found):
            remark += f"; {forgotten} more are too old to tell from Kafka if they are still held"
        if len(held) > limit:
            remark += f"; {len(held) - limit} more are not shown"
        return held[:limit], remark

    def _found(self, mails: Sequence[NamedMail]) -> Mapping[UUID, HeldRecord]:
        wanted = {(mail.event_id, mail.lane_key) for mail in mails}
        return find_held(self._cluster, self._topology, wanted)

    def _refuse(self, problems: Sequence[str]) -> None:
        if problems:
            raise CommandFailed("\n".join([*problems, "nothing was done"]))

    def _unreleasable(
        self, mail: NamedMail, found: Mapping[UUID, HeldRecord], force: bool
    ) -> str | None:
        held = found.get(mail.event_id)
        if held is None or held.state is not None or held.mail_id != mail.text:
            return self._problem(mail, held)
        seen = self._seen(mail)
        if seen is None and not force:
            return (
                f"{mail.text}: is too old to tell from Kafka if it is still held, and the status "
                "view does not know it; with --force it is sent, maybe a second time"
            )
        return None if seen in (None, MailState.HELD) else _not_any_more(mail, seen)

    def _undiscardable(self, mail: NamedMail, found: Mapping[UUID, HeldRecord]) -> str | None:
        held = found.get(mail.event_id)
        if held is None or held.state is not None or held.mail_id != mail.text:
            return self._problem(mail, held)
        return f"{mail.text}: is too old, the workers have forgotten it; it stays unsent anyway"

    def _problem(self, mail: NamedMail, held: HeldRecord | None) -> str | None:
        if held is None or held.mail_id != mail.text:
            return f"{mail.text}: is not held; {self._topology.dlt} has no such record"
        held_still = held.state in (None, MailState.HELD)
        return None if held_still else _not_any_more(mail, held.state)

    def _seen(self, mail: NamedMail) -> MailState | None:
        """Return the mail's state by the view, None where it cannot tell."""
        try:
            known = self._view.mail(mail.event_id)
        except StatusUnavailable:
            return None
        return None if known is None else known.state


def held_lines(mails: Sequence[HeldMail]) -> list[str]:
    """Return held mails as lines for a person."""
    lines = [
        f"{mail.id}  {show_instant(mail.held_at)}  {mail.template or '-'}  "
        f"{mail.recipient or '-'}  {mail.text or '-'}"
        for mail in mails
    ]
    return [*lines, f"{len(mails)} held mails"]


def held_json(mails: Sequence[HeldMail]) -> str:
    """Return held mails as JSON for a program."""
    rows = [{**asdict(mail), "held_at": write_instant(mail.held_at)} for mail in mails]
    return json.dumps(rows, indent=2)


def _not_any_more(mail: NamedMail, state: MailState | None) -> str:
    return f"{mail.text}: is not held any more, it is {state}"


def _write_again(cluster: Cluster, topology: Topology, held: HeldRecord) -> None:
    """Write a mail to the main topic, without its history where it would be too large with it."""
    for keep_history in (True, False):
        record = to_main(
            held.record,
            held.journey,
            held.next_generation,
            topology,
            keep_history=keep_history,
        )
        try:
            cluster.write([record])
        except WriteFailed as error:
            if not keep_history or not isinstance(error.cause, RecordTooLarge):
                raise
            continue
        return


def _shown(held: HeldRecord) -> HeldMail:
    death = held.journey.death
    at, text = (0, "") if death is None else (death.at, mask_addresses(death.text))
    try:
        event = EventCodec(None).decode(held.record.value or b"")
    except SchemasError:
        return HeldMail(held.mail_id, at, "", "", text)
    return HeldMail(held.mail_id, at, event.template, mask_address(event.recipient.address), text)
