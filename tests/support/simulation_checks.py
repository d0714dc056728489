"""What must hold in a simulated world: at each handing over, and at its end."""

from itertools import pairwise

from retry_topics.headers import read_journey
from runtime.kafka.records import Partition
from schemas.ledger import LedgerEntry
from schemas.mail_states import MOVING, PARKED, SETTLED, MailState
from schemas.privacy import address_hash
from tests.support.simulated_worker import Worker
from tests.support.simulation import SECURITY, TOPOLOGY, Mail, Violation, World, id_of


def check_send(world: World, mail: Mail, worker: Worker) -> None:
    """Tell whether the owner of a lane may begin to hand this mail over now.

    Raises:
        Violation: it may not.
    """
    event, now = mail.event, world.clock.now_ms()
    entries = world.entries(mail)
    if entries and entries[-1].state in SETTLED:
        raise Violation(f"{mail.id} is handed over although it is {entries[-1].state}")
    told = {event_id for event_id, _, _ in worker.told.get(mail.lane, {})}
    if event.event_id.bytes in told and not mail.replays:
        raise Violation(f"{mail.id} is handed over although a journal of this host has it")
    if event.not_before is not None and now < event.not_before:
        raise Violation(f"{mail.id} is handed over too early")
    if (switch := world.switches.puts_off(event.template, event.tenant)) is not None:
        raise Violation(f"{mail.id} is handed over although {switch}")
    # What holds is told of before it is handed over, which takes its time.
    if mail.holds:
        return
    if event.expires_at is not None and now >= event.expires_at:
        raise Violation(f"{mail.id} is handed over after its end")
    if (switch := world.switches.stops(relay="relay")) is not None:
        raise Violation(f"{mail.id} is handed over although {switch}")
    decided = world.kafka.offsets.get(Partition(TOPOLOGY.control, mail.lane), 0)
    if mail.cancelled_at is not None and mail.cancelled_at < decided:
        raise Violation(f"{mail.id} is handed over although its cancellation had its turn")
    if event.template != SECURITY and _is_suppressed(world, mail):
        raise Violation(f"{mail.id} is handed over although its recipient is suppressed")


_CANCELLED_AGAIN = (MailState.CANCELLED, MailState.CANCELLED)


def check_end(world: World) -> None:
    """Tell whether a world that is at rest is as it has to be.

    Raises:
        Violation: it is not.
    """
    for mail in world.mails.values():
        entries = world.entries(mail)
        states = [entry.state for entry in entries]
        told = f"{mail.id} ({', '.join(states)})"
        if not states or states[-1] in MOVING:
            raise Violation(f"{told} has not ended")
        # Whose demand it was can be told again as long as the mail has not come.
        if any(a in SETTLED and (a, b) != _CANCELLED_AGAIN for a, b in pairwise(states)):
            raise Violation(f"{told} goes on after it was over")
        if (reason := _unfounded(world, mail, entries[-1])) is not None:
            raise Violation(f"{told}: {reason}")
        _check_sink(world, mail, states[-1], told)


def _check_sink(world: World, mail: Mail, state: MailState, told: str) -> None:
    seen = sum(handover.mail == mail.id for handover in world.relay.taken)
    is_sent = state is MailState.SENT
    if is_sent and not seen:
        raise Violation(f"{told} never reached the relay")
    if seen > is_sent + mail.excuses:
        raise Violation(f"{told} reached the relay {seen} times, {mail.excuses} of them excused")
    if mail.holds and seen > 1 + mail.replays:
        raise Violation(f"{told} reached the relay {seen} times although it is to be held")


def _unfounded(world: World, mail: Mail, last: LedgerEntry) -> str | None:
    """Tell why a mail cannot have ended like this, None if it can."""
    event, state = mail.event, last.state
    cancelled = any(tenant in ("", event.tenant) for tenant, _ in mail.cancels)
    founded = {
        MailState.CANCELLED: cancelled,
        MailState.DISCARDED: mail.discarded,
        MailState.EXPIRED: event.expires_at is not None,
        MailState.HELD: mail.holds,
        MailState.SUPPRESSED: event.template != SECURITY
        and event.recipient.address in world.suppressed,
    }
    if not founded.get(state, True):
        return "nobody asked for that"
    if state in PARKED:
        if not _is_parked(world, mail, last):
            return "its record is not on the dead-letter topic"
        if mail.cancelled_at is not None and not mail.holds:
            return "it was cancelled"
    return None


def _is_parked(world: World, mail: Mail, last: LedgerEntry) -> bool:
    return any(
        id_of(record.headers) == mail.id
        and read_journey(record.headers).generation == last.generation
        for record in world.kafka.read(Partition(TOPOLOGY.dlt, mail.lane))
    )


def _is_suppressed(world: World, mail: Mail) -> bool:
    """Tell whether a suppression is committed that nobody has asked to be lifted."""
    address = mail.event.recipient.address
    records = world.kafka.read(Partition(TOPOLOGY.suppressions, mail.lane))
    known = any(record.key == address_hash(address) for record in records)
    return known and address not in world.lifted
