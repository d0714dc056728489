"""`mailcascade held`: mails that wait for a person, to be sent after all or to be over for good."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from console.cluster import Cluster
from console.demands import Demands
from console.failures import CommandFailed
from console.held_records import HeldRecord, find_held
from console.operator import NamedMail, Order
from consumers.status.reader import StatusPage, StatusQuery, StatusUnavailable
from retry_topics.again import to_main
from retry_topics.topology import Topology
from runtime.kafka.published import RecordTooLarge
from runtime.kafka.writer import WriteFailed
from runtime.logs import get_logger
from schemas.codec import EventCodec
from schemas.errors import SchemasError
from schemas.instants import show_instant, write_instant
from schemas.mail_states import MailState
from schemas.privacy import mask_address

Print = Callable[[str], None]

_log = get_logger("held")


class View(Protocol):
    """What is asked of the status view."""

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


def list_held(
    view: View, cluster: Cluster, topology: Topology, limit: int, now: int
) -> tuple[list[HeldMail], str]:
    """Return held mails, those that were accepted last first, and a remark for the operator.

    They come from the status view or, while it is away, from the dead-letter topic and the ledger.
    """
    query = StatusQuery(states=frozenset({MailState.HELD}), limit=limit)
    try:
        page = view.find(query, now)
    except StatusUnavailable as error:
        found = find_held(cluster, topology).values()
        held = [_shown(one) for one in found if one.state is MailState.HELD]
        held.sort(key=lambda mail: mail.held_at, reverse=True)
        more = f"; {len(held) - limit} more are not shown" if len(held) > limit else ""
        return held[:limit], f"read from {topology.dlt}, because {error}{more}"
    mails = [
        HeldMail(mail.mail_id, mail.updated_at, mail.template, mail.recipient, mail.text)
        for mail in page.mails
    ]
    return mails, "" if page.next is None else "there are more: raise --limit"


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


def release(
    cluster: Cluster, topology: Topology, mails: Sequence[NamedMail], order: Order, show: Print
) -> None:
    """Write held mails to the main topic again, to be sent.

    Raises:
        CommandFailed: one of them is not held; then nothing was written.
    """
    for mail, held in zip(mails, _all_held(cluster, topology, mails), strict=True):
        _write_again(cluster, topology, held)
        _log.info("held.released", mail=mail.text, by=order.by, reason=order.reason)
        show(f"{mail.text}: released, to be sent")


def discard(
    cluster: Cluster, topology: Topology, mails: Sequence[NamedMail], order: Order, show: Print
) -> None:
    """Ask that held mails are over for good.

    Raises:
        CommandFailed: one of them is not held; then nothing was asked for.
    """
    _all_held(cluster, topology, mails)
    Demands(cluster, topology.control, order).discard(mails)
    for mail in mails:
        show(f"{mail.text}: asked for, it will not be sent")


def _all_held(cluster: Cluster, topology: Topology, mails: Sequence[NamedMail]) -> list[HeldRecord]:
    found = find_held(cluster, topology, {(mail.event_id, mail.lane_key) for mail in mails})
    problems = []
    for mail in mails:
        held = found.get(mail.event_id)
        if held is None or held.mail_id != mail.text:
            problems.append(f"{mail.text}: is not held; {topology.dlt} has no such record")
        elif held.state is not MailState.HELD:
            problems.append(f"{mail.text}: is not held any more, it is {held.state}")
    if problems:
        raise CommandFailed("\n".join([*problems, "nothing was done"]))
    return [found[mail.event_id] for mail in mails]


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
    at, text = (0, "") if death is None else (death.at, death.text)
    try:
        event = EventCodec(None).decode(held.record.value or b"")
    except SchemasError:
        return HeldMail(held.mail_id, at, "", "", text)
    return HeldMail(held.mail_id, at, event.template, mask_address(event.recipient.address), text)
