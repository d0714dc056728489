"""What every test may ask for: the shared broker, a topic prefix of its own, topics, order."""

import os
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from console.stack.catcher.threaded import CatcherThread
from console.stack.kafka import (
    KafkaBroker,
    Kind,
    Placement,
    choose_rung,
    machine_probes,
    new_broker,
    prepare,
)
from retry_topics.topology import Topology, parse_tiers
from tests.support.broker import (
    BrokerAddress,
    BrokerDesk,
    BrokerUnavailable,
    DeskServer,
    ask_desk,
    create_topology,
)
from tests.support.postgres import PostgresServer, describe, kinds
from tests.support.processes import children, command_line
from tests.support.wait import wait_until

DESK = pytest.StashKey[BrokerDesk]()
DESK_SERVER = pytest.StashKey[DeskServer]()
DESK_PATH = "broker_desk"
POSTGRES = pytest.StashKey[PostgresServer]()

TopicsFactory = Callable[..., Topology]


# A slow moment of the machine is no finding.
hypothesis_settings.register_profile("mailcascade", deadline=None)
hypothesis_settings.load_profile("mailcascade")


def pytest_configure(config: pytest.Config) -> None:
    """Set up the desk in the one process that may own the broker."""
    if not hasattr(config, "workerinput"):
        config.stash[DESK] = BrokerDesk(os.environ)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which broker and which databases the tests would use."""
    if DESK not in config.stash:
        return []
    return [
        f"kafka: {config.stash[DESK].describe()}; started by the first test that needs it",
        f"status view: {describe()}",
    ]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell a process of pytest-xdist where to ask for the broker."""
    config: pytest.Config = node.config  # type: ignore[attr-defined]  # xdist ships no types
    if DESK_SERVER not in config.stash:
        config.stash[DESK_SERVER] = DeskServer(config.stash[DESK])
    node.workerinput[DESK_PATH] = config.stash[DESK_SERVER].path  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what this process started."""
    if DESK_SERVER in config.stash:
        config.stash[DESK_SERVER].close()
    if DESK in config.stash:
        config.stash[DESK].stop()


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest) -> BrokerAddress:
    """The session's real Kafka. Topics are shared, so use `prefix`; never stop it."""
    try:
        if DESK in request.config.stash:
            return request.config.stash[DESK].address()
        return ask_desk(request.config.workerinput[DESK_PATH])  # type: ignore[attr-defined]
    except BrokerUnavailable as error:
        trouble = str(error)
    pytest.fail(trouble, pytrace=False)


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    """A started Kafka of this test's own, to be restarted or killed at will."""
    rung = choose_rung(os.environ, machine_probes(os.environ))
    if rung.kind is Kind.EXTERNAL:
        pytest.skip("a Kafka that was named by setting is not ours to restart")
    prepare(rung, os.environ, announce=lambda _: None)
    with new_broker(rung, Placement(tmp_path / "kafka"), os.environ) as broker:
        yield broker


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A topic prefix that no other test uses and that tells whose it is."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name).strip("-")[:60]
    return f"{name}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def topics(broker: BrokerAddress, prefix: str) -> TopicsFactory:
    """Creates the topics of a topology under this test's prefix and returns the topology."""

    def create(tiers: str = "1s,2s,4s", partitions: int = 4) -> Topology:
        topology = Topology(prefix, parse_tiers(tiers), partitions)
        create_topology(broker.bootstrap, topology)
        return topology

    return create


@pytest.fixture
def catcher() -> Iterator[CatcherThread]:
    """A mail catcher of this test's own on a free port; `catcher.store` has the mails."""
    with CatcherThread() as running:
        yield running


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """The session's PostgreSQL; every test makes a database of its own."""
    with PostgresServer() as server:
        request.config.stash[POSTGRES] = server
        yield server


@pytest.fixture(params=kinds())
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, once SQLite, once PostgreSQL where there is one."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'status.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture(autouse=True)
def _no_child_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every process that a test starts has ended when the test has."""
    before = children()
    yield

    def left() -> set[int]:
        return children() - before - _shared_pids(request.config)

    try:
        wait_until(lambda: not left(), timeout=5)
    except AssertionError:
        pytest.fail("left behind: " + "; ".join(f"{pid} {command_line(pid)}" for pid in left()))


def _shared_pids(config: pytest.Config) -> set[int]:
    desk, postgres = config.stash.get(DESK, None), config.stash.get(POSTGRES, None)
    broker = set() if desk is None else desk.pids()
    return broker if postgres is None else broker | postgres.pids()
