"""The relay or the broker is away for a while: nothing moves, nothing is lost, nothing repeated."""

from contextlib import closing
from pathlib import Path

from console.stack.catcher.threaded import CatcherThread
from console.stack.kafka import KafkaBroker
from consumers.status.reader import StatusReader, StatusUnavailable
from retry_topics.topology import Topology, parse_tiers
from runtime.clock import Deadline, SystemClock
from schemas.events import SignupEvent
from schemas.outages import KnownOutage
from schemas.switches import EVERYTHING
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress, create_topology
from tests.support.catcher import recipients, wait_for_all
from tests.support.mailer import Kafka, signup, start_worker, worker_environ
from tests.support.pipeline import running_projector
from tests.support.switches import switch_record
from tests.support.wait import wait_until


def _waits_for(view: StatusReader, event: SignupEvent) -> tuple[KnownOutage, ...]:
    """Return why a mail waits where it is; nothing as long as the view cannot be asked."""
    try:
        mail = view.mail(event.event_id, SystemClock().now_ms())
    except StatusUnavailable:
        return ()
    return () if mail is None else mail.waits_for


def test_a_relay_that_is_down_moves_nothing_and_uses_no_attempt(
    broker: BrokerAddress, topics: TopicsFactory, catcher: CatcherThread, tmp_path: Path
) -> None:
    """Longer than all tiers all records stay on main, and the view says why; then all are sent."""
    kafka = Kafka(broker.bootstrap, topics("1s,2s,4s", 4))
    log = tmp_path / "worker.log"
    addresses = [f"user{number}@example.com" for number in range(300)]
    catcher.down()
    events = [signup(address) for address in addresses]
    url = f"sqlite:///{tmp_path / 'status.db'}"
    database = {"MAILCASCADE_DATABASE_URL": url}
    environ = worker_environ(kafka, catcher.smtp_url, tmp_path / "state", database)
    with (
        start_worker(environ, log),
        running_projector(environ, tmp_path / "projector.log"),
        closing(StatusReader(url, None)) as view,
    ):
        kafka.post(events)
        wait_until(lambda: "relay.outage" in log.read_text(), 30, "the outage to be noticed")
        wait_until(lambda: _waits_for(view, events[0]), 30, "the status view to say why")
        (out,) = _waits_for(view, events[0])
        assert (out.kind, out.what) == ("relay", catcher.smtp_url.partition("://")[2])
        moved = (*kafka.topology.retries, kafka.topology.dlt)
        down = Deadline(SystemClock(), 20)
        while not down.expired():
            assert all(kafka.read(topic) == [] for topic in moved)
            assert kafka.committed() == {}
        assert [_waits_for(view, event) for event in events] == [(out,)] * len(events)
        catcher.up()
        wait_for_all(catcher, addresses)
        wait_until(lambda: kafka.lag() == 0, 30, "everything to be committed")
        assert "relay.recovered" in log.read_text()
        now = SystemClock().now_ms
        wait_until(lambda: view.outages(now()) == (), 30, "the status view to know of nothing")
    assert set(recipients(catcher).values()) == {1}
    assert all(kafka.read(topic) == [] for topic in moved)


def test_a_worker_stops_gracefully_while_the_relay_is_down(
    broker: BrokerAddress, topics: TopicsFactory, catcher: CatcherThread, tmp_path: Path
) -> None:
    """Mails that wait for the relay are not waited for; they stay in Kafka for the next worker."""
    kafka = Kafka(broker.bootstrap, topics("1s,2s", 2))
    log = tmp_path / "worker.log"
    catcher.down()
    environ = worker_environ(kafka, catcher.smtp_url, tmp_path / "state")
    with start_worker(environ, log) as worker:
        kafka.post(signup(f"user{number}@example.com") for number in range(20))
        wait_until(lambda: "relay.outage" in log.read_text(), 30, "the outage to be noticed")
        assert worker.stop() == 0
    assert kafka.committed() == {}
    catcher.up()
    with start_worker(environ, log):
        wait_for_all(catcher, [f"user{number}@example.com" for number in range(20)])
    assert set(recipients(catcher).values()) == {1}


def test_a_broker_restart_in_mid_run_loses_and_repeats_nothing(
    own_broker: KafkaBroker, catcher: CatcherThread, prefix: str, tmp_path: Path
) -> None:
    """The broker goes away with work in hand and comes back: each mail is sent once."""
    topology = Topology(prefix, parse_tiers("1s,2s,4s"), 4)
    create_topology(own_broker.bootstrap, topology)
    kafka = Kafka(own_broker.bootstrap, topology)
    addresses = [f"user{number}@example.com" for number in range(600)]
    addresses += [f"late{number}+greylist@example.com" for number in range(20)]
    environ = worker_environ(kafka, catcher.smtp_url, tmp_path / "state")
    log = tmp_path / "worker.log"
    with start_worker(environ, log) as worker:
        kafka.post(signup(address) for address in addresses[:310])
        wait_until(lambda: len(recipients(catcher)) >= 30, 30, "the first mails")
        own_broker.restart()
        kafka.post(signup(address) for address in addresses[310:])
        wait_for_all(catcher, addresses)
        wait_until(lambda: kafka.lag() == 0, 60, "everything to be committed")
        kafka.write([switch_record(topology, EVERYTHING, 1)])
        wait_until(lambda: "switch.paused" in log.read_text(), 30, "a pause to be heeded")
        assert worker.exit_code() is None
    assert set(recipients(catcher).values()) == {1}
    assert kafka.read(topology.dlt) == []
