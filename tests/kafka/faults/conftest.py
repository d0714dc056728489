"""Two workers for all tests of faults: one in the clear, one with TLS, a login and little time."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from retry_topics.topology import Topology, parse_tiers
from tests.support.broker import BrokerAddress, create_topology
from tests.support.certificates import Authority
from tests.support.fault_bench import FaultBench, bench_with
from tests.support.mailer import Kafka
from tests.support.smtp_server import ScriptedServer
from tests.support.wait import wait_until

EXTENSIONS = ("8BITMIME", "SIZE 10000000", "PIPELINING", "SMTPUTF8")
SECONDS = "connect-timeout=5s&reply-timeout=700ms&end-timeout=700ms"
#: The relay's name, for which its certificate is valid.
HOST = "relay.example"


def kafka_at(broker: BrokerAddress, name: str) -> Kafka:
    topology = Topology(f"faults-{name}-{uuid.uuid4().hex[:8]}", parse_tiers("100ms,300ms"), 1)
    create_topology(broker.bootstrap, topology)
    return Kafka(broker.bootstrap, topology)


@pytest.fixture(scope="package")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the second worker trusts."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="package")
def clear_bench(
    broker: BrokerAddress, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultBench]:
    kafka, state = kafka_at(broker, "clear"), tmp_path_factory.mktemp("state")
    with bench_with(kafka, ScriptedServer(EXTENSIONS), "smtp://127.0.0.1:{port}", state) as bench:
        yield bench


@pytest.fixture(scope="package")
def secure_bench(
    broker: BrokerAddress, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultBench]:
    kafka, state = kafka_at(broker, "secure"), tmp_path_factory.mktemp("state")
    server = ScriptedServer((*EXTENSIONS, "AUTH PLAIN"), authority.issue(HOST).context())
    url = f"smtp+starttls://app:secret@{HOST}:{{port}}?ca={authority.file}&{SECONDS}"
    with bench_with(kafka, server, url, state) as bench:
        yield bench


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """Where the token lies that the third worker logs in with."""
    return tmp_path / "token"


@pytest.fixture
def by_token(
    broker: BrokerAddress, authority: Authority, tmp_path: Path, token_file: Path
) -> Iterator[FaultBench]:
    """A worker of this test's own that logs in by XOAUTH2."""
    token_file.write_text("expired")
    server = ScriptedServer((*EXTENSIONS, "AUTH XOAUTH2"), authority.issue(HOST).context())
    query = f"ca={authority.file}&token-file={token_file}"
    url = f"smtp+starttls://app@{HOST}:{{port}}?{query}"
    with bench_with(kafka_at(broker, "token"), server, url, tmp_path / "state") as bench:
        yield bench


@pytest.fixture
def clear(clear_bench: FaultBench) -> Iterator[FaultBench]:
    """A worker that sends in the clear; nothing is wrong with its relay, before and afterwards."""
    yield clear_bench
    clear_bench.recover()
    wait_until(lambda: not clear_bench.is_out, 20, "nothing to be out")


@pytest.fixture
def secure(secure_bench: FaultBench) -> Iterator[FaultBench]:
    """The same by STARTTLS, with a login, on connections that are yet to be opened."""
    secure_bench.worker.on(fresh=True)
    yield secure_bench
    secure_bench.recover()
    wait_until(lambda: not secure_bench.is_out, 20, "nothing to be out")


@pytest.fixture
def address() -> str:
    """A recipient at a domain of its own."""
    return f"ada@{uuid.uuid4().hex[:10]}.example"
