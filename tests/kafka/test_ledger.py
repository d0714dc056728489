"""The ledger at work, with real workers: repeats, cancellations, suppressions, schedules, holds."""

import random
from pathlib import Path
from shutil import copytree
from uuid import UUID, uuid4

import pytest

from console.stack.catcher.threaded import CatcherThread
from console.stack.children import Child
from runtime.clock import SystemClock
from runtime.kafka.records import OutRecord
from schemas.catalogue import DEFAULT_DIRECTORY
from schemas.codec import encode
from schemas.control import ControlAction, ControlCommand, write_command
from schemas.events import SignupEvent
from schemas.identity import lane_key
from schemas.mail_states import MailState
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress
from tests.support.catcher import recipients, wait_for_all
from tests.support.mailer import Kafka, signup, start_worker, worker_environ
from tests.support.wait import wait_until


@pytest.fixture
def kafka(broker: BrokerAddress, topics: TopicsFactory) -> Kafka:
    return Kafka(broker.bootstrap, topics("500ms,1s,2s", 4))


@pytest.fixture
def environ(kafka: Kafka, catcher: CatcherThread, tmp_path: Path) -> dict[str, str]:
    return worker_environ(kafka, catcher.smtp_url, tmp_path / "state")


def ask(kafka: Kafka, action: ControlAction, event: SignupEvent, tenant: str = "") -> None:
    """Write a demand about a mail, or about its recipient, as the API and the commands do."""
    address = event.recipient.address
    about_mail = action in (ControlAction.CANCEL, ControlAction.DISCARD)
    command = ControlCommand(
        action,
        SystemClock().now_ms(),
        str(event.event_id) if about_mail else None,
        None if about_mail else address,
        tenant,
        by="test",
    )
    topic = kafka.topology.control
    kafka.write([OutRecord(topic, lane_key(address), write_command(command), ())])


def states(kafka: Kafka) -> dict[UUID, MailState]:
    """Return the last state of every mail that the ledger knows."""
    return {event_id: entry.state for event_id, entry in kafka.entries()}


def running(environ: dict[str, str], tmp_path: Path, name: str = "worker") -> Child:
    return start_worker(environ, tmp_path / f"{name}.log")


def wait_for_lanes(tmp_path: Path, number: int, name: str = "worker") -> None:
    log = tmp_path / f"{name}.log"
    wait_until(lambda: log.read_text().count("lane.restored") >= number, 30, "the lanes")


def test_a_repeated_request_is_one_mail_even_when_the_group_has_lost_its_offsets(
    kafka: Kafka, catcher: CatcherThread, environ: dict[str, str], tmp_path: Path
) -> None:
    """Posted three times, and read from the beginning again by a worker without a local store."""
    events = [signup(f"user{number}@example.com") for number in range(50)]
    with running(environ, tmp_path):
        for _ in range(3):
            kafka.post(events)
        wait_until(lambda: kafka.lag() == 0, 60, "everything to be settled")
    kafka.forget_offsets()
    fresh = {**environ, "MAILCASCADE_STATE_DIR": str(tmp_path / "fresh")}
    with running(fresh, tmp_path, "fresh"):
        wait_for_lanes(tmp_path, 4, "fresh")
        kafka.post([signup("last@example.com")])
        wait_for_all(catcher, ["last@example.com"])
        wait_until(lambda: kafka.lag() == 0, 60, "everything to be settled")
    assert set(recipients(catcher).values()) == {1}
    assert len(recipients(catcher)) == 51


def test_a_mail_is_cancelled_wherever_it_waits(
    kafka: Kafka, catcher: CatcherThread, environ: dict[str, str], tmp_path: Path
) -> None:
    """Before it is read, while it is scheduled, and while it waits for its next attempt."""
    unread, failing = signup("unread@example.com"), signup("full+tempfail@example.com")
    ask(kafka, ControlAction.CANCEL, unread)
    with running(environ, tmp_path):
        wait_for_lanes(tmp_path, 4)
        wait_until(lambda: states(kafka) == {unread.event_id: MailState.CANCELLED}, 30)
        soon = SystemClock().now_ms() + 5_000
        scheduled = signup("later@example.com", not_before=soon)
        kafka.post([unread, scheduled, failing])
        waiting = {MailState.SCHEDULED, MailState.RETRY, MailState.CANCELLED}
        wait_until(lambda: set(states(kafka).values()) == waiting, 30, "both to wait")
        ask(kafka, ControlAction.CANCEL, scheduled)
        ask(kafka, ControlAction.CANCEL, failing)
        wait_until(lambda: set(states(kafka).values()) == {MailState.CANCELLED}, 30)
        wait_until(lambda: SystemClock().now_ms() > soon, 10, "the schedule's time")
        wait_until(lambda: kafka.lag() == 0, 30, "everything to be settled")
    assert recipients(catcher) == {}
    assert set(states(kafka).values()) == {MailState.CANCELLED}
    assert kafka.read(kafka.topology.dlt) == []


def test_a_mail_is_cancelled_while_the_relay_is_down(
    kafka: Kafka, catcher: CatcherThread, environ: dict[str, str], tmp_path: Path
) -> None:
    """A mail in hand that waits for the relay ends at once, not when the relay is back."""
    catcher.down()
    event, other = signup("stopped@example.com"), signup("other@example.com")
    with running(environ, tmp_path):
        kafka.post([event, other])
        log = tmp_path / "worker.log"
        wait_until(lambda: "relay.outage" in log.read_text(), 30, "the outage")
        ask(kafka, ControlAction.CANCEL, event)
        wait_until(lambda: states(kafka).get(event.event_id) is MailState.CANCELLED, 20)
        catcher.up()
        wait_for_all(catcher, ["other@example.com"])
        wait_until(lambda: kafka.lag() == 0, 30, "everything to be settled")
    assert set(recipients(catcher)) == {"other@example.com"}


def test_a_cancellation_that_races_with_the_relay_tells_the_truth(
    kafka: Kafka, catcher: CatcherThread, environ: dict[str, str], tmp_path: Path
) -> None:
    """Whatever each mail's state is in the end, it agrees with the mailbox."""
    events = [signup(f"user{number}@example.com") for number in range(200)]
    with running(environ, tmp_path):
        wait_for_lanes(tmp_path, 4)
        for start in range(0, 200, 20):
            kafka.post(events[start : start + 20])
            for event in events[start : start + 20]:
                ask(kafka, ControlAction.CANCEL, event)
        wait_until(lambda: kafka.lag() == 0, 60, "everything to be settled")
    ended = states(kafka)
    assert set(ended.values()) <= {MailState.SENT, MailState.CANCELLED}
    sent = {e.recipient.address for e in events if ended[e.event_id] is MailState.SENT}
    assert sent == set(recipients(catcher))
    assert set(recipients(catcher).values()) <= {1}


def test_a_tenant_cannot_cancel_what_is_another_s(
    kafka: Kafka, catcher: CatcherThread, environ: dict[str, str], tmp_path: Path
) -> None:
    """Neither a mail that is on its way nor one that nobody has touched."""
    unread = signup("unread@example.com")
    with running(environ, tmp_path):
        wait_for_lanes(tmp_path, 4)
        soon = SystemClock().now_ms() + 4_000
        touched = signup("touched@example.com", not_before=soon)
        kafka.post([touched])
        wait_until(lambda: MailState.SCHEDULED in states(kafka).values(), 30, "the schedule")
        for event in (touched, unread):
            ask(kafka, ControlAction.CANCEL, event, tenant="somebody-else")
        wait_until(lambda: kafka.lag() == 0, 30, "the demands to be read")
        kafka.post([unread])
        wait_for_all(catcher, ["touched@example.com", "unread@example.com"])


def test_a_bad_address_is_suppressed_and_an_operator_can_do_and_undo_it(
    kafka: Kafka, catcher: CatcherThread, environ: dict[str, str], tmp_path: Path
) -> None:
    """After 550 5.1.1 the relay does not hear of the recipient again, until that is lifted."""
    gone, named = "gone+bounce@example.com", "named@example.com"
    with running(environ, tmp_path):
        first = signup(gone)
        kafka.post([first])
        wait_until(lambda: states(kafka).get(first.event_id) is MailState.DEAD, 30)
        ask(kafka, ControlAction.SUPPRESS, signup(named))
        wait_until(lambda: len(kafka.read(kafka.topology.suppressions)) == 2, 30)
        again, other = signup(gone), signup(named)
        kafka.post([again, other])
        expected = {again.event_id: MailState.SUPPRESSED, other.event_id: MailState.SUPPRESSED}
        wait_until(lambda: expected.items() <= states(kafka).items(), 30, "both suppressed")
        assert recipients(catcher) == {}
    with running(environ, tmp_path, "second"):
        wait_for_lanes(tmp_path, 4, "second")
        ask(kafka, ControlAction.UNSUPPRESS, signup(named))
        last = signup(named)
        kafka.post([last])
        wait_until(lambda: last.event_id in states(kafka), 30)
        again = signup(gone)
        kafka.post([again])
        wait_until(lambda: states(kafka).get(again.event_id) is MailState.SUPPRESSED, 30)
    assert len(kafka.read(kafka.topology.dlt)) == 1


def test_a_thousand_random_schedules_are_kept(
    broker: BrokerAddress, topics: TopicsFactory, catcher: CatcherThread, tmp_path: Path
) -> None:
    """None early, 99 of 100 less than a second late; one far ahead holds nobody back."""
    kafka = Kafka(broker.bootstrap, topics("500ms,1s,2s", 4))
    environ = worker_environ(kafka, catcher.smtp_url, tmp_path / "state")
    draw = random.Random(11)
    with running(environ, tmp_path):
        wait_for_lanes(tmp_path, 4)
        now = SystemClock().now_ms()
        due = {f"user{n}@example.com": now + 500 + draw.randrange(14_500) for n in range(1_000)}
        far = [signup(f"far{number}@example.com", not_before=now + 86_400_000) for number in (1, 2)]
        kafka.post(far)
        kafka.post(signup(address, not_before=at) for address, at in due.items())
        wait_for_all(catcher, list(due), 60)
    late = sorted(mail.received_at - due[mail.recipients[0]] for mail in catcher.store.mails())
    assert len(late) == 1_000
    assert late[0] >= 0
    assert late[989] < 1_000, f"p99 {late[989]} ms"


def test_a_mail_whose_end_is_in_doubt_is_held_where_its_template_says_so(
    kafka: Kafka, catcher: CatcherThread, environ: dict[str, str], tmp_path: Path
) -> None:
    """The connection breaks behind the final dot, or the worker dies there: nothing is repeated."""
    environ = {**environ, "MAILCASCADE_TEMPLATES_DIR": str(holding_templates(tmp_path))}
    broken, slow = signup("a+drop@example.com"), signup("b+slow@example.com")
    fine = signup("c@example.com")
    with running(environ, tmp_path) as worker:
        kafka.post([broken, fine])
        ended = {broken.event_id: MailState.HELD, fine.event_id: MailState.SENT}
        wait_until(lambda: ended.items() <= states(kafka).items(), 30, "both ends")
        kafka.post([slow])
        wait_until(lambda: states(kafka).get(slow.event_id) is MailState.SENDING, 30)
        worker.kill()
    with running(environ, tmp_path, "second"):
        wait_until(lambda: states(kafka).get(slow.event_id) is MailState.HELD, 40)
        wait_until(lambda: kafka.lag() == 0, 30, "everything to be settled")
    assert {record.value for record in kafka.read(kafka.topology.dlt)} == {
        encode(broken),
        encode(slow),
    }
    assert recipients(catcher)["b+slow@example.com"] <= 1


def holding_templates(tmp_path: Path) -> Path:
    """Return a copy of the built-in templates that hold instead of sending again."""
    target = tmp_path / f"templates-{uuid4().hex}"
    copytree(DEFAULT_DIRECTORY, target)
    manifest = target / "signup-confirmation" / "template.toml"
    text = manifest.read_text()
    manifest.write_text(text.replace('on_ambiguous = "resend"', 'on_ambiguous = "hold"'))
    assert manifest.read_text() != text
    return target
