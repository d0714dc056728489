"""The one broker that a test session shares, started when the first test asks for it."""

import json
import shutil
import socket
import socketserver
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from console.stack.kafka import (
    BrokerFailed,
    JarsUnavailable,
    KafkaBroker,
    Kind,
    NoBroker,
    Placement,
    Rung,
    choose_rung,
    machine_probes,
    new_broker,
    prepare,
)
from retry_topics.topic_specs import desired
from retry_topics.topology import Topology
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.errors import KafkaFault
from tests.support.processes import children

_ASK_SECONDS: Final = 300.0
_CREATE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """What a test knows about the shared broker."""

    bootstrap: str
    kind: Kind


class BrokerUnavailable(RuntimeError):
    """There is no broker to test with; the message says why."""


class BrokerDesk:
    """Starts the session's broker at the first question and answers later ones from memory."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._broker: KafkaBroker | None = None
        self._trouble: str | None = None
        self._directory: Path | None = None
        self._started: set[int] = set()

    def describe(self) -> str:
        """Say which rung there is, without starting anything."""
        try:
            return self._rung().description
        except NoBroker as error:
            return str(error)

    def address(self) -> BrokerAddress:
        """Return where the broker is; raises `BrokerUnavailable`, the same one every time."""
        if self._trouble is None and self._broker is None:
            self._start()
        if self._broker is None:
            raise BrokerUnavailable(self._trouble)
        return BrokerAddress(self._broker.bootstrap, self._broker.kind)

    def pids(self) -> set[int]:
        """Return the processes of the broker that are children of this one."""
        return self._started

    def stop(self) -> None:
        """End the broker if there is one."""
        if self._broker is not None:
            self._broker.stop()
            self._broker = None
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _rung(self) -> Rung:
        return choose_rung(self._environ, machine_probes(self._environ))

    def _start(self) -> None:
        try:
            rung = self._rung()
            prepare(rung, self._environ, announce=lambda _: None)
            self._directory = Path(tempfile.mkdtemp(prefix="mailcascade-tests-"))
            broker = new_broker(rung, Placement(self._directory), self._environ)
            before = children()
            broker.start()
            if rung.kind is Kind.EXTERNAL:
                TopicAdmin({"bootstrap.servers": rung.where}).ping()
            self._started = children() - before
            self._broker = broker
        except (NoBroker, JarsUnavailable, BrokerFailed, KafkaFault) as error:
            self._trouble = str(error)


class DeskServer:
    """Lets the processes of pytest-xdist ask the controller's desk, one after another.

    Its thread starts the broker, which lives no longer than that thread.
    """

    def __init__(self, desk: BrokerDesk) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="mailcascade-desk-"))
        self.path = str(self._directory / "socket")

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(json.dumps(_answer(desk)).encode())

        self._server = socketserver.UnixStreamServer(self.path, Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more questions."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        shutil.rmtree(self._directory, ignore_errors=True)


def ask_desk(path: str) -> BrokerAddress:
    """Return what the desk behind the socket answers; raises `BrokerUnavailable`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ASK_SECONDS)
        connection.connect(path)
        answer = json.load(connection.makefile("rb"))
    if "trouble" in answer:
        raise BrokerUnavailable(answer["trouble"])
    return BrokerAddress(answer["bootstrap"], Kind(answer["kind"]))


def _answer(desk: BrokerDesk) -> dict[str, str]:
    try:
        address = desk.address()
    except BrokerUnavailable as error:
        return {"trouble": str(error)}
    return {"bootstrap": address.bootstrap, "kind": address.kind.value}


def create_topics(bootstrap: str, names: Sequence[str], partitions: int) -> None:
    """Create topics as a test wants them and return when the broker knows them."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics = [NewTopic(name, partitions, 1) for name in names]
    for future in admin.create_topics(topics, operation_timeout=_CREATE_SECONDS).values():
        future.result(_CREATE_SECONDS)


def create_topology(bootstrap: str, topology: Topology) -> None:
    """Create every topic of a topology as `mailcascade topics apply` does."""
    TopicAdmin({"bootstrap.servers": bootstrap}, _CREATE_SECONDS).create(desired(topology, 1))
