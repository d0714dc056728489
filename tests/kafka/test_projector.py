"""The projector: the view is what the topics say, whatever ends or is away meanwhile."""

import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from random import Random
from urllib.request import urlopen
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from sqlalchemy.exc import DBAPIError

from console.stack.kafka import KafkaBroker
from console.stack.ports import free_ports
from consumers.status.history import read_history
from consumers.status.letters import settled_words
from consumers.status.reader import StatusReader, StatusUnavailable
from retry_topics.dlt.selection import EVERYTHING
from retry_topics.topic_specs import desired
from retry_topics.topology import Topology, parse_tiers
from runtime.clock import SystemClock
from runtime.kafka.records import OutRecord
from schemas.events import SignupEvent
from schemas.identity import lane_key, mail_id
from schemas.mail_states import MailState
from schemas.outages import WorkerOutages
from schemas.replay_jobs import Edit, Pace, Selection
from schemas.switches import Switch, SwitchKey, SwitchKind
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress, create_topology
from tests.support.graveyard import Graveyard
from tests.support.mailer import Kafka, signup
from tests.support.postgres import PostgresServer, kinds
from tests.support.processes import Command
from tests.support.status import (
    accepted_record,
    cancel_record,
    count,
    entry,
    noted_record,
    outages_record,
    rows,
)
from tests.support.statuses import RELAY_OUT
from tests.support.switches import switch_record
from tests.support.wait import wait_until

Projecting = Callable[..., Command]


@pytest.fixture
def kafka(broker: BrokerAddress, topics: TopicsFactory) -> Kafka:
    """This test's topics."""
    return Kafka(broker.bootstrap, topics())


@pytest.fixture
def projecting(kafka: Kafka, database: str, tmp_path: Path) -> Iterator[Projecting]:
    """Starts projectors of this test's topics, on its database unless another is given."""
    with ExitStack() as running:

        def start(*options: str, url: str = database, **overrides: str) -> Command:
            environ = _environ(kafka.bootstrap, kafka.topology, tmp_path, url) | overrides
            command = running.enter_context(Command("projector", *options, environ=environ))
            # Shown beside a test that fails.
            running.callback(lambda: print(command.output))
            return command

        yield start


def _environ(bootstrap: str, topology: Topology, state_dir: Path, url: str) -> dict[str, str]:
    return {
        "MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "MAILCASCADE_TOPIC_PREFIX": topology.prefix,
        "MAILCASCADE_PARTITIONS": str(topology.partitions),
        "MAILCASCADE_STATE_DIR": str(state_dir),
        "MAILCASCADE_DATABASE_URL": url,
        "MAILCASCADE_STATUS_KEY": "tests",
    }


def _stop(command: Command) -> None:
    command.signal(signal.SIGTERM)
    assert command.exit_code(15) == 0, command.output


def _states(url: str) -> dict[UUID, str]:
    """What the view says of each mail; nothing as long as it cannot be asked."""
    try:
        return {event_id: row["state"] for event_id, row in rows(url).items()}
    except DBAPIError:
        return {}


def _shows(url: str, mails: int) -> bool:
    try:
        return count(url) >= mails
    except DBAPIError:
        return False


def _until_shown(url: str, expected: Mapping[UUID, str], timeout: float = 40) -> None:
    wait_until(lambda: _states(url) == expected, timeout, f"the view shows {len(expected)} mails")


def _until_counted(url: str, expected: Mapping[str, int]) -> None:
    def counted() -> bool:
        with closing(StatusReader(url, "tests")) as reader:
            try:
                return reader.letters().states == expected
            except StatusUnavailable:
                return False

    wait_until(counted, 40, f"the view shows {expected}")


def _rebuilt(projecting: Projecting, url: str) -> dict[UUID, dict[str, object]]:
    """Project everything anew into the same database and return what it holds then."""
    command = projecting("--rebuild")
    command.wait_for("projector.started")
    with closing(StatusReader(url, "tests")) as reader:
        wait_until(lambda: (reader.freshness().projected_at or 0) > 0)
        began = SystemClock().now_ms()

        def caught_up() -> bool:
            fresh = reader.freshness()
            return (fresh.projected_at or 0) > began and fresh.behind == 0

        wait_until(caught_up, 60, "the view is caught up")
    _stop(command)
    return rows(url)


def _life(topology: Topology, event: SignupEvent) -> list[OutRecord]:
    """The records of a mail that fails once and is then sent."""
    at = event.occurred_at
    retry = entry(MailState.RETRY, at + 10, attempts=1, due_at=at + 20, text="later", code=451)
    sent = entry(MailState.SENT, at + 30, attempts=1, tenant=event.tenant)
    return [
        accepted_record(topology, event),
        noted_record(topology, event, retry),
        noted_record(topology, event, sent),
    ]


def test_the_view_shows_what_the_topics_say(
    kafka: Kafka, projecting: Projecting, database: str
) -> None:
    """Accepted, tried, sent, cancelled, what is out; garbage is passed over; a restart goes on."""
    topology = kafka.topology
    events = [signup(f"u{number}@example.com") for number in range(4)]
    kafka.write([*_life(topology, events[0]), accepted_record(topology, events[1])])
    kafka.write([cancel_record(topology, events[1], 40, "default")])
    kafka.write([OutRecord(topology.main, b"lane", b"garbage", ())])
    now = SystemClock().now_ms()
    told = WorkerOutages("w-0", now, tuple(range(topology.partitions)), (RELAY_OUT,))
    gone = WorkerOutages("w-1", now, told.lanes, (RELAY_OUT,))
    kafka.write([outages_record(topology, notice) for notice in (told, gone)])
    kafka.write([outages_record(topology, WorkerOutages("w-1", now))])
    template = SwitchKey(SwitchKind.TEMPLATE, events[1].template)
    others = SwitchKey(SwitchKind.TENANT, "other")
    turns = ((template, 1), (others, 1), (others, None))
    kafka.write([switch_record(topology, key, since) for key, since in turns])
    first = projecting()
    expected = {events[0].event_id: "sent", events[1].event_id: "queued"}
    _until_shown(database, expected)
    kafka.write([accepted_record(topology, events[2])])
    _until_shown(database, expected | {events[2].event_id: "queued"})
    _stop(first)
    kafka.write(_life(topology, events[3]))
    second = projecting()
    _until_shown(database, expected | {events[2].event_id: "queued", events[3].event_id: "sent"})
    _stop(second)

    with closing(StatusReader(database, "tests")) as reader:
        sent, asked = (reader.mail(event.event_id, now) for event in events[:2])
        assert reader.outages(now) == (told,)
    assert sent is not None
    assert asked is not None
    assert sent.mail_id == mail_id(events[0].event_id, lane_key("u0@example.com"))
    assert [item.state for item in sent.history] == [MailState.RETRY, MailState.SENT]
    assert asked.cancel_requested_at == 40
    assert (sent.paused, asked.paused) == (None, Switch(template, 1, "eve", "a test"))
    assert (sent.waits_for, asked.waits_for) == ((), (RELAY_OUT,))
    assert "projector.undecodable" in first.output
    assert "example.com" not in first.output + second.output


def test_what_an_aborted_transaction_wrote_is_not_shown(
    kafka: Kafka, projecting: Projecting, database: str
) -> None:
    """And nothing waits for it: the view counts itself up to date."""
    event, unsaid = signup("a@example.com"), signup("b@example.com")
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": str(uuid4())})
    producer.init_transactions(30)
    producer.begin_transaction()
    for record in _life(kafka.topology, unsaid):
        producer.produce(record.topic, key=record.key, value=record.value)
    producer.flush(30)
    producer.abort_transaction(30)
    producer.close()
    kafka.write(_life(kafka.topology, event))
    command = projecting()
    _until_shown(database, {event.event_id: "sent"})
    with closing(StatusReader(database, "tests")) as reader:
        wait_until(lambda: reader.freshness().behind == 0, what="nothing is left")
    _stop(command)


def test_the_view_shows_what_became_of_dead_letters(
    kafka: Kafka, projecting: Projecting, database: str
) -> None:
    """Open, discarded by whom and why, replayed by which job; made anew, it shows the same."""
    yard = Graveyard(kafka)
    graves = yard.bury(["policy", "unknown", "junk"], state=None)
    dead = entry(MailState.DEAD, SystemClock().now_ms(), attempts=1)
    kafka.write([noted_record(kafka.topology, grave.event, dead) for grave in graves[:2]])
    command = projecting()
    _until_counted(database, {"open": 3})
    with yard.desk() as desk:
        by_rule = {t.group.cause.rule: t.group.fingerprint for t in desk.groups(EVERYTHING).open}
        desk.discard(Selection(groups=frozenset({by_rule["policy"]})), "test data")
        chosen = Selection(groups=frozenset({by_rule["no-such-user"]}))
        order = desk.order(chosen, Edit(), Pace(), "user made")
        job = desk.begin(order, lambda _: None).job
        desk.run(job, threading.Event(), lambda _: None, 0)
    expected = {"open": 1, "discarded": 1, "replayed": 1}
    _until_counted(database, expected)

    def told() -> list[str]:
        with closing(StatusReader(database, "tests")) as reader:
            mails = [reader.mail(grave.event.event_id) for grave in graves[:2]]
            (known,) = reader.letters().jobs
        assert (known.id, known.by, known.reason) == (job.id, "ada", "user made")
        assert known.counts["replayed"] == 1
        assert known.letters == {"replayed": 1}
        return [settled_words(mail.letters) for mail in mails if mail is not None]

    wait_until(lambda: "replayed" in told()[1])
    discarded, replayed = told()
    assert discarded.startswith("discarded by ada at ")
    assert discarded.endswith(" because: test data")
    assert replayed.startswith(f"replayed by job {job.id} of ada at ")
    _stop(command)
    _rebuilt(projecting, database)
    _until_counted(database, expected)
    assert told() == [discarded, replayed]


def test_a_projector_that_is_killed_at_any_moment_loses_and_repeats_nothing(
    kafka: Kafka, projecting: Projecting, database: str
) -> None:
    """After each kill the view is what a projection in one go makes of the same records."""
    random = Random(4)
    topology = kafka.topology
    written: list[SignupEvent] = []
    enough = threading.Event()

    def write() -> None:
        while not enough.is_set():
            events = [signup(f"{len(written) + n}@example.com") for n in range(40)]
            records = [record for event in events for record in _life(topology, event)]
            kafka.write(records)
            written.extend(events)
            # A pace that a projector on a busy machine keeps up with, so that the end comes soon.
            enough.wait(0.2)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(4):
            command = projecting()
            more = len(_states(database)) + random.randint(1, 600)
            wait_until(partial(_shows, database, more), 40)
            command.signal(signal.SIGKILL)
            command.exit_code(10)
    finally:
        enough.set()
        writer.join()
    last = projecting()
    last.wait_for("projector.started")
    _until_shown(database, {event.event_id: "sent" for event in written})
    _stop(last)

    shown_rows = rows(database)
    assert {len(read_history(row["history"])) for row in shown_rows.values()} == {2}
    assert shown_rows == _rebuilt(projecting, database)


def test_a_second_projector_on_the_same_database_ends(
    kafka: Kafka, projecting: Projecting, database: str
) -> None:
    """It says why, and the first one goes on."""
    first = projecting()
    first.wait_for("projector.started")
    second = projecting()

    assert second.exit_code(30) == 1
    assert "another projector" in second.output
    event = signup("a@example.com")
    kafka.write(_life(kafka.topology, event))
    _until_shown(database, {event.event_id: "sent"})
    _stop(first)


def test_a_view_of_topics_that_were_made_anew_is_not_gone_on_with(
    kafka: Kafka, projecting: Projecting, database: str
) -> None:
    """The error names the option with which it is made anew, and that helps."""
    old, new = signup("old@example.com"), signup("new@example.com")
    kafka.write(_life(kafka.topology, old))
    command = projecting()
    _until_shown(database, {old.event_id: "sent"})
    _stop(command)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    names = [spec.name for spec in desired(kafka.topology, 1)]
    for future in admin.delete_topics(names, operation_timeout=30).values():
        future.result(30)
    wait_until(lambda: not set(names) & set(admin.list_topics(timeout=10).topics))
    create_topology(kafka.bootstrap, kafka.topology)
    kafka.write(_life(kafka.topology, new))
    refused = projecting()

    assert refused.exit_code(30) == 1
    assert "made anew" in refused.output
    assert "mailcascade projector --rebuild" in refused.output
    rebuilding = projecting("--rebuild")
    _until_shown(database, {new.event_id: "sent"})
    _stop(rebuilding)


def test_a_locked_file_is_waited_for(kafka: Kafka, projecting: Projecting, tmp_path: Path) -> None:
    """Once it is free the view is complete; a projector that waits still stops at once."""
    path = tmp_path / "locked.db"
    url = f"sqlite:///{path}"
    command = projecting(url=url)
    command.wait_for("projector.started")
    event = signup("a@example.com")
    with closing(sqlite3.connect(path, isolation_level=None)) as somebody:
        somebody.execute("BEGIN IMMEDIATE")
        kafka.write(_life(kafka.topology, event))
        command.wait_for("projector.outage")
        somebody.execute("ROLLBACK")
        command.wait_for("projector.recovered")
        _until_shown(url, {event.event_id: "sent"})
        somebody.execute("BEGIN IMMEDIATE")
        wait_until(lambda: command.output.count("projector.outage") == 2)
        _stop(command)


def test_a_file_that_was_removed_ends_the_projector_and_the_next_one_makes_it_anew(
    kafka: Kafka, projecting: Projecting, tmp_path: Path
) -> None:
    """Without `--rebuild`: there is nothing in the new file to be emptied."""
    url = f"sqlite:///{tmp_path / 'gone.db'}"
    event = signup("a@example.com")
    kafka.write(_life(kafka.topology, event))
    command = projecting(url=url)
    _until_shown(url, {event.event_id: "sent"})
    for file in tmp_path.glob("gone.db*"):
        file.unlink()

    assert command.exit_code(30) == 1
    assert "removed or replaced" in command.output
    again = projecting(url=url)
    _until_shown(url, {event.event_id: "sent"})
    _stop(again)


@pytest.mark.skipif("postgresql" not in kinds(), reason="there is no PostgreSQL on this machine")
def test_a_server_that_ends_and_comes_back_loses_nothing(
    kafka: Kafka, projecting: Projecting
) -> None:
    """A projector outlives it, and one that waits for it, or hangs in it, still stops in time."""
    with PostgresServer() as server:
        url = server.new_database()
        command = projecting(url=url)
        command.wait_for("projector.started")
        event = signup("a@example.com")
        server.stop()
        kafka.write(_life(kafka.topology, event))
        command.wait_for("projector.outage")
        server.start()
        _until_shown(url, {event.event_id: "sent"})
        server.stop()
        wait_until(lambda: command.output.count("projector.outage") == 2)
        _stop(command)
        waiting = projecting(url=url)
        waiting.wait_for("projector.outage")
        server.start()
        waiting.wait_for("projector.started")
        assert "secret" not in waiting.output
        _stop(waiting)


def test_a_broker_that_ends_and_comes_back_loses_nothing(
    own_broker: KafkaBroker, prefix: str, tmp_path: Path
) -> None:
    """The projector outlives it, and stops in time while it is away."""
    topology = Topology(prefix, parse_tiers("1s"), 2)
    create_topology(own_broker.bootstrap, topology)
    kafka = Kafka(own_broker.bootstrap, topology)
    url = f"sqlite:///{tmp_path / 'status.db'}"
    environ = _environ(own_broker.bootstrap, topology, tmp_path, url)
    first, second = signup("a@example.com"), signup("b@example.com")
    kafka.write(_life(topology, first))
    with Command("projector", environ=environ) as command:
        _until_shown(url, {first.event_id: "sent"})
        own_broker.kill()
        command.wait_for("projector.outage")
        own_broker.start()
        command.wait_for("projector.recovered")
        kafka.write(_life(topology, second))
        _until_shown(url, {first.event_id: "sent", second.event_id: "sent"})
        own_broker.kill()
        wait_until(lambda: command.output.count("projector.outage") == 2)
        _stop(command)
    with Command("projector", environ=environ) as waiting:
        waiting.wait_for("projector.outage")
        _stop(waiting)


def test_a_projector_shows_its_metrics(kafka: Kafka, projecting: Projecting, database: str) -> None:
    """How much was projected, and how much is left."""
    event = signup("a@example.com")
    kafka.write([*_life(kafka.topology, event), OutRecord(kafka.topology.main, b"k", b"?", ())])
    (port,) = free_ports(1)
    command = projecting(MAILCASCADE_METRICS_PORT=str(port))
    _until_shown(database, {event.event_id: "sent"})

    def shown() -> str:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return answer.read().decode()

    for line in (
        'mailcascade_projected_records_total{topic_kind="main"} 2.0',
        'mailcascade_projected_records_total{topic_kind="ledger"} 2.0',
        'mailcascade_projector_undecodable_total{topic_kind="main"} 1.0',
        'mailcascade_projector_behind_records{topic_kind="main"} 0.0',
        'mailcascade_projector_outage_open{need="database"} 0.0',
    ):
        wait_until(lambda: line in shown(), what=line)  # noqa: B023 - waited for at once
    _stop(command)


def test_a_wrong_database_url_is_a_wrong_setting(projecting: Projecting) -> None:
    """Exit code 2, and the password stays where it is."""
    command = projecting(url="postgresql+psycopg://user:secret@127.0.0.1:port/name")

    assert command.exit_code(30) == 2
    assert "MAILCASCADE_DATABASE_URL" in command.output
    assert "secret" not in command.output
