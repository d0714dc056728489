"""A broker that runs as a Java process from Maven's jars."""

import base64
import subprocess
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from console.stack.children import Child, ChildSpec, tail
from console.stack.kafka.broker import READY_SECONDS, BrokerFailed, ManagedBroker, Placement
from console.stack.kafka.properties import LOG4J2, Listeners, render, server_properties
from console.stack.kafka.readiness import answers
from console.stack.ports import HOST, free_ports
from console.stack.rungs import Kind
from runtime.clock import Deadline, SystemClock

_JVM: Final = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
)
_STOP_SECONDS: Final = 20.0
_FORMAT_SECONDS: Final = 90.0
_POLL_SECONDS: Final = 0.05
_NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class JavaKafka:
    """The java to run and the directory with Kafka's jars."""

    java: str
    jars: Path

    def command(self, log_settings: Path, main: str, *arguments: str) -> list[str]:
        """Return the command that runs one of Kafka's main classes."""
        log4j = f"-Dlog4j.configurationFile={log_settings}"
        return [self.java, *_JVM, log4j, "-cp", f"{self.jars}/*", main, *arguments]


class JavaBroker(ManagedBroker):
    """One single-node KRaft broker, all of whose files are below one directory."""

    kind = Kind.JAVA

    def __init__(
        self, kafka: JavaKafka, placement: Placement, overrides: Mapping[str, str] = _NOTHING
    ) -> None:
        """Prepare a broker; `overrides` are properties that it has beside, or instead of, ours."""
        self._kafka = kafka
        self._overrides = overrides
        self._directory = placement.directory
        first, second = free_ports(2)
        self._listeners = Listeners(placement.port or first, second)
        self._child: Child | None = None

    @property
    def bootstrap(self) -> str:
        return self._listeners.bootstrap

    @property
    def log(self) -> Path:
        return self._directory / "kafka.log"

    def start(self) -> None:
        if self._child is not None:
            raise BrokerFailed("the broker has been started already")
        self._write_settings()
        self._format_once()
        command = self._kafka.command(self._log_settings, "kafka.Kafka", str(self._settings))
        self._child = Child(ChildSpec("kafka", command, self.log, grace=_STOP_SECONDS))
        try:
            self._wait_until_ready(self._child)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def exit_code(self) -> int | None:
        return None if self._child is None else self._child.exit_code()

    @property
    def _settings(self) -> Path:
        return self._directory / "server.properties"

    @property
    def _log_settings(self) -> Path:
        return self._directory / "log4j2.properties"

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def _write_settings(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        properties = server_properties(self._listeners, self._data)
        self._settings.write_text(render(properties | dict(self._overrides)))
        self._log_settings.write_text(LOG4J2)

    def _format_once(self) -> None:
        if (self._data / "meta.properties").exists():
            return
        command = self._kafka.command(
            self._log_settings,
            "kafka.tools.StorageTool",
            *("format", "-t", new_cluster_id(), "-c", str(self._settings)),
        )
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=_FORMAT_SECONDS, check=False
        )
        if run.returncode != 0:
            raise BrokerFailed(f"Kafka cannot use {self._data}:\n{run.stdout}{run.stderr}".rstrip())

    def _wait_until_ready(self, child: Child) -> None:
        deadline = Deadline(SystemClock(), READY_SECONDS)
        while not answers(HOST, self._listeners.client):
            code = child.exit_code()
            if code is not None:
                raise self._failed(f"Kafka ended with exit code {code} while it started")
            if deadline.expired():
                raise self._failed(f"Kafka did not answer within {READY_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)

    def _failed(self, what: str) -> BrokerFailed:
        return BrokerFailed(f"{what}. The end of {self.log}:\n{tail(self.log, 20)}")


def new_cluster_id() -> str:
    """Return a random cluster id in Kafka's notation, which must not begin with a dash."""
    text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return f"A{text[1:]}" if text.startswith("-") else text
