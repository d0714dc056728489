"""The supervisor: children that die are replaced, and none outlives it."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from console.stack.catcher.threaded import CatcherThread
from console.stack.children import Child
from console.stack.kafka import KafkaBroker
from retry_topics.topology import Topology, parse_tiers
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress, create_topology
from tests.support.catcher import wait_for_all
from tests.support.mailer import Kafka, signup, start_worker, worker_environ
from tests.support.processes import is_running, processes_with
from tests.support.wait import wait_until

TWO = ("-m", "console", "worker", "--processes", "2")


@pytest.fixture
def kafka(broker: BrokerAddress, topics: TopicsFactory) -> Kafka:
    return Kafka(broker.bootstrap, topics("1s,2s", 4))


def workers_of(supervisor: Child, kafka: Kafka) -> set[int]:
    found = processes_with(kafka.topology.prefix)
    return {pid for pid in found if pid != supervisor.pid}


@contextmanager
def two_workers(kafka: Kafka, catcher: CatcherThread, directory: Path) -> Iterator[Child]:
    """Run a supervisor with two workers, which may not have begun yet; its log is `log`."""
    environ = worker_environ(kafka, catcher.smtp_url, directory / "state")
    with start_worker(environ, directory / "log", TWO) as supervisor:
        wait_until(lambda: len(workers_of(supervisor, kafka)) == 2, 30, "two workers")
        yield supervisor


def test_workers_that_have_not_begun_are_stopped_in_good_order(
    kafka: Kafka, catcher: CatcherThread, tmp_path: Path
) -> None:
    """They know nothing of the signal yet, and nothing is in their hands."""
    with two_workers(kafka, catcher, tmp_path) as supervisor:
        assert supervisor.stop() == 0


def test_a_killed_worker_is_replaced_and_both_share_the_lanes(
    kafka: Kafka, catcher: CatcherThread, tmp_path: Path
) -> None:
    """After a SIGKILL there are two workers again and mail flows in every lane."""
    with two_workers(kafka, catcher, tmp_path) as supervisor:
        victim = min(workers_of(supervisor, kafka))
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(workers_of(supervisor, kafka) - {victim}) == 2, 30, "a new one")
        addresses = [f"user{number}@example.com" for number in range(50)]
        kafka.post(signup(address) for address in addresses)
        wait_for_all(catcher, addresses)
        assert supervisor.stop() == 0
    assert '"worker.died"' in (tmp_path / "log").read_text()


def test_workers_end_with_a_supervisor_that_was_killed(
    kafka: Kafka, catcher: CatcherThread, tmp_path: Path
) -> None:
    """A SIGKILL to the supervisor leaves no worker behind; they drain and end."""
    with two_workers(kafka, catcher, tmp_path) as supervisor:
        orphans = workers_of(supervisor, kafka)
        os.kill(supervisor.pid, signal.SIGKILL)
        wait_until(lambda: not any(is_running(pid) for pid in orphans), 30, "the workers to end")


def test_a_worker_without_its_broker_still_stops_within_its_drain(
    own_broker: KafkaBroker, catcher: CatcherThread, prefix: str, tmp_path: Path
) -> None:
    """SIGTERM is answered although nobody can take a commit."""
    topology = Topology(prefix, parse_tiers("1s,2s"), 2)
    create_topology(own_broker.bootstrap, topology)
    kafka = Kafka(own_broker.bootstrap, topology)
    log = tmp_path / "log"
    environ = worker_environ(
        kafka, catcher.smtp_url, tmp_path / "state", {"MAILCASCADE_DRAIN_SECONDS": "3"}
    )
    with start_worker(environ, log) as worker:
        wait_until(lambda: "lanes.assigned" in log.read_text(), 30, "lanes")
        own_broker.kill()
        worker.request_stop()
        wait_until(lambda: worker.exit_code() is not None, 20, "the worker to end")
