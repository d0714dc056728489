"""The service as a process, over a real broker: from POST to record, and how it stops."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from confluent_kafka import Consumer, TopicPartition

from console.stack.kafka import KafkaBroker
from ingest.keys import hash_key
from retry_topics.topology import Topology
from runtime.clock import SystemClock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.partitioner import partition_of
from runtime.kafka.reader import TopicReader
from schemas.codec import EventCodec
from schemas.control import ControlAction, read_command
from schemas.events import SignupEvent
from schemas.identity import lane_key
from tests.support.broker import BrokerAddress, create_topics
from tests.support.wait import wait_until

PLAIN = {
    "template": "plain",
    "to": {"address": "ada@example.com"},
    "data": {"subject": "Hi", "body": "text"},
}


@dataclass(frozen=True)
class Service:
    """A running service."""

    process: subprocess.Popen[bytes]
    url: str

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def environ(home: Path, **named: str) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILCASC")}
    return {**kept, "HOME": str(home), **{f"MAILCASCADE_{k}": v for k, v in named.items()}}


def head(length: int, more: str = "") -> bytes:
    """Return the head of a request whose body has so many bytes."""
    lines = f"POST /v1/emails HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{more}"
    return f"{lines}Content-Type: application/json\r\n\r\n".encode()


def ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz").status_code == 200
    except httpx2.TransportError:
        return False


@contextmanager
def serving(home: Path, bootstrap: str, **named: str) -> Iterator[Service]:
    """Run `mailcascade ingest` until it is ready; kill what is left of it afterwards."""
    port = free_port()
    settings = environ(home, KAFKA_BOOTSTRAP_SERVERS=bootstrap, HTTP_PORT=str(port), **named)
    process = subprocess.Popen([sys.executable, "-m", "console", "ingest"], env=settings)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: ready(url), 30, "the service is ready")
        yield Service(process, url)
    finally:
        process.kill()
        process.wait()


def events(bootstrap: str, topology: Topology, count: int) -> list[SignupEvent]:
    """Read so many events of the main topic."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none"})
    consumer.assign([TopicPartition(topology.main, p, 0) for p in range(topology.partitions)])
    found: list[SignupEvent] = []

    def read() -> bool:
        for message in consumer.consume(100, 0.2):
            value = message.value()
            assert value is not None
            found.append(EventCodec(None).decode(value))
        return len(found) >= count

    wait_until(read, 20, f"{count} events are read")
    consumer.close()
    return found


def test_what_was_answered_with_202_is_on_the_topic(
    broker: BrokerAddress, topics: Callable[..., Topology], tmp_path: Path
) -> None:
    """Single mails and batches, under the tenant of the key; SIGTERM then ends it with 0."""
    topology = topics()
    keys = tmp_path / "keys"
    keys.write_text(f"shop:{hash_key('k')}\n")
    headers = {"Authorization": "Bearer k"}
    named = {"TOPIC_PREFIX": topology.prefix, "API_KEYS_FILE": str(keys)}
    with serving(tmp_path, broker.bootstrap, **named) as service:
        items = [{**PLAIN, "to": {"address": f"p{n}@example.com"}} for n in range(50)]
        with httpx2.Client(base_url=service.url, headers=headers) as client:
            assert client.post("/v1/emails", json=PLAIN).status_code == 202
            assert client.post("/v1/emails/batch", json=items).status_code == 202
            assert (
                client.post(
                    "/v1/emails", json=PLAIN, headers={"Authorization": "Bearer x"}
                ).status_code
                == 401
            )
        assert service.stop() == 0
    found = events(broker.bootstrap, topology, 51)
    assert {event.tenant for event in found} == {"shop"}
    wanted = {"ada@example.com", *(f"p{n}@example.com" for n in range(50))}
    assert {event.recipient.address for event in found} == wanted
    assert len(found) == 51


def test_a_stop_lets_a_request_finish(
    broker: BrokerAddress, topics: Callable[..., Topology], tmp_path: Path
) -> None:
    """A body that is half there when SIGTERM comes is read, published and answered."""
    topology = topics()
    body = json.dumps(PLAIN).encode()
    with serving(tmp_path, broker.bootstrap, TOPIC_PREFIX=topology.prefix) as service:
        port = int(service.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head(len(body), "Expect: 100-continue\r\n"))
            assert connection.recv(1024).startswith(b"HTTP/1.1 100")
            connection.sendall(body[:10])
            service.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not ready(service.url), 10, "new connections are refused")
            connection.sendall(body[10:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 202")
        assert service.process.wait(20) == 0
    assert len(events(broker.bootstrap, topology, 1)) == 1


def test_a_client_that_hangs_up_leaves_the_service_working(
    broker: BrokerAddress, topics: Callable[..., Topology], tmp_path: Path
) -> None:
    """Whether in the middle of its body, or before the answer: then its mail is accepted."""
    topology = topics()
    body = json.dumps(PLAIN).encode()
    with serving(tmp_path, broker.bootstrap, TOPIC_PREFIX=topology.prefix) as service:
        port = int(service.url.rpartition(":")[2])
        for sent in (body[:10], body):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(head(len(body)) + sent)
        assert len(events(broker.bootstrap, topology, 1)) == 1
        assert httpx2.post(f"{service.url}/v1/emails", json=PLAIN).status_code == 202
        assert service.stop() == 0


def test_a_broker_that_goes_away_means_503_and_comes_back_as_202(
    own_broker: KafkaBroker, tmp_path: Path
) -> None:
    """Within 10 s, with Retry-After; readiness says why."""
    create_topics(own_broker.bootstrap, ["mails"], partitions=2)
    with serving(tmp_path, own_broker.bootstrap, TOPIC_PREFIX="mails") as service:
        with httpx2.Client(base_url=service.url, timeout=15) as client:
            assert client.post("/v1/emails", json=PLAIN).status_code == 202
            own_broker.kill()
            started = time.monotonic()
            answer = client.post("/v1/emails", json=PLAIN)
            assert time.monotonic() - started < 10
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            reasons = client.get("/readyz").json()["reasons"]
            assert reasons
            assert client.get("/livez").status_code == 200
            own_broker.start()
            wait_until(lambda: ready(service.url), 30, "it is ready again")
            assert client.post("/v1/emails", json=PLAIN).status_code == 202
        assert service.stop() == 0


def test_without_a_status_view_mails_are_accepted_and_stopped(
    broker: BrokerAddress, topics: Callable[..., Topology], tmp_path: Path
) -> None:
    """Only what became of them cannot be told: 503, and Retry-After. SIGTERM ends it with 0."""
    topology = topics()
    with serving(tmp_path, broker.bootstrap, TOPIC_PREFIX=topology.prefix) as service:
        with httpx2.Client(base_url=service.url) as client:
            path = client.post("/v1/emails", json=PLAIN).json()["status_url"]
            told = [client.get(path), client.get("/v1/emails")]
            stopped = client.delete(path)
        assert service.stop() == 0

    assert [answer.status_code for answer in told] == [503, 503]
    assert all(int(answer.headers["retry-after"]) > 0 for answer in told)
    assert (stopped.status_code, stopped.json()["state"]) == (202, None)
    (event,) = events(broker.bootstrap, topology, 1)
    properties = {"bootstrap.servers": broker.bootstrap}
    spans = TopicAdmin(dict(properties)).spans([topology.control])
    (record,) = TopicReader(properties, SystemClock()).read(spans)
    command = read_command(record.value)
    assert (command.action, command.event_id) == (ControlAction.CANCEL, str(event.event_id))
    assert command.tenant == event.tenant
    assert record.partition == partition_of(lane_key("ada@example.com"), topology.partitions)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"HTTP_HOST": "192.0.2.1"}, "MAILCASCADE_API_KEYS_FILE"),
        ({"KAFKA_PROPERTIES": '{"no.such": "1"}'}, "no.such"),
    ],
)
def test_a_wrong_setting_ends_it_with_a_message(
    tmp_path: Path, named: dict[str, str], message: str
) -> None:
    """Not with a traceback, and before it listens."""
    done = subprocess.run(
        [sys.executable, "-m", "console", "ingest"],
        env=environ(tmp_path, HTTP_PORT="0", **named),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
