"""A broker in a container of the official image, where there is Docker and no Java."""

import time
from pathlib import Path
from typing import Final

import docker
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer

from console.stack.kafka.broker import READY_SECONDS, BrokerFailed, ManagedBroker, Placement
from console.stack.kafka.jars import KAFKA_VERSION
from console.stack.kafka.properties import Listeners, container_environment
from console.stack.kafka.readiness import answers
from console.stack.ports import HOST, free_ports
from console.stack.rungs import Kind
from runtime.clock import Deadline, SystemClock

IMAGE: Final = f"apache/kafka:{KAFKA_VERSION}"
_INNER_PORT: Final = 9092
_STOP_SECONDS: Final = 20
_POLL_SECONDS: Final = 0.1


def docker_trouble() -> str | None:
    """Return why Docker cannot be used here, None when its engine answers."""
    try:
        client = docker.from_env(timeout=10)
    except DockerException:
        return "no Docker engine answers"
    try:
        client.ping()
    except (DockerException, OSError):
        return "the Docker engine does not answer"
    finally:
        client.close()
    return None


class ContainerBroker(ManagedBroker):
    """One single-node KRaft broker whose published port is known before it starts.

    That is why it can advertise the port. The data lives as long as the container does: through
    `kill` and `restart`, until `stop` at the end of the `with` block.
    """

    kind = Kind.DOCKER

    def __init__(self, placement: Placement) -> None:
        (free,) = free_ports(1)
        listeners = Listeners(placement.port or free, controller=0)
        self._port = listeners.client
        self.bootstrap = listeners.bootstrap
        self.log = placement.directory / "kafka.log"
        self._container = DockerContainer(IMAGE)
        # The engine takes an address with the port; testcontainers' own method does not.
        self._container.ports[f"{_INNER_PORT}/tcp"] = (HOST, self._port)  # type: ignore[assignment]
        for name, value in container_environment(listeners, _INNER_PORT).items():
            self._container.with_env(name, value)
        self._created = False

    def start(self) -> None:
        if self._created:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._created = True
        deadline = Deadline(SystemClock(), READY_SECONDS)
        while not answers(HOST, self._port):
            if deadline.expired():
                shown = self._keep_log()[-4_000:]
                self.stop()
                raise BrokerFailed(f"{IMAGE} did not answer in {READY_SECONDS:.0f} s:\n{shown}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        if self._created:
            self._container.get_wrapped_container().stop(timeout=_STOP_SECONDS)
            self._keep_log()
            self._container.stop()
            self._created = False

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def restart(self) -> None:
        self._container.get_wrapped_container().stop(timeout=_STOP_SECONDS)
        self.start()

    def exit_code(self) -> int | None:
        if not self._created:
            return None
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        state = wrapped.attrs["State"]
        return int(state["ExitCode"]) if state["Status"] == "exited" else None

    def _keep_log(self) -> str:
        text: str = self._container.get_wrapped_container().logs().decode(errors="replace")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        Path(self.log).write_text(text)
        return text
